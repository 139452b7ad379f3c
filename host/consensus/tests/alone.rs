//! A node that is alone: the same groups, each with one member.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, mpsc},
    time::{Duration, Instant},
};

use stead_consensus::{
    Batch, Consensus, ConsensusError, ConsensusEvents, Formation, Proposal, ProposalError,
};
use stead_journal::{
    Alone, AloneEvents, JournalError, JournalOptions,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    Entry, LogIndex, NodeId, PartitionCount, PartitionId, SequenceNumber, Term, TimestampMs,
};

use crate::common::{address, outcome};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Ears {
    leads: Mutex<BTreeMap<PartitionId, Term>>,
    news: Condvar,
}

impl ConsensusEvents for Ears {
    fn leads(&self, partition: PartitionId, term: Term) {
        self.leads.lock().expect("unpoisoned").insert(partition, term);
        self.news.notify_all();
    }

    fn follows(&self, partition: PartitionId, _leader: Option<NodeId>) {
        self.leads.lock().expect("unpoisoned").remove(&partition);
    }

    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}
}

fn options() -> JournalOptions {
    JournalOptions {
        partitions: PartitionCount::new(3).expect("a count"),
        segment_bytes: 16 << 10,
        checkpoint_age_ms: 20,
        apply_delay_ms: 0,
        cache_bytes: 4 << 20,
        ..JournalOptions::default()
    }
}

struct House {
    consensus: Consensus,
    terms: BTreeMap<PartitionId, Term>,
}

fn open(disk: &SimDisk) -> Result<House, ConsensusError> {
    let ears = Arc::new(Ears::default());
    let (consensus, _) = Consensus::open(
        Arc::new(disk.clone()),
        options(),
        Formation::Alone,
        Arc::clone(&ears) as _,
    )?;
    let until = Instant::now() + PATIENCE;
    let mut leads = ears.leads.lock().expect("unpoisoned");
    // The group of cluster facts tells of itself too, and may be first.
    while !partitions().all(|partition| leads.contains_key(&partition)) {
        assert!(Instant::now() < until, "it doesn't lead: {leads:?}");
        leads = ears.news.wait_timeout(leads, Duration::from_millis(20)).expect("unpoisoned").0;
    }
    let terms = leads.clone();
    drop(leads);
    Ok(House { consensus, terms })
}

type Outcome = (u64, Result<LogIndex, ProposalError>);

impl House {
    fn propose(&self, partition: PartitionId, term: Term, nth: u64, tell: &mpsc::Sender<Outcome>) {
        let tell = tell.clone();
        self.consensus.propose(Proposal {
            partition,
            term,
            batch: Batch { at: TimestampMs(nth), items: vec![outcome(partition, nth)] },
            done: Box::new(move |result| drop(tell.send((nth, result)))),
        });
    }

    /// Proposes outcomes from one on; those that were committed.
    fn run(&self, partition: PartitionId, from: u64, count: u64) -> Vec<u64> {
        let (tell, told) = mpsc::channel();
        for nth in from..from + count {
            self.propose(partition, self.terms[&partition], nth, &tell);
        }
        drop(tell);
        let mut committed = Vec::new();
        let mut last = LogIndex(0);
        for nth in from..from + count {
            let (which, result) = told.recv_timeout(PATIENCE).expect("it is told");
            assert_eq!(which, nth, "in their order");
            if let Ok(index) = result {
                assert!(index > last, "after those before");
                last = index;
                committed.push(nth);
            }
        }
        committed
    }

    /// What the store shows of a partition's entity, once it shows all that is
    /// committed.
    fn events(&self, partition: PartitionId) -> u64 {
        let target = self.consensus.committed(partition);
        let until = Instant::now() + PATIENCE;
        while *self.consensus.applied(partition).borrow() < target {
            assert!(Instant::now() < until, "it isn't applied");
            std::thread::sleep(Duration::from_millis(1));
        }
        let reader = self.consensus.reader(partition);
        let record = reader.entity(&address(partition)).expect("read");
        let last = record.map_or(0, |record| record.last_sequence.get());
        let events = reader
            .events(&address(partition), SequenceNumber(1), SequenceNumber(last), 100_000, 1 << 30)
            .expect("read");
        for (nth, event) in (1..).zip(&events) {
            assert!(event.body.starts_with(format!("{nth} ").as_bytes()), "event {nth}");
        }
        assert_eq!(events.len() as u64, last);
        last
    }
}

fn partitions() -> impl Iterator<Item = PartitionId> {
    (0..3).map(PartitionId)
}

#[test]
fn what_was_committed_is_there_after_every_way_of_ending() {
    let mut disk = SimDisk::new();
    let mut from = 1;
    for round in 0..6 {
        let house = open(&disk).unwrap_or_else(|error| panic!("round {round}: {error}"));
        for partition in partitions() {
            assert_eq!(house.events(partition), from - 1, "round {round}");
            let committed = house.run(partition, from, 100);
            assert_eq!(committed, (from..from + 100).collect::<Vec<_>>());
            assert_eq!(house.events(partition), from + 99);
        }
        from += 100;
        disk = match round % 3 {
            0 => {
                house.consensus.close().expect("closed");
                disk.kill()
            }
            1 => disk.kill(),
            _ => disk.restart(Survivors::None),
        };
    }
}

#[test]
fn a_term_that_is_over_is_refused() {
    let disk = SimDisk::new();
    let house = open(&disk).expect("it opens");
    let partition = PartitionId(1);
    let (tell, told) = mpsc::channel();
    let term = house.terms[&partition];
    house.propose(partition, Term(term.get() + 1), 1, &tell);
    house.propose(partition, Term(term.get().saturating_sub(1)), 1, &tell);
    for _ in 0..2 {
        let (_, result) = told.recv_timeout(PATIENCE).expect("it is told");
        assert!(matches!(result, Err(ProposalError::NotLeader { .. })), "{result:?}");
    }
    assert_eq!(house.events(partition), 0);
    assert_eq!(house.run(partition, 1, 3), [1, 2, 3]);
    // A later opening leads in a later term.
    house.consensus.close().expect("closed");
    let again = open(&disk.kill()).expect("it opens");
    assert!(again.terms[&partition] > term);
}

#[test]
fn the_log_is_dropped_behind_what_is_durable_in_the_stores() {
    let disk = SimDisk::new();
    let house = open(&disk).expect("it opens");
    for round in 0..20 {
        for partition in partitions() {
            house.run(partition, 1 + round * 50, 50);
        }
    }
    // Some 800 KiB went through segments of 16 KiB.
    let until = Instant::now() + PATIENCE;
    loop {
        let segments = house.consensus.status().log_segments;
        if segments < 8 {
            break;
        }
        assert!(Instant::now() < until, "there are still {segments} segments");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(house);
    let house = open(&disk.kill()).expect("it opens");
    for partition in partitions() {
        assert_eq!(house.events(partition), 1_000);
        assert_eq!(house.run(partition, 1_001, 1), [1_001]);
    }
}

#[test]
fn a_failed_sync_stops_the_groups_and_loses_nothing_that_was_committed() {
    for at in [0, 1, 5, 17, 40] {
        let disk = SimDisk::new();
        let house = open(&disk).expect("it opens");
        disk.fail_sync_after(at, "log");
        let mut committed = BTreeMap::new();
        for partition in partitions() {
            let done = house.run(partition, 1, 60);
            committed.insert(partition, done.last().copied().unwrap_or(0));
        }
        let status = house.consensus.status();
        if committed.values().any(|last| *last < 60) {
            assert!(!status.problems.is_empty(), "sync {at}: and it says so");
        }
        drop(house);
        let house = open(&disk.restart(Survivors::Some(at))).expect("it opens");
        for partition in partitions() {
            let there = house.events(partition);
            assert!(there >= committed[&partition], "sync {at}: {there} of {committed:?}");
        }
    }
}

struct Deaf;

impl AloneEvents for Deaf {
    fn durable(&self, _partition: PartitionId, _through: LogIndex) {}
    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}
    fn failed(&self, _partition: PartitionId, _from: LogIndex, error: &JournalError) {
        panic!("{error}");
    }
}

#[test]
fn a_journal_from_before_there_was_consensus_goes_on() {
    let disk = SimDisk::new();
    let (journal, _) =
        Alone::open(Arc::new(disk.clone()), options(), Arc::new(Deaf)).expect("it opens");
    for index in 1..=50 {
        for partition in [PartitionId(0), PartitionId(2)] {
            journal.append(Entry {
                partition,
                term: Term(1),
                index: LogIndex(index),
                at: TimestampMs(index),
                items: vec![outcome(partition, index)],
            });
        }
    }
    journal.close().expect("closed");
    let mut disk = disk.kill();
    for round in 0..3_u64 {
        let house = open(&disk).expect("it opens");
        for (partition, before) in [(0, 50), (1, 0), (2, 50)] {
            let partition = PartitionId(partition);
            assert_eq!(house.events(partition), before + round * 10);
            assert_eq!(house.run(partition, before + round * 10 + 1, 10).len(), 10);
        }
        drop(house);
        disk = disk.kill();
    }
}
