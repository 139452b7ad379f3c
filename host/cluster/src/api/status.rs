//! How an entity fares, and a node.

use serde::{Deserialize, Serialize};
use stead_model::{SequenceNumber, TimestampMs};

/// Where an entity is and how it fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EntityStatus {
    /// The entity.
    pub address: String,
    /// Its partition.
    pub partition: u16,
    /// Whether it is in memory.
    pub live: bool,
    /// Its last sequence number; 0 if it never recorded anything.
    pub last_sequence: SequenceNumber,
    /// The number of its newest snapshot, if it has one.
    pub snapshot_sequence: Option<SequenceNumber>,
    /// How many requests wait for it.
    pub waiting: u64,
    /// How many events its last activation replayed.
    pub last_replay_events: Option<u64>,
    /// How long that took, in microseconds.
    pub last_replay_us: Option<u64>,
    /// The linear memory of the instance that it is in, which others may share.
    pub instance_memory_bytes: Option<u64>,
    /// Whether it has an instance of its own after a fault.
    pub quarantined: bool,
    /// Why it can't be brought back, if it can't.
    pub unreadable: Option<String>,
}

/// How the node fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeStatus {
    /// The node's identity, 32 hexadecimal digits.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// Whether it takes requests.
    pub ready: bool,
    /// Why not, or what ails it: failed stores, a full disk.
    pub problems: Vec<String>,
    /// Since when it runs.
    pub started_at: TimestampMs,
    /// How long recovery took at start, in milliseconds, and over how many log entries.
    pub recovery_ms: u64,
    /// Log entries applied again at start.
    pub recovery_entries: u64,
    /// The partition count.
    pub partitions: u16,
    /// Deployed types.
    pub types: u64,
    /// Entities in memory.
    pub live_entities: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Guests' linear memory, in bytes.
    pub guest_memory_bytes: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Commands handled since start.
    pub commands: u64,
    /// Queries answered since start.
    pub queries: u64,
    /// Events recorded since start.
    pub events: u64,
    /// Rejections since start.
    pub rejections: u64,
    /// Guest faults since start.
    pub faults: u64,
    /// Activations since start.
    pub activations: u64,
    /// Events replayed since start.
    pub replayed_events: u64,
    /// Snapshots stored since start.
    pub snapshots: u64,
    /// Log commits (one fsync each) since start.
    pub log_commits: u64,
}
