//! What an engine may use, and when it lets go.

use std::sync::Arc;

use stead_model::RequestLimits;

/// The bounds of one partition's engine. Times are in milliseconds.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The most requests that wait for one entity.
    pub entity_waiting_max: usize,
    /// The most requests that wait in the partition.
    pub waiting_max: usize,
    /// The most answers that wait for a commit; with more, requests wait instead.
    pub held_max: usize,
    /// The most outcomes in one batch.
    pub batch_items_max: usize,
    /// The most bytes in one batch, but for a last outcome that goes over.
    pub batch_bytes_max: usize,
    /// The most batches that are appended and not yet committed.
    pub in_flight_max: usize,
    /// The most entities in memory.
    pub live_max: usize,
    /// The most linear memory of all instances together, in bytes.
    pub memory_bytes_max: usize,
    /// How long an entity may be idle in memory.
    pub idle_ms_max: u64,
    /// The most entities that are replayed at once; others wait.
    pub replays_max: usize,
    /// The most events in one crossing of replay.
    pub replay_events: usize,
    /// The most bytes of events in one crossing of replay.
    pub replay_bytes: usize,
    /// How long an entity that could not be brought back is left alone.
    pub unreadable_retry_ms: u64,
    /// How long an entity that trapped keeps an instance of its own.
    pub quarantine_ms: u64,
    /// The largest snapshot that is stored, in bytes.
    pub snapshot_bytes_max: usize,
    /// For how long replies are kept.
    pub requests: RequestLimits,
    /// What the names of incidents begin with in the log, so that they are those
    /// that callers are given.
    pub incidents: Arc<str>,
    /// A bug put in on purpose, so that tests can show that they find it.
    pub planted: Option<PlantedBug>,
}

/// Bugs that a test harness must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// Answers leave before their batch is committed.
    AnswersBeforeCommit,
    /// Every request is taken as new.
    RequestIdsIgnored,
    /// Activations survive the loss of the batches that made them.
    ActivationsSurviveFailedAppends,
    /// Queries are answered at once, whatever they saw.
    QueriesBeforeCommit,
    /// Entities are read from the store before it shows all that they did.
    StoreReadTooSoon,
    /// Snapshots are stored as the guest gives them.
    SnapshotsUnchecked,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            entity_waiting_max: 1_024,
            waiting_max: 16_384,
            held_max: 16_384,
            batch_items_max: 512,
            batch_bytes_max: 4 << 20,
            in_flight_max: 4,
            live_max: 32_768,
            memory_bytes_max: 256 << 20,
            idle_ms_max: 10 * 60 * 1_000,
            replays_max: 4,
            replay_events: 1_024,
            replay_bytes: 1 << 20,
            unreadable_retry_ms: 5_000,
            quarantine_ms: 60_000,
            snapshot_bytes_max: 4 << 20,
            requests: RequestLimits::default(),
            incidents: "incident".into(),
            planted: None,
        }
    }
}
