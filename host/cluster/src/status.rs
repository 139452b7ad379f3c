//! How the node and its entities fare, put together from what each room knows.

use stead_journal::{EntityRecord, JournalStatus, RecoveryReport};
use stead_model::{Address, PartitionCount, SequenceNumber, TimestampMs};
use stead_partition::{Counters, Inspection};

use crate::api::{EntityStatus, NodeStatus};

/// What the node knows of itself.
pub struct Facts<'a> {
    pub identity: &'a str,
    pub started_at: TimestampMs,
    pub recovery: &'a RecoveryReport,
    pub journal: JournalStatus,
    pub partitions: PartitionCount,
    pub types: usize,
    pub stopping: bool,
    pub problems: Vec<String>,
}

/// How the node fares.
pub fn node(facts: &Facts<'_>, partitions: impl Iterator<Item = Counters>) -> NodeStatus {
    let sum = partitions.fold(Counters::default(), |sum, one| Counters {
        commands: sum.commands + one.commands,
        queries: sum.queries + one.queries,
        events: sum.events + one.events,
        rejections: sum.rejections + one.rejections,
        replays_of_requests: sum.replays_of_requests + one.replays_of_requests,
        faults: sum.faults + one.faults,
        activations: sum.activations + one.activations,
        replayed_events: sum.replayed_events + one.replayed_events,
        passivations: sum.passivations + one.passivations,
        snapshots: sum.snapshots + one.snapshots,
        audits_failed: sum.audits_failed + one.audits_failed,
        live: sum.live + one.live,
        waiting: sum.waiting + one.waiting,
        memory_bytes: sum.memory_bytes + one.memory_bytes,
    });
    let mut problems = facts.journal.problems.clone();
    // A type that can't be served ails the node, but others are served.
    let ready = !facts.stopping && problems.is_empty();
    if facts.stopping {
        problems.push("the node is stopping".into());
    }
    problems.extend(facts.problems.iter().cloned());
    problems.extend(refused_snapshots(sum.audits_failed));
    NodeStatus {
        node: facts.identity.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready,
        problems,
        started_at: facts.started_at,
        recovery_ms: facts.recovery.duration_ms,
        recovery_entries: facts.recovery.entries_applied,
        partitions: facts.partitions.get(),
        types: facts.types as u64,
        live_entities: sum.live,
        waiting: sum.waiting,
        guest_memory_bytes: sum.memory_bytes,
        journal_bytes: facts.journal.bytes,
        commands: sum.commands,
        queries: sum.queries,
        events: sum.events,
        rejections: sum.rejections,
        faults: sum.faults,
        activations: sum.activations,
        replayed_events: sum.replayed_events,
        snapshots: sum.snapshots,
        log_commits: facts.journal.log_commits,
    }
}

/// What is wrong if snapshots were refused.
pub fn refused_snapshots(refused: u64) -> Option<String> {
    (refused > 0).then(|| {
        format!("{refused} snapshots were refused because replay is not exact; see the log")
    })
}

/// How an entity fares.
pub fn entity(
    address: &Address,
    partition: u16,
    inspection: Inspection,
    record: Option<EntityRecord>,
    snapshot: Option<SequenceNumber>,
) -> EntityStatus {
    let stored = record.map(|record| record.last_sequence).unwrap_or_default();
    EntityStatus {
        address: address.to_string(),
        partition,
        live: inspection.live,
        last_sequence: stored,
        snapshot_sequence: snapshot,
        waiting: inspection.waiting as u64,
        last_replay_events: inspection.last_replay_events,
        last_replay_us: inspection.last_replay_us,
        instance_memory_bytes: inspection.instance_memory_bytes,
        quarantined: inspection.quarantined,
        unreadable: inspection.unreadable,
    }
}
