//! Power lost at every write of a small run, once each with nothing, everything
//! and something of the unsynced writes left; syncs that fail at every sync; a
//! disk that is full at every write; bits flipped in every file.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use stead_journal::{
    Alone, AloneEvents, JournalError, JournalOptions,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    Address, Entry, Event, Item, Lifecycle, LogIndex, OutcomeItem, PartitionCount, PartitionId,
    RequestDigest, RequestId, SequenceNumber, SnapshotItem, Term, TimestampMs, TypeVersion,
};

const PARTITIONS: u16 = 3;
const ROUNDS: u64 = 8;

fn options() -> JournalOptions {
    JournalOptions {
        partitions: PartitionCount::new(PARTITIONS).expect("a count"),
        segment_bytes: 8 << 10,
        checkpoint_age_ms: 1,
        apply_delay_ms: 0,
        cache_bytes: 4 << 20,
        ..JournalOptions::default()
    }
}

/// What the journal said of each partition.
#[derive(Default, Clone, Debug)]
struct Heard {
    durable: BTreeMap<PartitionId, LogIndex>,
    applied: BTreeMap<PartitionId, LogIndex>,
    failed: BTreeMap<PartitionId, (LogIndex, bool)>,
}

#[derive(Default)]
struct Ears {
    heard: Mutex<Heard>,
    news: Condvar,
}

impl AloneEvents for Ears {
    fn durable(&self, partition: PartitionId, through: LogIndex) {
        self.heard.lock().expect("unpoisoned").durable.insert(partition, through);
        self.news.notify_all();
    }

    fn applied(&self, partition: PartitionId, through: LogIndex) {
        self.heard.lock().expect("unpoisoned").applied.insert(partition, through);
        self.news.notify_all();
    }

    fn failed(&self, partition: PartitionId, from: LogIndex, error: &JournalError) {
        let mut heard = self.heard.lock().expect("unpoisoned");
        heard.failed.entry(partition).or_insert((from, error.is_full()));
        self.news.notify_all();
    }
}

impl Ears {
    /// Waits until something is so, or for a while.
    fn wait(&self, patience: Duration, so: impl Fn(&Heard) -> bool) -> Heard {
        let until = Instant::now() + patience;
        let mut heard = self.heard.lock().expect("unpoisoned");
        while !so(&heard) && Instant::now() < until {
            heard = self.news.wait_timeout(heard, Duration::from_millis(20)).expect("unpoisoned").0;
        }
        heard.clone()
    }
}

fn address(partition: u16) -> Address {
    format!("thing/{partition}").parse().expect("an address")
}

/// The entry of an index: two events, and now and then a snapshot that drops
/// events, or the end of a life. It is a function of partition and index, so a
/// journal can be checked without remembering what was written to it.
fn entry(partition: u16, index: u64) -> Entry {
    let first = SequenceNumber((index - 1) * 2 + 1);
    let event = |nth: u64| Event {
        name: "happened".into(),
        body: format!("{partition}-{index}-{nth} {}", "x".repeat(200)).into_bytes(),
    };
    let mut items = vec![Item::Outcome(OutcomeItem {
        address: address(partition),
        version: TypeVersion(1),
        request: match index % 2 {
            0 => RequestId::Caller(format!("key-{index}").into()),
            _ => RequestId::Minted(u128::from(index) << 80),
        },
        digest: RequestDigest(u128::from(index)),
        expires: TimestampMs(1_000_000),
        first_sequence: first,
        events: vec![event(0), event(1)],
        reply: format!("reply {index}").into_bytes(),
        lifecycle: Lifecycle::Continues,
        effects: vec![],
    })];
    if index.is_multiple_of(3) {
        items.push(Item::Snapshot(SnapshotItem {
            address: address(partition),
            version: TypeVersion(1),
            sequence: SequenceNumber(index * 2),
            state: format!("state {index}").into_bytes(),
            drop_events_through: index.is_multiple_of(6).then_some(SequenceNumber(index)),
        }));
    }
    Entry {
        partition: PartitionId(partition),
        term: Term(1),
        index: LogIndex(index),
        at: TimestampMs(index),
        items,
    }
}

/// Appends entries until something goes wrong or all are written.
fn run(journal: &Alone, ears: &Ears, from: &BTreeMap<PartitionId, LogIndex>) -> Heard {
    for round in 1..=ROUNDS {
        for partition in 0..PARTITIONS {
            let before = from.get(&PartitionId(partition)).copied().unwrap_or_default();
            journal.append(entry(partition, before.get() + round));
        }
        let id = PartitionId(0);
        let wanted = from.get(&id).copied().unwrap_or_default().get() + round;
        let heard = ears.wait(Duration::from_secs(5), |heard| {
            !heard.failed.is_empty()
                || journal.is_full()
                || heard.durable.get(&id).is_some_and(|index| index.get() >= wanted)
        });
        if !heard.failed.is_empty() || journal.is_full() {
            break;
        }
    }
    // A store that failed applies nothing more, so this may be in vain.
    let heard = ears.wait(Duration::from_millis(200), |heard| {
        !heard.failed.is_empty()
            || journal.is_full()
            || heard.applied == heard.durable && heard.durable.len() == 3
    });
    // Time for checkpoints to be made and segments to be dropped.
    std::thread::sleep(Duration::from_millis(3));
    heard
}

fn open(disk: &SimDisk) -> Result<(Alone, Arc<Ears>), JournalError> {
    let ears = Arc::new(Ears::default());
    let events: Arc<dyn AloneEvents> = Arc::clone(&ears) as _;
    let (journal, _) = Alone::open(Arc::new(disk.clone()), options(), events)?;
    Ok((journal, ears))
}

/// Everything that a partition's store says must be what its entries say, up to
/// its last index. That index.
fn check(journal: &Alone, partition: u16) -> Result<LogIndex, String> {
    let last = journal.last_index(PartitionId(partition));
    let reader = journal.reader(PartitionId(partition));
    let text = |error: JournalError| error.to_string();
    let record = reader.entity(&address(partition)).map_err(text)?;
    let Some(record) = record else {
        return if last.get() == 0 { Ok(last) } else { Err(format!("nothing, at {last}")) };
    };
    if record.last_sequence.get() != last.get() * 2 {
        return Err(format!("number {} at entry {last}", record.last_sequence));
    }
    let dropped = (1..=last.get()).rev().find(|index| index % 6 == 0).unwrap_or(0);
    if record.first_stored.get() != dropped + 1 {
        return Err(format!("first stored {} at entry {last}", record.first_stored));
    }
    let events = reader
        .events(&address(partition), SequenceNumber(1), record.last_sequence, 10_000, 1 << 30)
        .map_err(text)?;
    let expected = (1..=last.get()).flat_map(|index| match &entry(partition, index).items[0] {
        Item::Outcome(outcome) => outcome.events.clone(),
        Item::Snapshot(_) | Item::Members(_) => vec![],
    });
    let expected: Vec<_> = expected.skip(dropped as usize).map(|event| event.body).collect();
    if events.into_iter().map(|event| event.body).collect::<Vec<_>>() != expected {
        return Err(format!("other events at entry {last}"));
    }
    for index in 1..=last.get() {
        let Item::Outcome(outcome) = &entry(partition, index).items[0] else { continue };
        let reply = reader.reply(&address(partition), &outcome.request).map_err(text)?;
        if reply.map(|reply| reply.reply) != Some(outcome.reply.clone()) {
            return Err(format!("another reply to entry {index}"));
        }
    }
    let snapshot = reader.snapshot(&address(partition), record.last_sequence).map_err(text)?;
    let newest = (1..=last.get()).rev().find(|index| index % 3 == 0);
    if snapshot.map(|view| view.state) != newest.map(|index| format!("state {index}").into_bytes())
    {
        return Err(format!("another snapshot at entry {last}"));
    }
    Ok(last)
}

/// After whatever happened: it opens, what was acknowledged is there, and what is
/// there is right; and it goes on from there.
fn check_all(journal: &Alone, heard: &Heard) -> Result<BTreeMap<PartitionId, LogIndex>, String> {
    let mut heads = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let last = check(journal, partition).map_err(|what| format!("{partition}: {what}"))?;
        let id = PartitionId(partition);
        let acknowledged = heard.durable.get(&id).copied().unwrap_or_default();
        if last < acknowledged {
            return Err(format!("{partition}: acknowledged to {acknowledged}, there to {last}"));
        }
        heads.insert(id, last);
    }
    Ok(heads)
}

/// How many write points the whole run has, about: threads make it vary.
fn points() -> u64 {
    let disk = SimDisk::new();
    let (journal, ears) = open(&disk).expect("opened");
    run(&journal, &ears, &BTreeMap::new());
    journal.close().expect("closed");
    disk.points()
}

/// After `what` came to its process, a journal opens with all that was acknowledged,
/// takes more, and has that too when power is lost later.
fn go_on_and_lose_power(disk: &SimDisk, heard: &Heard, what: &str) {
    let again = |disk: &SimDisk| open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let whole = |journal: &Alone, heard: &Heard| {
        check_all(journal, heard).unwrap_or_else(|found| panic!("{what}: {found}"))
    };
    let (journal, ears) = again(disk);
    let heads = whole(&journal, heard);
    let mut heard = run(&journal, &ears, &heads);
    heard.durable = ears.heard.lock().expect("unpoisoned").durable.clone();
    assert!(heard.failed.is_empty(), "{what}: it does not go on: {heard:?}");
    let disk = disk.restart(Survivors::None);
    drop(journal);
    whole(&again(&disk).0, &heard);
}

fn lose_power(at: u64, survivors: Survivors, ignore_syncs: bool) -> Result<bool, String> {
    let disk = SimDisk::new();
    disk.ignore_syncs(ignore_syncs);
    disk.lose_power_after(at);
    let mut heard = Heard::default();
    if let Ok((journal, ears)) = open(&disk) {
        heard = run(&journal, &ears, &BTreeMap::new());
        let _ = journal.close();
        heard.durable = ears.heard.lock().expect("unpoisoned").durable.clone();
    }
    let was_lost = disk.power_is_off();
    let disk = disk.restart(survivors);
    let (journal, ears) = open(&disk).map_err(|error| format!("does not open: {error}"))?;
    let heads = check_all(&journal, &heard)?;
    // It goes on, is killed without a goodbye, and still has everything.
    let mut heard = run(&journal, &ears, &heads);
    heard.durable = ears.heard.lock().expect("unpoisoned").durable.clone();
    if !heard.failed.is_empty() {
        return Err(format!("does not go on: {:?}", heard.failed));
    }
    let disk = disk.restart(survivors);
    drop(journal);
    disk.ignore_syncs(false);
    let (journal, _) = open(&disk).map_err(|error| format!("does not open again: {error}"))?;
    check_all(&journal, &heard).map_err(|what| format!("the second time, {what}"))?;
    Ok(was_lost)
}

#[test]
fn power_lost_at_every_write_loses_nothing_that_was_acknowledged() {
    let points = points();
    let mut tried = 0_u64;
    let mut past_the_end = 0;
    for at in 0.. {
        let mut lost = false;
        for survivors in [
            Survivors::None,
            Survivors::All,
            Survivors::Some(at * 7 + 1),
            Survivors::Some(at * 7 + 2),
        ] {
            let result = lose_power(at, survivors, false);
            lost |= result.unwrap_or_else(|what| panic!("point {at}, {survivors:?}: {what}"));
            tried += 1;
        }
        past_the_end = if lost { 0 } else { past_the_end + 1 };
        if past_the_end > 3 || at > points * 3 {
            break;
        }
    }
    println!("{tried} crash points tried, over about {points} write points");
    assert!(tried > 4 * points / 2, "too few");
}

/// A kill leaves files whose names the system knows and the disk doesn't yet. A
/// segment of that kind was once written to after the kill, and was gone with
/// all that had been acknowledged in it when power was lost later.
#[test]
fn a_kill_at_every_write_and_a_power_loss_later_lose_nothing_that_was_acknowledged() {
    let points = points();
    let mut tried = 0;
    for at in 0..points {
        let disk = SimDisk::new();
        disk.lose_power_after(at);
        let mut heard = Heard::default();
        if let Ok((journal, ears)) = open(&disk) {
            heard = run(&journal, &ears, &BTreeMap::new());
            let _ = journal.close();
            heard.durable = ears.heard.lock().expect("unpoisoned").durable.clone();
        }
        tried += u64::from(disk.power_is_off());
        // The system has all that was written until then, and loses power later.
        let disk = disk.kill();
        go_on_and_lose_power(&disk, &heard, &format!("killed at point {at}"));
    }
    println!("{tried} kills tried");
    assert!(tried > points / 2, "too few");
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_found() {
    let points = points();
    let found = (points / 3..points).find_map(|at| {
        // The first opening is past, so what is missed is what was acknowledged.
        lose_power(at, Survivors::None, true).err()
    });
    println!("found: {}", found.expect("nothing was found"));
}

#[test]
fn a_failed_sync_ends_the_log_and_loses_nothing_that_was_acknowledged() {
    let points = points();
    let mut failures = 0;
    for at in 0..points {
        let disk = SimDisk::new();
        let (journal, ears) = open(&disk).expect("opened");
        disk.fail_sync_after(at, "log");
        let mut heard = run(&journal, &ears, &BTreeMap::new());
        if let Some((_, full)) = heard.failed.values().next() {
            failures += 1;
            assert!(!full, "a failed sync is no full disk");
            assert!(!journal.status().problems.is_empty(), "and the journal says so");
            let next = heard.durable.get(&PartitionId(0)).copied().unwrap_or_default().next();
            journal.append(entry(0, next.get()));
            std::thread::sleep(Duration::from_millis(1));
            let after = ears.heard.lock().expect("unpoisoned").durable.clone();
            assert_eq!(after, heard.durable, "nothing more is acknowledged");
        }
        let _ = journal.close();
        heard.durable = ears.heard.lock().expect("unpoisoned").durable.clone();
        let disk = disk.restart(Survivors::Some(at));
        let (journal, _) = open(&disk).unwrap_or_else(|error| panic!("sync {at}: {error}"));
        check_all(&journal, &heard).unwrap_or_else(|what| panic!("sync {at}: {what}"));
    }
    println!("{failures} failed syncs tried");
    assert!(failures > 5, "too few");
}

/// A sync that failed may leave pages that the system takes for clean, and shows to
/// whoever reads them, though the disk doesn't have them. What is written behind them
/// once the journal is opened again must not outlive them: not behind a group, and not
/// behind the mark that says that it is durable.
#[test]
fn what_a_failed_sync_left_is_written_again_before_anything_follows() {
    let before = SimDisk::new();
    let (journal, ears) = open(&before).expect("opened");
    journal.append(entry(0, 1));
    let heard = ears.wait(Duration::from_secs(10), |heard| !heard.durable.is_empty());
    // Killed at once: there is no mark behind it yet.
    let before = before.kill();
    drop(journal);
    let whole_opening = before.fork();
    drop(open(&whole_opening).expect("opened"));
    let mut failures = 0;
    let mut marks = 0;
    for at in 0..whole_opening.points() {
        let disk = before.fork();
        disk.fail_sync_after(at, "log");
        match open(&disk).map(|(journal, _)| journal.close()) {
            Ok(_) => {}
            Err(JournalError::Failed { operation: "sync", file, .. }) => {
                marks += u64::from(file.ends_with(".log"));
            }
            Err(error) => println!("point {at}: {error}"),
        }
        failures += disk.faults_injected();
        // The process ends, and the machine does not.
        let disk = disk.kill();
        go_on_and_lose_power(&disk, &heard, &format!("a sync failed at point {at}"));
    }
    println!("{failures} syncs failed, {marks} of marks");
    assert!(failures > 3 && marks > 0, "too few");
}

#[test]
fn a_full_disk_refuses_what_is_new_and_goes_on_when_there_is_room() {
    let points = points();
    let mut refusals = 0;
    for at in 0..points {
        let disk = SimDisk::new();
        let (journal, ears) = open(&disk).expect("opened");
        disk.full_after(at);
        let heard = run(&journal, &ears, &BTreeMap::new());
        refusals += u64::from(journal.is_full() || !heard.failed.is_empty());
        for (partition, (from, full)) in &heard.failed {
            assert!(full, "point {at}: entry {from} of {partition} is lost, not refused");
        }
        disk.heal();
        // What was taken waited for room, and needs nothing more. What was refused
        // can be sent again; it takes the place of what was refused.
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            ears.heard.lock().expect("unpoisoned").failed.clear();
            let heads = ears.wait(Duration::from_secs(10), |heard| {
                (0..PARTITIONS).map(PartitionId).all(|partition| {
                    heard.durable.get(&partition).copied().unwrap_or_default()
                        == journal.last_index(partition)
                })
            });
            let again = run(&journal, &ears, &heads.durable);
            if again.failed.is_empty() && !journal.is_full() {
                break;
            }
            assert!(Instant::now() < until, "point {at}: service does not resume: {again:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        journal.close().unwrap_or_else(|error| panic!("point {at}: {error}"));
        let heard = ears.heard.lock().expect("unpoisoned").clone();
        let (journal, _) = open(&disk.kill()).unwrap_or_else(|error| panic!("{at}: {error}"));
        check_all(&journal, &heard).unwrap_or_else(|what| panic!("point {at}: {what}"));
    }
    println!("full at {points} points, {refusals} of them refused something");
    assert!(refusals > 3, "too few");
}

#[test]
fn a_flipped_bit_is_found_or_harmless_and_never_silently_different() {
    let disk = SimDisk::new();
    let (journal, ears) = open(&disk).expect("opened");
    let heard = run(&journal, &ears, &BTreeMap::new());
    drop(journal);
    let disk = disk.kill();
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for path in disk.paths() {
        if path == "lock" {
            continue;
        }
        let bits = disk.contents(&path).expect("a file").len() as u64 * 8;
        let flips = 150;
        let kind = path.split('/').next().unwrap_or(&path).to_owned();
        for nth in 0..flips {
            // Half of them near the beginning, where there is more to hurt.
            let bit =
                if nth % 2 == 0 { bits.min(65_536) * nth / flips } else { bits * nth / flips };
            let damaged = disk.fork();
            assert!(damaged.flip(&path, bit), "there is such a bit");
            let opened = open(&damaged).map_err(|error| error.to_string());
            let found = opened.and_then(|(journal, _)| check_all(&journal, &heard));
            let count = counts.entry(kind.clone()).or_default();
            match found {
                Ok(_) => count.1 += 1,
                Err(what) => {
                    assert!(
                        what.contains(path.split('/').next_back().unwrap_or(&path))
                            || what.contains("damaged")
                            || what.contains("missing"),
                        "{path} bit {bit}: {what}"
                    );
                    count.0 += 1;
                }
            }
        }
    }
    println!("flips found and harmless, by kind of file: {counts:?}");
    assert!(counts.values().all(|(found, _)| *found > 0), "{counts:?}");
}
