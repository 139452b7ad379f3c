//! What is written to a partition's log.

use crate::{
    Address, Effect, Event, Lifecycle, LogIndex, PartitionId, RequestDigest, RequestId,
    SequenceNumber, Term, TimestampMs, TypeVersion,
};

/// One entry of a partition's log: what one turn of the engine produced, for
/// many entities. Every replica applies it to its store, and applying is
/// deterministic: equal stores, given equal entries, stay equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The partition.
    pub partition: PartitionId,
    /// The term of the leader that appended it.
    pub term: Term,
    /// Its position in the partition's log; dense.
    pub index: LogIndex,
    /// By the leader's clock, when it was appended. What expires is measured by
    /// it and by no replica's own clock.
    pub at: TimestampMs,
    /// What it says, in order.
    pub items: Vec<Item>,
}

/// One thing that an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A command was handled.
    Outcome(OutcomeItem),
    /// An entity's state was taken at a sequence number.
    Snapshot(SnapshotItem),
    /// Who holds the partition from here on, as consensus writes it.
    Members(Vec<u8>),
}

/// The outcome of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeItem {
    /// The entity.
    pub address: Address,
    /// The version of the type that handled it.
    pub version: TypeVersion,
    /// The idempotency key of the command.
    pub request: RequestId,
    /// What the request was, so that another under the same key is told apart.
    pub digest: RequestDigest,
    /// Until when the reply is kept for retries.
    pub expires: TimestampMs,
    /// The number of its first event; that of the entity's next event if it has none.
    pub first_sequence: SequenceNumber,
    /// The events, numbered on from `first_sequence`.
    pub events: Vec<Event>,
    /// The answer to the caller.
    pub reply: Vec<u8>,
    /// Whether the entity lives on.
    pub lifecycle: Lifecycle,
    /// What it asks of the world.
    pub effects: Vec<Effect>,
}

impl OutcomeItem {
    /// The entity's last sequence number after this outcome.
    #[must_use]
    pub fn last_sequence(&self) -> SequenceNumber {
        let after = self.first_sequence.plus(self.events.len() as u64);
        SequenceNumber(after.get() - 1)
    }
}

/// A snapshot of one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotItem {
    /// The entity.
    pub address: Address,
    /// The version of the type that made it.
    pub version: TypeVersion,
    /// The number of the last event that it holds.
    pub sequence: SequenceNumber,
    /// The state.
    pub state: Vec<u8>,
    /// Events up to this number are dropped when the snapshot is stored: the
    /// type's retention. `None` keeps all.
    pub drop_events_through: Option<SequenceNumber>,
}
