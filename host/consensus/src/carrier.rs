//! What consensus needs of whoever carries its messages.

use std::time::Duration;

use futures::future::BoxFuture;
use stead_model::NodeId;

/// Why a message has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// The node can't be reached; the message was not delivered.
    #[error("node {node} can't be reached: {why}", node = .node.short())]
    Unreachable {
        /// The node.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// It isn't known whether the message was delivered.
    #[error("the answer of node {node} is missing: {why}", node = .node.short())]
    Lost {
        /// The node.
        node: NodeId,
        /// Why.
        why: String,
    },
}

/// Which of a node's connections a message takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Votes and heartbeats: few, small, and urgent.
    Control,
    /// Entries.
    Log,
    /// Stores on their way to a replica that is far behind.
    Bulk,
}

/// Carries messages to other nodes, and their answers back.
///
/// Messages of one lane to one node arrive in the order in which they were
/// handed over, as far as they arrive. What is handed over when the carrier is
/// called counts, not when the future is first polled.
pub trait Carrier: Send + Sync + 'static {
    /// Carries a message; its answer. Gives up after a time.
    fn carry(
        &self,
        to: NodeId,
        lane: Lane,
        message: Vec<u8>,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, CarrierError>>;

    /// The version of the protocol between nodes that a node was last found to speak;
    /// 0 if it was not met yet. Nothing that a version lacks is said to a node of it.
    fn version(&self, to: NodeId) -> u16;
}
