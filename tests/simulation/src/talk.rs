//! What nodes ask each other, beside consensus.

use std::sync::Arc;

use stead_consensus::GroupView;
use stead_model::{Address, NodeId, PartitionId, Rejection, RequestId, SequenceNumber};
use stead_placement::Step;

/// A question.
#[derive(Debug, Clone)]
pub enum Ask {
    /// To handle a command.
    Command {
        /// The entity.
        address: Address,
        /// The command.
        name: Arc<str>,
        /// Its argument.
        body: Arc<[u8]>,
        /// Its id.
        request: RequestId,
        /// Whether that was minted for this attempt.
        fresh: bool,
        /// For how long the asker waits.
        patience_ms: u64,
    },
    /// To answer a query.
    Query {
        /// The entity.
        address: Address,
        /// For how long the asker waits.
        patience_ms: u64,
    },
    /// What groups it has.
    Groups,
    /// To make a step of placement.
    Step(Step),
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Told {
    /// To a command.
    Command(Result<Reply, CallError>),
    /// To a query.
    Query(Result<Vec<u8>, CallError>),
    /// The groups, and who says so.
    Groups(NodeId, Vec<(PartitionId, GroupView)>),
    /// The step was made, or can't be.
    Step,
}

/// A command's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What it says.
    pub body: Vec<u8>,
    /// The entity's last sequence number after it.
    pub sequence: SequenceNumber,
    /// Whether something was recorded for it.
    pub recorded: bool,
}

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// It was certainly not carried out.
    Unavailable(String),
    /// It may have been.
    OutcomeUnknown(String),
    /// The entity said no.
    Rejected(Rejection),
    /// The guest trapped; nothing was recorded.
    Trapped,
    /// Another final answer.
    Other(String),
}
