//! Calls to entities, and what comes of them.

use std::{borrow::Cow, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use stead_model::{Address, EntityType, Rejection, RequestId, SequenceNumber};

/// A command on its way to an entity.
#[derive(Debug, Clone)]
pub struct CommandCall {
    /// The entity.
    pub address: Address,
    /// The command's name, as the type describes it.
    pub name: Arc<str>,
    /// Its argument.
    pub body: bytes::Bytes,
    /// The caller's key; `None` to have one minted.
    pub request: Option<RequestId>,
    /// When the caller will have stopped waiting.
    pub deadline: Instant,
}

/// A query on its way to an entity.
#[derive(Debug, Clone)]
pub struct QueryCall {
    /// The entity.
    pub address: Address,
    /// The query's name, as the type describes it.
    pub name: Arc<str>,
    /// Its argument.
    pub body: bytes::Bytes,
    /// When the caller will have stopped waiting.
    pub deadline: Instant,
}

/// A durable reply to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// The reply.
    pub body: Vec<u8>,
    /// The entity's last sequence number after the command.
    pub sequence: SequenceNumber,
    /// The id under which the outcome is recorded.
    pub request: RequestId,
    /// Whether the outcome is that of an earlier attempt under the same id.
    pub replayed: bool,
}

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CallError {
    /// The entity says no. Nothing was recorded.
    #[error("rejected: {}", .0.message)]
    Rejected(Rejection),
    /// No such type is deployed.
    #[error("no entity type {0} is deployed")]
    UnknownType(EntityType),
    /// The type has no such command or query.
    #[error("{entity_type} has no {what} {name:?}; it has {}", known.join(", "))]
    UnknownName {
        /// The type.
        entity_type: EntityType,
        /// "command" or "query".
        what: Cow<'static, str>,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The same key came with another command or body.
    #[error("the idempotency key {0} was used for another request to this entity")]
    KeyReused(RequestId),
    /// Too many commands wait already. Nothing was recorded.
    #[error("too many requests wait for this entity or its partition")]
    MailboxFull {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Not now: the node is stopping or starting, or the store can't write. The
    /// command was surely not recorded.
    #[error("not available: {reason}")]
    Unavailable {
        /// Why, in a sentence.
        reason: String,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The disk has no room. The command was surely not recorded.
    #[error("the disk is full: {reason}")]
    DiskFull {
        /// What was being written.
        reason: String,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The deadline passed, or the store failed, while the outcome was on its
    /// way: it may or may not be recorded. A retry under the id tells.
    #[error("the outcome is not known; retry under {request} to learn it")]
    OutcomeUnknown {
        /// The id to retry under.
        request: RequestId,
        /// What happened.
        reason: String,
    },
    /// The deadline passed before the entity got to it. Nothing was recorded.
    #[error("the deadline passed before the entity got to it")]
    DeadlinePassed,
    /// The entity's code failed. Nothing was recorded.
    #[error("the entity's code failed ({incident}): {reason}")]
    Guest {
        /// What the node's log has it under.
        incident: String,
        /// What happened.
        reason: String,
    },
    /// The entity can't be brought back from its journal by the deployed code.
    #[error("the entity can't be brought back: {reason}")]
    Unreadable {
        /// What happened.
        reason: String,
    },
}
