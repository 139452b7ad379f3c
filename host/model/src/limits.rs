//! What a guest and a caller may use, and no more.

use serde::{Deserialize, Serialize};

/// What one guest call may use. Passing a limit interrupts the call: nothing of
/// the command is recorded, and the caller gets an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuestLimits {
    /// The longest that one command or query may run, in milliseconds.
    pub call_ms_max: u64,
    /// The longest that one crossing of replay (a few thousand events), of a
    /// restore or of a snapshot may run, in milliseconds.
    pub replay_ms_max: u64,
    /// The most linear memory that one instance may have, in bytes.
    pub instance_memory_bytes_max: usize,
    /// The most that an instance's memory may grow during one call, in bytes:
    /// an entity's share. It is what keeps one entity from taking its
    /// neighbours' room at one stroke.
    pub entity_memory_bytes_max: usize,
    /// The guest's stack, in bytes.
    pub stack_bytes_max: usize,
    /// The most events in one outcome.
    pub outcome_events_max: usize,
    /// The most bytes in one outcome: events, reply and effects together.
    pub outcome_bytes_max: usize,
    /// The most bytes in a reply to a command or a query.
    pub reply_bytes_max: usize,
    /// The most bytes in a snapshot. An entity that has outgrown it goes on
    /// without snapshots.
    pub snapshot_bytes_max: usize,
    /// The most bytes in one log line; the rest is cut.
    pub log_line_bytes_max: usize,
    /// The most log lines from one call; the rest is counted and dropped.
    pub log_lines_max: u32,
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            call_ms_max: 1_000,
            replay_ms_max: 5_000,
            instance_memory_bytes_max: 1 << 30,
            entity_memory_bytes_max: 64 << 20,
            stack_bytes_max: 512 << 10,
            outcome_events_max: 1_000,
            outcome_bytes_max: 4 << 20,
            reply_bytes_max: 1 << 20,
            snapshot_bytes_max: 4 << 20,
            log_line_bytes_max: 8 << 10,
            log_lines_max: 100,
        }
    }
}

/// What a request may be, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RequestLimits {
    /// The most bytes in a command's or query's body.
    pub body_bytes_max: usize,
    /// How long a caller waits at most, in milliseconds, unless it asks for less.
    pub deadline_ms_max: u64,
    /// For how long replies are kept under the keys of callers, in milliseconds.
    pub caller_key_retention_ms: u64,
    /// For how long replies are kept under ids minted at the ingress, in milliseconds.
    pub minted_id_retention_ms: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            deadline_ms_max: 10_000,
            caller_key_retention_ms: 24 * 60 * 60 * 1_000,
            minted_id_retention_ms: 5 * 60 * 1_000,
        }
    }
}
