//! Entries in few words, and reading in few words. All in partition 0, unless
//! it is said otherwise.

use stead_journal::{EntityRecord, JournalError, RecordedReply, StoredEvent};
use stead_model::{
    Address, Effect, EntityType, Entry, Event, Item, Lifecycle, LogIndex, OutcomeItem, PartitionId,
    RequestDigest, RequestId, SequenceNumber, SnapshotItem, Term, TimestampMs, TypeVersion,
};

use crate::subject::{Bounds, Subject};

/// The partition of nearly all cases.
pub(crate) const HERE: PartitionId = PartitionId(0);
/// The other one.
pub(crate) const THERE: PartitionId = PartitionId(1);
/// When it all begins.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;
/// For how long replies are kept, unless it is said otherwise.
pub(crate) const RETENTION_MS: u64 = 1_000_000;

pub(crate) fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

pub(crate) fn entity_type(text: &str) -> EntityType {
    EntityType::new(text).expect("a type")
}

pub(crate) fn caller(key: &str) -> RequestId {
    RequestId::Caller(key.into())
}

/// An id minted so many milliseconds after the begin.
pub(crate) fn minted(after_ms: u64, random: u64) -> RequestId {
    RequestId::mint(TimestampMs(BEGIN_MS + after_ms), u128::from(random) << 64)
}

/// The nth event of an entity in the cases: its name and body say which it is.
pub(crate) fn event(sequence: u64) -> Event {
    Event { name: format!("event-{}", sequence % 3), body: format!("body {sequence}").into() }
}

/// A command's outcome without its place.
pub(crate) struct Command {
    outcome: OutcomeItem,
    events: u64,
}

impl Command {
    /// A command that records events like those of [`event`].
    pub(crate) fn new(address: &Address, events: u64) -> Self {
        let outcome = OutcomeItem {
            address: address.clone(),
            version: TypeVersion(1),
            request: caller("unnamed"),
            digest: RequestDigest(1),
            expires: TimestampMs(BEGIN_MS + RETENTION_MS),
            first_sequence: SequenceNumber(1),
            events: Vec::new(),
            reply: b"done".to_vec(),
            lifecycle: Lifecycle::Continues,
            effects: vec![Effect { kind: "effect".into(), body: b"body".to_vec() }],
        };
        Self { outcome, events }
    }

    /// These events instead.
    pub(crate) fn events(mut self, events: Vec<Event>) -> Self {
        self.outcome.events = events;
        self.events = 0;
        self
    }

    pub(crate) fn request(mut self, request: RequestId) -> Self {
        self.outcome.request = request;
        self
    }

    pub(crate) fn digest(mut self, digest: u128) -> Self {
        self.outcome.digest = RequestDigest(digest);
        self
    }

    pub(crate) fn reply(mut self, reply: impl Into<Vec<u8>>) -> Self {
        self.outcome.reply = reply.into();
        self
    }

    pub(crate) fn expires_after(mut self, after_ms: u64) -> Self {
        self.outcome.expires = TimestampMs(BEGIN_MS + after_ms);
        self
    }

    pub(crate) fn ends(mut self, lifecycle: Lifecycle) -> Self {
        self.outcome.lifecycle = lifecycle;
        self
    }

    pub(crate) fn version(mut self, version: u32) -> Self {
        self.outcome.version = TypeVersion(version);
        self
    }

    /// The outcome, of an entity whose last number is this.
    pub(crate) fn after(mut self, last: u64) -> Item {
        self.outcome.first_sequence = SequenceNumber(last + 1);
        self.outcome.events.extend((1..=self.events).map(|nth| event(last + nth)));
        Item::Outcome(self.outcome)
    }
}

/// A snapshot whose state says where it was taken.
pub(crate) fn snapshot(address: &Address, sequence: u64) -> SnapshotItem {
    SnapshotItem {
        address: address.clone(),
        version: TypeVersion(1),
        sequence: SequenceNumber(sequence),
        state: format!("state {sequence}").into(),
        drop_events_through: None,
    }
}

/// The entry after the partition's last.
pub(crate) fn next_entry(
    subject: &dyn Subject,
    partition: PartitionId,
    after_ms: u64,
    items: Vec<Item>,
) -> Entry {
    let (term, head) = subject.head(partition);
    Entry {
        partition,
        term: term.max(Term(1)),
        index: head.next(),
        at: TimestampMs(BEGIN_MS + after_ms),
        items,
    }
}

/// Appends an entry of these items to a partition, at a time.
pub(crate) fn commit_in(
    subject: &mut dyn Subject,
    partition: PartitionId,
    after_ms: u64,
    items: Vec<Item>,
) {
    let entry = next_entry(subject, partition, after_ms, items);
    subject.append(entry).expect("it is taken");
}

/// Appends an entry of these items, at the begin.
pub(crate) fn commit(subject: &mut dyn Subject, items: Vec<Item>) {
    commit_in(subject, HERE, 0, items);
}

/// Handles a command.
pub(crate) fn handle(subject: &mut dyn Subject, command: Command) {
    handle_at(subject, 0, command);
}

/// Handles a command at a time.
pub(crate) fn handle_at(subject: &mut dyn Subject, after_ms: u64, command: Command) {
    let last = last(subject, &command.outcome.address);
    commit_in(subject, HERE, after_ms, vec![command.after(last)]);
}

/// Has an entity record so many events, each by a command of its own.
pub(crate) fn record(subject: &mut dyn Subject, address: &Address, events: u64) {
    for _ in 0..events {
        handle(subject, Command::new(address, 1));
    }
}

/// Stores a snapshot that drops nothing.
pub(crate) fn take_snapshot(subject: &mut dyn Subject, address: &Address, sequence: u64) {
    commit(subject, vec![Item::Snapshot(snapshot(address, sequence))]);
}

/// Stores a snapshot that drops events.
pub(crate) fn drop_events(
    subject: &mut dyn Subject,
    address: &Address,
    sequence: u64,
    through: u64,
) {
    let drop_events_through = Some(SequenceNumber(through));
    let item = SnapshotItem { drop_events_through, ..snapshot(address, sequence) };
    commit(subject, vec![Item::Snapshot(item)]);
}

/// Commands of no account, to one entity: what is done bit by bit gets done.
pub(crate) fn pass_time(subject: &mut dyn Subject, after_ms: u64, commands: u64) {
    let clock = address("clock/1");
    for _ in 0..commands {
        handle_at(subject, after_ms, Command::new(&clock, 0).expires_after(0));
    }
}

/// So many commands under minted ids, in one entry, that older ones are not among the
/// newest any more. Their replies are kept for long.
pub(crate) fn mint_many(subject: &mut dyn Subject, after_ms: u64) {
    let clock = address("clock/1");
    let last = last(subject, &clock);
    let command = |nth| Command::new(&clock, 0).request(minted(after_ms, nth)).after(last);
    let items = (0..stead_journal::MINTED_KEPT).map(|nth| command((1 << 40) + nth)).collect();
    commit_in(subject, HERE, after_ms, items);
}

pub(crate) fn record_of(subject: &dyn Subject, address: &Address) -> EntityRecord {
    subject.entity(HERE, address).expect("it is known")
}

/// An entity's last number, 0 if it isn't known.
pub(crate) fn last(subject: &dyn Subject, address: &Address) -> u64 {
    subject.entity(HERE, address).map_or(0, |record| record.last_sequence.get())
}

pub(crate) fn events(subject: &dyn Subject, address: &Address, bounds: Bounds) -> Vec<StoredEvent> {
    subject.events(HERE, address, bounds)
}

/// The numbers of the events within bounds.
pub(crate) fn numbers(subject: &dyn Subject, address: &Address, bounds: Bounds) -> Vec<u64> {
    events(subject, address, bounds).iter().map(|event| event.sequence.get()).collect()
}

/// The number of the newest snapshot at or below a number.
pub(crate) fn snapshot_at(subject: &dyn Subject, address: &Address, at_most: u64) -> Option<u64> {
    let found = subject.snapshot(HERE, address, SequenceNumber(at_most));
    found.map(|snapshot| snapshot.sequence.get())
}

pub(crate) fn reply(
    subject: &dyn Subject,
    address: &Address,
    request: &RequestId,
) -> Option<RecordedReply> {
    subject.reply(HERE, address, request)
}

/// The ids of entities of a type.
pub(crate) fn ids(
    subject: &dyn Subject,
    of_type: &str,
    after: Option<&str>,
    count_max: usize,
) -> Vec<String> {
    let after = after.map(|id| id.parse().expect("an id"));
    let ids = subject.entities(HERE, &entity_type(of_type), after.as_ref(), count_max);
    ids.into_iter().map(String::from).collect()
}

/// That an entry contradicts what came before it.
#[track_caller]
pub(crate) fn assert_inconsistent(result: Result<(), JournalError>, at: LogIndex) {
    match result {
        Err(JournalError::Inconsistent { index, .. }) => assert_eq!(index, at),
        other => panic!("entry {at} is to be refused as inconsistent, and not: {other:?}"),
    }
}
