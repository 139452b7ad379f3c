//! What the cases are about: a journal, or the model of one.

use stead_journal::{EntityRecord, JournalError, RecordedReply, SnapshotView, StoredEvent};
use stead_model::{
    Address, EntityId, EntityType, Entry, LogIndex, PartitionId, RequestId, SequenceNumber, Term,
};

/// How many partitions there are.
pub(crate) const PARTITIONS: u16 = 2;

/// How a journal comes to be opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reopening {
    /// It was closed.
    Closed,
    /// The process was killed; the system has what was written.
    Killed,
    /// The power was lost: of what was not synced, some is there, by the seed.
    /// On a real disk it is a kill.
    PowerLost(u64),
}

/// A journal with whatever tells when it has done what it was asked. What can't
/// be read is a panic: it is never right in a case.
pub(crate) trait Subject {
    /// Appends an entry and waits until it can be read, or is refused.
    fn append(&mut self, entry: Entry) -> Result<(), JournalError>;

    /// Appends entries without waiting in between, then waits for all.
    fn append_all(&mut self, entries: Vec<Entry>) -> Vec<Result<(), JournalError>>;

    /// Appends entries, and ends the journal in some way without waiting for
    /// them. It is [`Self::head`] that tells then which of them are there.
    fn append_and_reopen(&mut self, entries: Vec<Entry>, how: Reopening);

    /// The term and index of the partition's last entry.
    fn head(&self, partition: PartitionId) -> (Term, LogIndex);

    /// Ends the journal in some way, and opens it again.
    fn reopen(&mut self, how: Reopening);

    /// What is known of an entity.
    fn entity(&self, partition: PartitionId, address: &Address) -> Option<EntityRecord>;

    /// The newest snapshot at or below a number.
    fn snapshot(
        &self,
        partition: PartitionId,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Option<SnapshotView>;

    /// Events within bounds.
    fn events(&self, partition: PartitionId, address: &Address, bounds: Bounds)
    -> Vec<StoredEvent>;

    /// The reply kept under a request id.
    fn reply(
        &self,
        partition: PartitionId,
        address: &Address,
        request: &RequestId,
    ) -> Option<RecordedReply>;

    /// Ids of entities of a type, after one, in order.
    fn entities(
        &self,
        partition: PartitionId,
        entity_type: &EntityType,
        after: Option<&EntityId>,
        count_max: usize,
    ) -> Vec<EntityId>;

    /// How many entities there are, and how many events are stored, visible or not.
    fn counts(&self, partition: PartitionId) -> (u64, u64);
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) count_max: usize,
    pub(crate) bytes_max: usize,
}

impl Bounds {
    pub(crate) const ALL: Self =
        Self { from: 1, to: u64::MAX, count_max: usize::MAX, bytes_max: usize::MAX };

    pub(crate) fn from(self, from: u64) -> Self {
        Self { from, ..self }
    }

    pub(crate) fn to(self, to: u64) -> Self {
        Self { to, ..self }
    }

    pub(crate) fn count(self, count_max: usize) -> Self {
        Self { count_max, ..self }
    }

    pub(crate) fn bytes(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }
}

/// What is so now must be so after every way of opening the journal again.
pub(crate) fn always(subject: &mut dyn Subject, check: impl Fn(&dyn Subject)) {
    check(subject);
    for how in [Reopening::Closed, Reopening::Killed, Reopening::PowerLost(7)] {
        subject.reopen(how);
        eprintln!("after {how:?}");
        check(subject);
    }
}
