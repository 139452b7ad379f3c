//! How a cluster fares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_model::TimestampMs;

/// How a cluster fares, as far as the node that is asked can see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterStatus {
    /// The cluster's identity, 32 hexadecimal digits; none if the node is alone or
    /// in none yet.
    pub cluster: Option<String>,
    /// The nodes.
    pub nodes: Vec<ClusterNode>,
    /// The partitions; the last is the cluster's own, which keeps what is deployed.
    pub partitions: Vec<ClusterPartition>,
    /// How many replicas each partition is to have, as was set when the cluster was made.
    #[serde(default)]
    pub replicas_set: u64,
    /// How many it can have: as many as are set, or as there are nodes that stay, those
    /// included that are gone and have replicas. With fewer than are set, the loss of a
    /// node may stop partitions.
    pub replicas_wanted: u64,
    /// Partitions with fewer votes than can be, on nodes that are there, whose replicas
    /// take part.
    pub under_replicated: u64,
    /// Partitions that nobody leads.
    pub leaderless: u64,
    /// Partitions whose members are changing.
    pub moving: u64,
    /// Partitions the majority of whose votes is on nodes that are gone: they take
    /// nothing and answer nothing until some of those are back.
    pub lost: Vec<LostMajority>,
    /// Replicas on their way.
    pub moves: Vec<ReplicaMove>,
}

/// A partition the majority of whose votes is on nodes that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LostMajority {
    /// The partition.
    pub partition: u16,
    /// The nodes that are missing.
    pub missing: Vec<String>,
    /// How many of them must be back.
    pub needed: u64,
    /// Since when, as far as the asked node noticed.
    pub since: TimestampMs,
}

/// A replica on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplicaMove {
    /// The partition.
    pub partition: u16,
    /// The node that it goes to.
    pub to: String,
    /// How many entries it lacks; none if its leader doesn't know yet.
    pub lacks: Option<u64>,
    /// The last entry of the partition's log.
    pub of: u64,
    /// Why it goes there, if that is known.
    pub reason: Option<String>,
}

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterNodeHealth {
    /// It is.
    Present,
    /// It is missed, and may object.
    Suspect,
    /// It isn't.
    Gone,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterNode {
    /// Its identity, 32 hexadecimal digits.
    pub node: String,
    /// Whether it is there.
    pub health: ClusterNodeHealth,
    /// Whether it is the node that was asked.
    pub asked: bool,
    /// Whether it is to be emptied.
    pub draining: bool,
    /// Whether it was given up: it is refused if it comes back with its data.
    pub given_up: bool,
    /// Since when it is gone, if it is, as far as the asked node noticed.
    pub gone_since: Option<TimestampMs>,
    /// Where it reaches other nodes; none if only partitions know of it.
    pub address: Option<String>,
    /// Where callers reach it.
    pub ingress: Option<String>,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// How many partitions it leads.
    pub leads: u64,
    /// How many partitions it has a vote on.
    pub votes: u64,
    /// How many partitions it has a replica of that has no vote yet.
    pub learns: u64,
    /// How many replicas and votes would go with it. Every node follows the cluster's
    /// own partition; of that only a vote counts.
    pub holds: u64,
    /// What is wrong with it, as it says.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Partitions whose replica on it takes no part any more.
    #[serde(default)]
    pub stopped: Vec<u16>,
}

/// A partition of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterPartition {
    /// The partition.
    pub partition: u16,
    /// The node that leads it, if one does.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
    /// The last entry of its log.
    pub last: u64,
    /// The nodes with a vote.
    pub voters: Vec<String>,
    /// The nodes with a replica that has no vote.
    pub learners: Vec<String>,
    /// Whether its members are changing.
    pub is_changing: bool,
    /// How many entries the replicas lack that lack some, as the leader knows.
    pub behind: BTreeMap<String, u64>,
    /// What placement wants of it, as the node that places says; none if nobody does.
    pub placement: Option<PlacementView>,
}

/// What placement wants of a partition, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlacementView {
    /// The node that should lead it, if that is decided.
    pub leader: Option<String>,
    /// The nodes that its replicas should be on.
    pub nodes: Vec<String>,
    /// Why its replicas change, if they do.
    pub reason: Option<String>,
    /// What is being done, or waited for; none if it is as it should be.
    pub doing: Option<String>,
}
