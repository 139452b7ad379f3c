//! What can go wrong.

use stead_journal::JournalError;
use stead_model::{LogIndex, NodeId, PartitionId};

/// Why consensus can't be started.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The journal can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A group can't be started.
    #[error("the group of partition {partition} can't be started: {cause}")]
    Group {
        /// The partition.
        partition: PartitionId,
        /// What openraft said.
        cause: String,
    },
    /// The system gives no thread.
    #[error("a thread for consensus can't be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a group's members can't be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the members of partition {partition} can't be changed: {why}")]
pub struct MembersError {
    /// The partition.
    pub partition: PartitionId,
    /// Why.
    pub why: String,
}

/// What became of a batch that was not committed, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// This node doesn't lead the partition in that term. The batch was not
    /// appended, or it was, and another leader decides what becomes of it.
    #[error("this node doesn't lead the partition{}", leads(.leader))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// The group has stopped: its storage failed, or the node is stopping. It
    /// isn't known what becomes of the batch.
    #[error("the partition's group has stopped: {0}")]
    Stopped(String),
}

fn leads(leader: &Option<NodeId>) -> String {
    leader.map(|leader| format!("; node {} does", leader.short())).unwrap_or_default()
}

/// An error of the journal, as openraft wants it.
pub(crate) fn io(error: JournalError) -> std::io::Error {
    std::io::Error::other(error)
}

/// Entries that must be there are not.
pub(crate) fn missing(partition: PartitionId, index: LogIndex) -> std::io::Error {
    let what = format!("entry {index} of partition {partition} is not in the log");
    std::io::Error::new(std::io::ErrorKind::NotFound, what)
}
