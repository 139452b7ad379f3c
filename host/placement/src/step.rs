//! What is to be done next.

use std::{collections::BTreeSet, fmt};

use stead_model::{NodeId, PartitionId};

/// One step, to be carried out on the partition's leader. A plan has at most one
/// for each partition. A step may fail, or come too late, without harm: the next
/// plan goes by what is then observed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Start a replica on a node, that follows and has no vote yet.
    AddLearner {
        /// The partition.
        partition: PartitionId,
        /// The node.
        node: NodeId,
    },
    /// Have these voters, in one joint change: caught-up learners come in, and
    /// those that they replace go out and are no learners either. Other learners
    /// stay.
    ChangeVoters {
        /// The partition.
        partition: PartitionId,
        /// All of its voters to be.
        voters: BTreeSet<NodeId>,
    },
    /// Give up a replica that has no vote.
    RemoveLearner {
        /// The partition.
        partition: PartitionId,
        /// The node that it is on.
        node: NodeId,
    },
    /// Hand the leadership over.
    TransferLeader {
        /// The partition.
        partition: PartitionId,
        /// The leader.
        from: NodeId,
        /// A caught-up voter.
        to: NodeId,
    },
}

impl Step {
    /// The partition that it is about.
    #[must_use]
    pub const fn partition(&self) -> PartitionId {
        match self {
            Self::AddLearner { partition, .. }
            | Self::ChangeVoters { partition, .. }
            | Self::RemoveLearner { partition, .. }
            | Self::TransferLeader { partition, .. } => *partition,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLearner { partition, node } => {
                write!(f, "partition {partition}: start a replica on node {}", node.short())
            }
            Self::ChangeVoters { partition, voters } => {
                write!(f, "partition {partition}: have the voters {}", list(voters))
            }
            Self::RemoveLearner { partition, node } => {
                write!(f, "partition {partition}: give up the replica on node {}", node.short())
            }
            Self::TransferLeader { partition, from, to } => {
                let (from, to) = (from.short(), to.short());
                write!(f, "partition {partition}: hand the lead from node {from} to node {to}")
            }
        }
    }
}

/// Nodes for people to read.
pub(crate) fn list<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    let names: Vec<_> = nodes.into_iter().map(|node| node.short()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
