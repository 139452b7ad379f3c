//! What is done with a cluster.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use stead_model::NodeId;

/// Why the cluster was not changed as was asked. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OperateError {
    /// There is no such node.
    #[error("{0}")]
    UnknownNode(String),
    /// It would do harm, or makes no sense.
    #[error("{0}")]
    Refused(String),
    /// Not now: it may be asked again.
    #[error("{0}")]
    NotNow(String),
}

/// What comes of it that a node is to be emptied, or is not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrainAnswer {
    /// The node, 32 hexadecimal digits.
    pub node: String,
    /// Whether it is to be emptied now.
    pub draining: bool,
    /// How many nodes are there that stay.
    pub nodes_staying: u64,
    /// What will not be as it should, a sentence each.
    pub warnings: Vec<String>,
}

/// Which nodes are lost for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecoverRequest {
    /// They.
    pub lost: BTreeSet<NodeId>,
    /// Whether to go on without what they have. If not, it is only told what would
    /// come of it.
    #[serde(default)]
    pub accept_data_loss: bool,
}

/// What comes of giving nodes up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoverAnswer {
    /// Whether it was done. If not, this is what would be.
    pub done: bool,
    /// How many partitions have their majority, and aren't touched.
    pub sound: u64,
    /// Partitions that go on with what is left.
    pub recovered: Vec<RecoveredPartition>,
    /// Partitions that have no majority now, and aren't touched, as nodes that weren't
    /// named may bring it back.
    pub waiting: Vec<WaitingPartition>,
}

/// A partition that goes on with what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveredPartition {
    /// The partition.
    pub partition: u16,
    /// Whether it is the cluster's own, which keeps what is deployed.
    pub is_the_clusters_own: bool,
    /// The node whose replica is the newest that is left; none if nothing is left, and
    /// it begins anew, empty.
    pub with: Option<String>,
    /// The last entry of its log.
    pub last: u64,
    /// How far the partition is committed, as far as those know that are there.
    pub committed: u64,
    /// The members, and what they were known to have.
    pub others: Vec<LeftOf>,
}

/// What a member of a partition was known to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeftOf {
    /// The node.
    pub node: String,
    /// Whether it is there.
    pub is_there: bool,
    /// The last entry of its log, as far as it is known.
    pub last: Option<u64>,
}

/// A partition that has no majority now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WaitingPartition {
    /// The partition.
    pub partition: u16,
    /// The nodes that may bring it back.
    pub waits_for: Vec<String>,
}

impl OperateError {
    /// A node that is alone has nobody to do it with.
    #[must_use]
    pub fn alone() -> Self {
        Self::Refused("this node is alone, or in no cluster yet".into())
    }
}
