//! Whole journals as versions of this program have left them: each opens, has
//! exactly what was in it, and is written to further.
//!
//! `tests/golden/README.md` says how a version is added. Never make a file
//! again: what is to be shown is that journals of *then* open *now*.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use stead_journal::{
    Alone, AloneEvents, JournalError, JournalOptions, RecoveryReport, StoreReader,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    Address, Effect, Entry, Event, Item, Lifecycle, LogIndex, OutcomeItem, PartitionCount,
    PartitionId, RequestDigest, RequestId, SequenceNumber, SnapshotItem, Term, TimestampMs,
    TypeVersion,
};

const HERE: PartitionId = PartitionId(0);
const THERE: PartitionId = PartitionId(1);
const AT: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn options() -> JournalOptions {
    JournalOptions {
        partitions: PartitionCount::new(2).expect("a count"),
        segment_bytes: 64 << 10,
        checkpoint_age_ms: 3_600_000,
        apply_delay_ms: 0,
        cache_bytes: 2 << 20,
        ..JournalOptions::default()
    }
}

#[derive(Default)]
struct Ears {
    applied: Mutex<u64>,
    news: Condvar,
}

impl AloneEvents for Ears {
    fn durable(&self, _partition: PartitionId, _through: LogIndex) {}

    fn applied(&self, partition: PartitionId, through: LogIndex) {
        if partition == HERE {
            *self.applied.lock().expect("unpoisoned") = through.get();
            self.news.notify_all();
        }
    }

    fn failed(&self, _partition: PartitionId, from: LogIndex, error: &JournalError) {
        eprintln!("entry {from}: {error}");
    }
}

impl Ears {
    fn wait(&self, index: u64) {
        let applied = self.applied.lock().expect("unpoisoned");
        let patience = Duration::from_secs(10);
        let waited = self.news.wait_timeout_while(applied, patience, |applied| *applied < index);
        assert!(!waited.expect("unpoisoned").1.timed_out(), "entry {index} is not applied");
    }
}

fn open(disk: &SimDisk) -> (Alone, RecoveryReport, Arc<Ears>) {
    let ears = Arc::new(Ears::default());
    let events: Arc<dyn AloneEvents> = Arc::clone(&ears) as _;
    let opened = Alone::open(Arc::new(disk.clone()), options(), events);
    let (journal, report) = opened.expect("a journal of an earlier version opens");
    (journal, report, ears)
}

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn body(sequence: u64) -> Vec<u8> {
    format!("the body of event {sequence}").into_bytes()
}

/// The outcome of a command that recorded so many events after a number.
fn outcome(
    text: &str,
    after: u64,
    events: u64,
    request: RequestId,
    lifecycle: Lifecycle,
) -> OutcomeItem {
    OutcomeItem {
        address: address(text),
        version: TypeVersion(2),
        request,
        digest: RequestDigest(u128::from(after) + 1),
        expires: TimestampMs(AT + DAY_MS),
        first_sequence: SequenceNumber(after + 1),
        events: (after + 1..=after + events)
            .map(|number| Event { name: "happened".into(), body: body(number) })
            .collect(),
        reply: format!("reply of {text} after {after}").into_bytes(),
        lifecycle,
        effects: vec![Effect { kind: "email".into(), body: b"to whom".to_vec() }],
    }
}

fn caller(key: &str) -> RequestId {
    RequestId::Caller(key.into())
}

fn minted(random: u64) -> RequestId {
    RequestId::mint(TimestampMs(AT), u128::from(random) << 64)
}

fn entry(partition: PartitionId, index: u64, items: Vec<Item>) -> Entry {
    Entry { partition, term: Term(3), index: LogIndex(index), at: TimestampMs(AT + index), items }
}

/// The journal's first part: of every kind something, and of every table a row.
fn first_part() -> Vec<Entry> {
    use Lifecycle::{Continues, EndsKeepingEvents, EndsPurgingEvents};
    let snapshot = |sequence: u64, drop: Option<u64>| {
        Item::Snapshot(SnapshotItem {
            address: address("cart/long"),
            version: TypeVersion(2),
            sequence: SequenceNumber(sequence),
            state: format!("state at {sequence}").into_bytes(),
            drop_events_through: drop.map(SequenceNumber),
        })
    };
    let item = Item::Outcome;
    vec![
        entry(
            HERE,
            1,
            vec![
                item(outcome("cart/42", 0, 3, caller("key"), Continues)),
                item(outcome("cart/42", 3, 1, minted(7), Continues)),
                item(outcome("cart/é/🛒", 0, 1, caller("key"), Continues)),
            ],
        ),
        entry(
            HERE,
            2,
            vec![
                item(outcome("cart/kept", 0, 2, minted(8), EndsKeepingEvents)),
                item(outcome("cart/purged", 0, 2, minted(9), EndsPurgingEvents)),
                item(outcome("cart/purged", 2, 1, caller("new life"), Continues)),
                // Minted at another time than the log's: kept as a caller's.
                item(outcome("cart/42", 4, 0, RequestId::Minted(7), Continues)),
            ],
        ),
        entry(HERE, 3, vec![item(outcome("cart/long", 0, 400, caller("many"), Continues))]),
        entry(HERE, 4, vec![snapshot(100, None), snapshot(200, None), snapshot(400, None)]),
        // More is dropped than one entry deletes.
        entry(HERE, 5, vec![snapshot(300, Some(300))]),
        entry(THERE, 1, vec![item(outcome("cart/42", 0, 1, minted(7), Continues))]),
    ]
}

/// What goes on after the checkpoint.
fn second_part() -> Vec<Entry> {
    let command =
        |after, key| Item::Outcome(outcome("cart/42", after, 2, caller(key), Lifecycle::Continues));
    vec![entry(HERE, 6, vec![command(4, "sixth")]), entry(HERE, 7, vec![command(6, "seventh")])]
}

/// What was never acknowledged, over many sectors.
fn cut_off() -> Entry {
    let mut item = outcome("cart/42", 8, 1, caller("cut"), Lifecycle::Continues);
    item.reply = b"cut off ".repeat(1_000);
    entry(HERE, 8, vec![Item::Outcome(item)])
}

fn numbers(reader: &StoreReader, text: &str) -> Vec<u64> {
    let end = SequenceNumber(u64::MAX);
    let found = reader.events(&address(text), SequenceNumber(1), end, usize::MAX, usize::MAX);
    let found = found.expect("readable");
    for event in &found {
        assert_eq!(event.body, body(event.sequence.get()), "{text}");
        assert_eq!((event.name.as_str(), event.version.get()), ("happened", 2));
        assert!((AT..AT + 3 * DAY_MS).contains(&event.at.get()));
    }
    found.iter().map(|event| event.sequence.get()).collect()
}

/// Last number, begin of the life, first stored.
fn standing(reader: &StoreReader, text: &str) -> (u64, u64, u64) {
    let record = reader.entity(&address(text)).expect("readable").expect("known");
    (record.last_sequence.get(), record.life_begins_after.get(), record.first_stored.get())
}

#[track_caller]
fn check_reply(reader: &StoreReader, text: &str, request: &RequestId, after: u64, sequence: u64) {
    let found = reader.reply(&address(text), request).expect("readable").expect("kept");
    assert_eq!(found.reply, format!("reply of {text} after {after}").into_bytes());
    assert_eq!(found.digest.0, u128::from(after) + 1);
    assert_eq!((found.sequence.get(), found.expires.get()), (sequence, AT + DAY_MS));
}

/// Everything in it, and no more.
fn check(journal: &Alone, cart_42: u64) {
    let here = journal.reader(HERE);
    assert_eq!(standing(&here, "cart/42"), (cart_42, 0, 1));
    assert_eq!(numbers(&here, "cart/42"), Vec::from_iter(1..=cart_42));
    assert_eq!(standing(&here, "cart/é/🛒"), (1, 0, 1));
    assert_eq!(standing(&here, "cart/kept"), (2, 2, 1));
    assert_eq!(numbers(&here, "cart/kept"), [1, 2]);
    assert_eq!(standing(&here, "cart/purged"), (3, 2, 3));
    assert_eq!(numbers(&here, "cart/purged"), [3]);
    assert_eq!(standing(&here, "cart/long"), (400, 0, 301));
    assert_eq!(numbers(&here, "cart/long"), Vec::from_iter(301..=400));
    let snapshot = |at_most| {
        let found = here.snapshot(&address("cart/long"), SequenceNumber(at_most));
        found.expect("readable").map(|found| (found.sequence.get(), found.state, found.at.get()))
    };
    assert_eq!(snapshot(u64::MAX), Some((400, b"state at 400".to_vec(), AT + 4)));
    assert_eq!(snapshot(399), Some((300, b"state at 300".to_vec(), AT + 5)));
    assert_eq!(snapshot(299), None);
    check_reply(&here, "cart/42", &caller("key"), 0, 3);
    check_reply(&here, "cart/42", &minted(7), 3, 4);
    check_reply(&here, "cart/42", &RequestId::Minted(7), 4, 4);
    check_reply(&here, "cart/é/🛒", &caller("key"), 0, 1);
    check_reply(&here, "cart/purged", &caller("new life"), 2, 3);
    check_reply(&here, "cart/long", &caller("many"), 0, 400);
    for (request, known) in [("sixth", cart_42 > 4), ("seventh", cart_42 > 4), ("cut", false)] {
        let found = here.reply(&address("cart/42"), &caller(request)).expect("readable");
        assert_eq!(found.is_some(), known, "{request}");
    }
    let of_type = "cart".parse().expect("a type");
    let ids = here.entities(&of_type, None, 99).expect("readable");
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["42", "kept", "long", "purged", "é/🛒"]);
    let there = journal.reader(THERE);
    assert_eq!(standing(&there, "cart/42"), (1, 0, 1));
    check_reply(&there, "cart/42", &minted(7), 0, 1);
    assert_eq!(journal.last_index(THERE).get(), 1);
}

/// It goes on: what was dropped is deleted, what has expired is forgotten but for the
/// newest minted ids, and it
/// is all there after another opening.
fn go_on(disk: &SimDisk, journal: Alone, ears: &Ears, cart_42: u64) {
    let index = journal.last_index(HERE).get() + 1;
    let mut next = entry(HERE, index, vec![]);
    next.at = TimestampMs(AT + 2 * DAY_MS);
    for nth in 0..16 {
        let mut item = outcome("cart/42", cart_42 + nth, 1, caller("later"), Lifecycle::Continues);
        item.expires = TimestampMs(AT + 3 * DAY_MS);
        next.items.push(Item::Outcome(item));
    }
    journal.append(next);
    ears.wait(index);
    journal.close().expect("closed");
    drop(journal);
    let (journal, _, _) = open(disk);
    let here = journal.reader(HERE);
    assert_eq!(numbers(&here, "cart/42"), Vec::from_iter(1..=cart_42 + 16));
    // Among the newest under minted ids.
    check_reply(&here, "cart/42", &minted(7), 3, 4);
    for (text, request) in [
        ("cart/42", caller("key")),
        ("cart/42", RequestId::Minted(7)),
        ("cart/long", caller("many")),
    ] {
        let found = here.reply(&address(text), &request).expect("readable");
        assert_eq!(found, None, "{request} is forgotten");
    }
    let later = here.reply(&address("cart/42"), &caller("later")).expect("readable");
    assert_eq!(later.expect("kept").sequence.get(), cart_42 + 16);
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

/// A disk's files with their sectors that aren't zero: `file LENGTH PATH`, then
/// `data OFFSET LENGTH`, a line end, the bytes, a line end, for each run of them.
fn pack(disk: &SimDisk) -> Vec<u8> {
    let mut packed = Vec::new();
    for path in disk.paths().iter().filter(|path| *path != "lock") {
        let bytes = disk.contents(path).expect("it is there");
        packed.extend(format!("file {} {path}\n", bytes.len()).into_bytes());
        let mut run: Option<usize> = None;
        for at in (0..=bytes.len()).step_by(512) {
            let sector = &bytes[at..bytes.len().min(at + 512)];
            let blank = sector.iter().all(|byte| *byte == 0);
            match (run, blank) {
                (None, false) => run = Some(at),
                (Some(from), true) => {
                    packed.extend(format!("data {from} {}\n", at - from).into_bytes());
                    packed.extend_from_slice(&bytes[from..at]);
                    packed.push(b'\n');
                    run = None;
                }
                _ => {}
            }
        }
        if let Some(from) = run {
            packed.extend(format!("data {from} {}\n", bytes.len() - from).into_bytes());
            packed.extend_from_slice(&bytes[from..]);
            packed.push(b'\n');
        }
    }
    packed
}

fn unpack(mut packed: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    let mut file: Option<(String, Vec<u8>)> = None;
    while !packed.is_empty() {
        let end = packed.iter().position(|byte| *byte == b'\n').expect("a line");
        let line = std::str::from_utf8(&packed[..end]).expect("text");
        packed = &packed[end + 1..];
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let number: usize = words[1].parse().expect("a number");
        match words[0] {
            "file" => {
                if let Some((path, bytes)) = file.replace((words[2].into(), vec![0; number])) {
                    disk.put(&path, bytes);
                }
            }
            "data" => {
                let length: usize = words[2].parse().expect("a number");
                let (_, bytes) = file.as_mut().expect("a file");
                bytes[number..number + length].copy_from_slice(&packed[..length]);
                packed = &packed[length + 1..];
            }
            other => panic!("{other:?} is no line of an archive"),
        }
    }
    if let Some((path, bytes)) = file {
        disk.put(&path, bytes);
    }
    disk
}

/// The disk in a golden file. One that isn't there is made, if that is asked for.
fn stored(name: &str, make: impl FnOnce() -> SimDisk) -> SimDisk {
    let path = golden(name);
    if !path.exists() && std::env::var("STEAD_GOLDEN").as_deref() == Ok("make") {
        fs::write(&path, pack(&make())).expect("it can be written");
    }
    unpack(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn write(disk: &SimDisk, entries: Vec<Entry>) -> (Alone, Arc<Ears>) {
    let (journal, _, ears) = open(disk);
    let last = entries.iter().filter(|entry| entry.partition == HERE).map(|entry| entry.index);
    let last = last.max().unwrap_or_default().get();
    entries.into_iter().for_each(|entry| journal.append(entry));
    ears.wait(last);
    (journal, ears)
}

fn make_closed() -> SimDisk {
    let disk = SimDisk::new();
    write(&disk, first_part()).0.close().expect("closed");
    disk
}

/// The checkpoints of a clean close, then entries that only the log has, then a
/// group that was written in part when the power went.
fn make_cut_off() -> SimDisk {
    for seed in 0..1_000 {
        let disk = make_closed();
        let (journal, _) = write(&disk, second_part());
        // Past the mark that is written when the log is idle.
        std::thread::sleep(Duration::from_millis(300));
        disk.lose_power_after(1);
        journal.append(cut_off());
        while !disk.power_is_off() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let disk = disk.restart(Survivors::Some(seed));
        drop(journal);
        let log = disk.paths().into_iter().filter(|path| path.starts_with("log/")).max();
        let log = disk.contents(&log.expect("a segment")).expect("it is there");
        let sectors = log.windows(8).filter(|window| *window == b"cut off ").count();
        let begun = log.windows(4).filter(|window| *window == b"STGR").count();
        println!("seed {seed}: {sectors} of 1000 words, {begun} groups");
        if (100..900).contains(&sectors) {
            let (journal, _, _) = open(&disk.fork());
            if journal.last_index(HERE).get() == 7 {
                return disk;
            }
        }
    }
    panic!("no power loss left a group in part");
}

#[test]
fn a_journal_that_was_closed_opens_as_it_was() {
    let disk = stored("closed.journal", make_closed);
    let (journal, report, ears) = open(&disk);
    assert_eq!((report.entries_applied, report.created), (0, false));
    assert_eq!(journal.last_index(HERE).get(), 5);
    check(&journal, 4);
    go_on(&disk, journal, &ears, 4);
}

#[test]
fn a_journal_that_was_cut_off_opens_with_all_that_was_acknowledged() {
    let disk = stored("cut-off.journal", make_cut_off);
    let (journal, report, ears) = open(&disk);
    assert_eq!((report.entries_applied, report.created), (2, false));
    assert_eq!(journal.last_index(HERE).get(), 7);
    check(&journal, 8);
    go_on(&disk, journal, &ears, 8);
}

#[test]
fn a_stored_journal_keeps_its_identity() {
    let disk = stored("closed.journal", make_closed);
    assert_eq!(open(&disk).0.node_id(), "aced9d1e6e285014a5a6c832f45332a8");
}

#[test]
fn an_archive_holds_the_files_as_they_are() {
    let disk = SimDisk::new();
    disk.put("a", vec![0; 2_000]);
    disk.put("b/c", [vec![0; 700], vec![10; 900], vec![0; 5_000], vec![1]].concat());
    disk.put("d", vec![]);
    disk.put("e", vec![9; 1_024]);
    let unpacked = unpack(&pack(&disk));
    assert_eq!(unpacked.paths(), disk.paths());
    for path in disk.paths() {
        assert!(unpacked.contents(&path) == disk.contents(&path), "{path}");
    }
}
