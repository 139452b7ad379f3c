//! A store that goes from one node to another, and takes the place of the one
//! there; with power lost at every write meanwhile.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use stead_journal::{
    Done, Journal, JournalError, JournalEvents, JournalOptions, PartitionLog, Received,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    Address, Entry, Event, Item, Lifecycle, LogIndex, LogPosition, OutcomeItem, PartitionCount,
    PartitionId, RequestDigest, RequestId, SequenceNumber, SnapshotItem, Term, TimestampMs,
    TypeVersion,
};

const PARTITION: PartitionId = PartitionId(1);
const PATIENCE: Duration = Duration::from_secs(20);

struct Deaf;

impl JournalEvents for Deaf {
    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}
    fn checkpointed(&self, _partition: PartitionId, _through: LogPosition) {}
}

fn open(disk: &SimDisk) -> Result<Journal, JournalError> {
    let options = JournalOptions {
        partitions: PartitionCount::new(2).expect("a count"),
        segment_bytes: 16 << 10,
        checkpoint_age_ms: 5,
        apply_delay_ms: 0,
        cache_bytes: 4 << 20,
        ..JournalOptions::default()
    };
    Ok(Journal::open(Arc::new(disk.clone()), options, Arc::new(Deaf))?.0)
}

fn address(nth: u64) -> Address {
    format!("thing/{}", nth % 3).parse().expect("an address")
}

/// The number of an index's event among its entity's: the first entry has none.
fn sequence(index: u64) -> SequenceNumber {
    SequenceNumber((2..=index).filter(|earlier| earlier % 3 == index % 3).count() as u64)
}

/// The entry of an index, by whoever leads in a term.
fn entry(term: u64, index: u64) -> Arc<Entry> {
    let mut items = vec![Item::Outcome(OutcomeItem {
        address: address(index),
        version: TypeVersion(1),
        request: match index % 2 {
            0 => RequestId::Caller(format!("key-{index}").into()),
            _ => RequestId::Minted(u128::from(index) << 80),
        },
        digest: RequestDigest(u128::from(index)),
        expires: TimestampMs(1_000_000),
        first_sequence: sequence(index),
        events: vec![Event {
            name: "happened".into(),
            body: format!("{term}-{index} {}", "x".repeat(150)).into_bytes(),
        }],
        reply: format!("{term}-{index}").into_bytes(),
        lifecycle: Lifecycle::Continues,
        effects: vec![],
    })];
    if index.is_multiple_of(20) {
        items.push(Item::Snapshot(SnapshotItem {
            address: address(index),
            version: TypeVersion(1),
            sequence: sequence(index),
            state: format!("state {index}").into_bytes(),
            drop_events_through: None,
        }));
    }
    if index == 1 {
        items = vec![Item::Members(b"members".to_vec())];
    }
    let (term, index) = (Term(term), LogIndex(index));
    Arc::new(Entry { partition: PARTITION, term, index, at: TimestampMs(index.get()), items })
}

fn append(log: &PartitionLog, term: u64, from: u64, to: u64) -> Result<(), JournalError> {
    let (tell, told) = mpsc::channel();
    for index in from..=to {
        let tell = tell.clone();
        let done = Done::new(move |result| {
            let _ = tell.send(result);
        });
        log.append(&[entry(term, index)], done)?;
    }
    (from..=to).try_for_each(|_| told.recv_timeout(PATIENCE).expect("it is told"))
}

fn vote(log: &PartitionLog) -> Result<(), JournalError> {
    let (tell, told) = mpsc::channel();
    let done = Done::new(move |result| {
        let _ = tell.send(result);
    });
    log.vote(&b"vote".as_slice().into(), done)?;
    told.recv_timeout(PATIENCE).expect("it is told")
}

fn wait_applied(log: &PartitionLog, index: u64) {
    let until = Instant::now() + PATIENCE;
    while log.applied().index.get() < index {
        assert!(Instant::now() < until, "entry {index} is not applied");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Everything that a store shows, as text.
fn shown(log: &PartitionLog) -> Vec<String> {
    let reader = log.reader();
    let mut shown = vec![format!("{:?}", log.members())];
    for nth in 0..3 {
        let record = reader.entity(&address(nth)).expect("read");
        shown.push(format!("{record:?}"));
        let Some(record) = record else { continue };
        let last = record.last_sequence;
        let events = reader.events(&address(nth), SequenceNumber(1), last, 10_000, 1 << 30);
        shown.extend(events.expect("read").iter().map(|event| format!("{event:?}")));
        shown.push(format!("{:?}", reader.snapshot(&address(nth), last).expect("read")));
    }
    for index in 2..=log.applied().index.get() {
        let Item::Outcome(outcome) = &entry(1, index).items[0] else { continue };
        let reply = reader.reply(&outcome.address, &outcome.request).expect("read");
        shown.push(format!("{:?}", reply.expect("it is kept").digest));
    }
    shown
}

/// A node with three hundred entries, all committed and applied.
fn sender() -> (SimDisk, Journal) {
    let disk = SimDisk::new();
    let journal = open(&disk).expect("it opens");
    let log = journal.log(PARTITION);
    vote(&log).expect("kept");
    append(&log, 2, 1, 300).expect("durable");
    log.commit(LogIndex(300));
    wait_applied(&log, 300);
    (disk, journal)
}

/// A node that was left behind: ten entries, seven of them committed, the others
/// of a leader that is gone.
fn receiver(disk: &SimDisk) -> Result<Journal, JournalError> {
    let journal = open(disk)?;
    let log = journal.log(PARTITION);
    vote(&log)?;
    append(&log, 2, 1, 7)?;
    append(&log, 3, 8, 10)?;
    log.commit(LogIndex(7));
    Ok(journal)
}

fn send(from: &Journal, to: &PartitionLog) -> Result<Received, JournalError> {
    let export = from.reader(PARTITION).export().expect("it can be read");
    let mut receiving = to.receive()?;
    let mut nth = 0;
    while let Some(chunk) = export.chunk(nth, 4 << 10).expect("it can be read") {
        assert_eq!(export.chunk(nth, 4 << 10).expect("again").as_ref(), Some(&chunk));
        assert_eq!(receiving.chunks(), nth);
        receiving.take(&chunk)?;
        nth += 1;
    }
    assert!(nth > 5, "it took {nth} chunks");
    let received = receiving.finish()?;
    assert_eq!(received.position(), export.position());
    Ok(received)
}

#[test]
fn a_store_takes_the_place_of_one_that_was_left_behind() {
    let (_disk, from) = sender();
    let there = shown(&from.log(PARTITION));
    let disk = SimDisk::new();
    let to = receiver(&disk).expect("it opens");
    let log = to.log(PARTITION);
    let received = send(&from, &log).expect("received");
    log.replace(&received).expect("in place");
    assert_eq!(shown(&log), there);
    let at = LogPosition { term: Term(2), index: LogIndex(300) };
    let state = log.state();
    assert_eq!((state.begins_after, state.last, state.committed), (at, at, at.index));
    assert_eq!(state.vote.as_deref(), Some(b"vote".as_slice()), "the vote stays");
    assert!(log.read(LogIndex(8), LogIndex(11), 1 << 20).expect("read").is_empty());
    // It goes on from there, and again after a restart.
    append(&log, 4, 301, 320).expect("durable");
    log.commit(LogIndex(320));
    wait_applied(&log, 320);
    drop((log, to));
    let disk = disk.restart(Survivors::None);
    let to = open(&disk).expect("it opens");
    let log = to.log(PARTITION);
    assert_eq!(log.state().last.index, LogIndex(320));
    log.commit(LogIndex(320));
    wait_applied(&log, 320);
    assert!(
        !disk.paths().iter().any(|path| path.contains("incoming") || path.contains("received"))
    );
}

#[test]
fn power_lost_at_every_write_leaves_the_old_store_or_the_new_one() {
    let (_disk, from) = sender();
    let there = shown(&from.log(PARTITION));
    let (mut old, mut new, mut past_the_end) = (0, 0, 0);
    for at in 0.. {
        let mut lost = false;
        for survivors in [Survivors::None, Survivors::All, Survivors::Some(at * 3 + 1)] {
            let disk = SimDisk::new();
            disk.lose_power_after(at);
            let mut replaced = false;
            if let Ok(to) = receiver(&disk) {
                let log = to.log(PARTITION);
                replaced = send(&from, &log).and_then(|received| log.replace(&received)).is_ok();
            }
            lost |= disk.power_is_off();
            let disk = disk.restart(survivors);
            let to =
                open(&disk).unwrap_or_else(|error| panic!("point {at}, {survivors:?}: {error}"));
            let log = to.log(PARTITION);
            if log.state().last.index == LogIndex(300) {
                new += 1;
                assert_eq!(shown(&log), there, "point {at}, {survivors:?}");
            } else {
                old += 1;
                assert!(!replaced, "point {at}, {survivors:?}: it was in place");
                assert!(log.state().last.index <= LogIndex(10));
            }
        }
        past_the_end = if lost { 0 } else { past_the_end + 1 };
        if past_the_end > 3 {
            break;
        }
    }
    println!("the old store was there {old} times, the new one {new} times");
    assert!(old > 20 && new > 5, "{old} and {new}");
}

#[test]
fn what_is_garbled_or_out_of_turn_is_refused() {
    let (_disk, from) = sender();
    let export = from.reader(PARTITION).export().expect("it can be read");
    assert!(export.chunk(1, 4 << 10).is_err(), "the first was not asked for");
    let first = export.chunk(0, 4 << 10).expect("read").expect("there is one");
    let second = export.chunk(1, 4 << 10).expect("read").expect("there is one");
    let disk = SimDisk::new();
    let to = open(&disk).expect("it opens");
    for bit in [0, 40, 77, first.len() * 8 - 1] {
        let mut flipped = first.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(to.receive(PARTITION).expect("begun").take(&flipped).is_err(), "bit {bit}");
    }
    assert!(to.receive(PARTITION).expect("begun").take(&second).is_err(), "not the first");
    // A part of a store is none, and another partition's store isn't either.
    let mut stray = to.receive(PartitionId(0)).expect("begun");
    assert!(stray.take(&first).is_err(), "of another partition");
    assert!(to.receive(PARTITION).expect("begun").finish().is_err(), "it has nothing");
    assert_eq!(to.log(PARTITION).applied(), LogPosition::default());
}
