//! What the log says is committed is about entries that are in it, whenever the
//! power goes: never about one that was given up, or is still to come.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use stead_journal::{
    Done, Journal, JournalError, JournalEvents, JournalOptions, PartitionLog,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    Entry, Item, LogIndex, LogPosition, PartitionCount, PartitionId, Term, TimestampMs,
};

const PARTITION: PartitionId = PartitionId(1);

struct Deaf;

impl JournalEvents for Deaf {
    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}
    fn checkpointed(&self, _partition: PartitionId, _through: LogPosition) {}
}

fn open(disk: &SimDisk, segment_bytes: u64) -> Result<Journal, JournalError> {
    let options = JournalOptions {
        partitions: PartitionCount::new(2).expect("a count"),
        segment_bytes,
        apply_delay_ms: 0,
        cache_bytes: 4 << 20,
        ..JournalOptions::default()
    };
    Ok(Journal::open(Arc::new(disk.clone()), options, Arc::new(Deaf))?.0)
}

fn append(log: &PartitionLog, term: u64, index: u64, done: Done) -> Result<(), JournalError> {
    let entry = Entry {
        partition: log.partition(),
        term: Term(term),
        index: LogIndex(index),
        at: TimestampMs(index),
        items: vec![Item::Members(format!("{term}.{index} {}", "x".repeat(100)).into_bytes())],
    };
    log.append(&[Arc::new(entry)], done)
}

/// A follower whose last entry is given up for another leader's again and again,
/// and which hears at once that the other is committed. `wait`: whether each is
/// durable before the next.
fn given_up_and_committed(
    disk: &SimDisk,
    segment_bytes: u64,
    rounds: u64,
    wait: bool,
) -> Result<(), JournalError> {
    let journal = open(disk, segment_bytes)?;
    let log = journal.log(PARTITION);
    log.vote(&b"vote".as_slice().into(), Done::nothing())?;
    for round in 1..=rounds {
        let (old, new) = (2 * round, 2 * round + 1);
        append(&log, old, round, Done::nothing())?;
        let before = if round == 1 { 0 } else { 2 * round - 1 };
        let after = LogPosition { term: Term(before), index: LogIndex(round - 1) };
        log.truncate(after, Done::nothing())?;
        let (tell, told) = mpsc::channel();
        let done = Done::new(move |result| {
            let _ = tell.send(result);
        });
        append(&log, new, round, done)?;
        log.commit(LogIndex(round));
        if wait {
            told.recv().expect("told")?;
        }
    }
    Ok(())
}

#[test]
fn a_commit_is_not_written_before_what_it_is_about() {
    for (seed, wait) in (0..12).map(|seed| (seed, seed % 3 == 0)) {
        let disk = SimDisk::new();
        let segment_bytes = if seed % 2 == 0 { 64 << 10 } else { 16 << 10 };
        given_up_and_committed(&disk, segment_bytes, 600, wait).expect("it has power");
        let survivors = if seed < 3 { Survivors::All } else { Survivors::Some(seed) };
        let disk = disk.restart(survivors);
        let journal = open(&disk, segment_bytes).expect("it opens");
        let state = journal.log(PARTITION).state();
        assert!(state.committed <= state.last.index, "seed {seed}: {state:?}");
        if state.committed > LogIndex(0) {
            let term = journal.log(PARTITION).term_of(state.committed).expect("read");
            let right = Term(2 * state.committed.get() + 1);
            // What is applied may have left the log.
            assert!(term.is_none_or(|term| term == right), "seed {seed}: {term:?} in {state:?}");
        }
    }
}

#[test]
fn power_lost_at_every_write_leaves_no_commit_of_what_was_given_up() {
    let mut tried = 0;
    for at in (0..).step_by(3) {
        let disk = SimDisk::new();
        disk.lose_power_after(at);
        let run = given_up_and_committed(&disk, 16 << 10, 60, true);
        let lost = disk.power_is_off();
        assert!(run.is_ok() || lost, "it fails only without power: {run:?}");
        for survivors in [Survivors::None, Survivors::Some(at + 1), Survivors::All] {
            let disk = disk.restart(survivors);
            let journal = open(&disk, 16 << 10).expect("it opens");
            let state = journal.log(PARTITION).state();
            assert!(state.committed <= state.last.index, "point {at}: {state:?}");
            tried += 1;
        }
        if !lost {
            break;
        }
    }
    assert!(tried > 30, "{tried} tries");
}

/// A partition's first word in the log may be a vote, or that its first entry is
/// given up. Then the log grew into a second segment, whose header named that
/// partition with no entry, while reading the first named it not, or the other way
/// round: the node didn't start any more, and took its log for damaged.
#[test]
fn a_partition_without_entries_is_no_damage_to_a_log_of_several_segments() {
    for gives_up in [false, true] {
        let disk = SimDisk::new();
        let other = |journal: &Journal| journal.log(PartitionId(0));
        let fill = |journal: &Journal, rounds: std::ops::RangeInclusive<u64>| {
            let log = journal.log(PARTITION);
            for index in rounds {
                let (tell, told) = mpsc::channel();
                let done = Done::new(move |result| drop(tell.send(result)));
                append(&log, 1, index, done).expect("taken");
                told.recv().expect("told").expect("durable");
                log.commit(LogIndex(index));
            }
        };
        let journal = open(&disk, 16 << 10).expect("it opens");
        other(&journal).vote(&b"vote".as_slice().into(), Done::nothing()).expect("taken");
        if gives_up {
            let entry = Entry {
                partition: PartitionId(0),
                term: Term(1),
                index: LogIndex(1),
                at: TimestampMs(1),
                items: Vec::new(),
            };
            other(&journal).append(&[Arc::new(entry)], Done::nothing()).expect("taken");
            other(&journal).truncate(LogPosition::default(), Done::nothing()).expect("taken");
        }
        fill(&journal, 1..=100);
        drop(journal);
        let disk = disk.kill();
        let journal = open(&disk, 16 << 10).expect("it opens with several segments");
        fill(&journal, 101..=200);
        drop(journal);
        let journal = open(&disk.kill(), 16 << 10).expect("it opens again");
        assert_eq!(journal.log(PARTITION).state().last.index, LogIndex(200));
        assert_eq!(journal.log(PartitionId(0)).state().last, LogPosition::default());
    }
}

/// Entries are gathered for a while before they are applied. Who waits for those of one
/// partition has them applied at once, also those that come later, and no others; what
/// the cluster keeps of itself is never gathered.
#[test]
fn what_is_waited_for_is_applied_at_once_and_alone() {
    let options = JournalOptions {
        partitions: PartitionCount::new(2).expect("a count"),
        apply_delay_ms: 600_000,
        cache_bytes: 4 << 20,
        ..JournalOptions::default()
    };
    let system = options.partitions.system();
    let opened = Journal::open(Arc::new(SimDisk::new()), options, Arc::new(Deaf));
    let journal = opened.expect("it opens").0;
    let commit = |partition: PartitionId, index: u64| {
        let log = journal.log(partition);
        append(&log, 1, index, Done::nothing()).expect("it is taken");
        log.commit(LogIndex(index));
    };
    let applied = |partition| journal.log(partition).applied().index;
    let wait_for = |partition: PartitionId, index: u64| {
        let until = Instant::now() + Duration::from_secs(30);
        while applied(partition) < LogIndex(index) {
            assert!(Instant::now() < until, "partition {partition} is not applied");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let (wanted, other) = (PartitionId(0), PartitionId(1));
    commit(wanted, 1);
    commit(other, 1);
    journal.flush(wanted, LogIndex(3));
    wait_for(wanted, 1);
    commit(other, 2);
    commit(wanted, 2);
    wait_for(wanted, 2);
    commit(wanted, 3);
    wait_for(wanted, 3);
    commit(system, 1);
    wait_for(system, 1);
    commit(wanted, 4);
    assert_eq!((applied(wanted), applied(other)), (LogIndex(3), LogIndex(0)));
    journal.flush(other, LogIndex(2));
    wait_for(other, 2);
    assert_eq!(applied(wanted), LogIndex(3), "nobody waits for more");
    journal.close().expect("it closes");
}
