//! How a journal is kept, whose it is, and who is told of what happens to it.

use stead_model::{LogIndex, LogPosition, PartitionCount, PartitionId, TimestampMs};

/// How a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalOptions {
    /// The partition count; fixed when the journal is made.
    pub partitions: PartitionCount,
    /// The size of a log segment, in bytes.
    pub segment_bytes: u64,
    /// How old a store's durable state may get, in milliseconds.
    pub checkpoint_age_ms: u64,
    /// How much may be applied to a store before it is made durable, in bytes.
    pub checkpoint_bytes: u64,
    /// The caches of all stores together, in bytes.
    pub cache_bytes: usize,
    /// Whether every stored page is checked when the journal is opened. Without
    /// it, each is checked when it is first read.
    pub verify: bool,
    /// The most bytes that the log may have. It has that many only if a store
    /// can't be made durable; then nothing new is taken.
    pub log_bytes_max: u64,
    /// How long entries are gathered before they are applied, in milliseconds.
    pub apply_delay_ms: u64,
    /// How much of what is applied is kept in memory for replicas that are a
    /// little behind, in bytes, for all partitions together.
    pub recent_bytes: usize,
    /// How much log is kept for replicas that are behind, in bytes. What they lack
    /// beyond that they get by whole stores.
    pub log_keep_bytes: u64,
    /// For how long, in milliseconds.
    pub log_keep_ms: u64,
    /// A bug put in on purpose, so that tests can show that they find it.
    pub planted: Option<PlantedBug>,
}

/// Bugs that a test harness must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// Entries are said to be durable before they are.
    DurableBeforeSync,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            partitions: PartitionCount::default(),
            segment_bytes: 64 << 20,
            checkpoint_age_ms: 30_000,
            checkpoint_bytes: 32 << 20,
            cache_bytes: 256 << 20,
            verify: false,
            log_bytes_max: 8 << 30,
            apply_delay_ms: 250,
            recent_bytes: 32 << 20,
            log_keep_bytes: 1 << 30,
            log_keep_ms: 3_600_000,
            planted: None,
        }
    }
}

/// Whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: u128,
    /// The node's id.
    pub node: u128,
    /// The partition count.
    pub partitions: PartitionCount,
    /// When the journal was made.
    pub created_at: TimestampMs,
}

/// Who is told how far the stores have come. Called from the journal's threads,
/// in order for each partition; must be quick.
pub trait JournalEvents: Send + Sync {
    /// The store shows entries up to this one.
    fn applied(&self, partition: PartitionId, through: LogIndex);

    /// The store has made this much durable: the log up to there is needed only
    /// by replicas that are behind, and goes once it is released.
    fn checkpointed(&self, partition: PartitionId, through: LogPosition);
}
