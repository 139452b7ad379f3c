//! Every stored value against its golden file; see `tests/golden/README.md`,
//! also for how a version is added. Never make a file again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use stead_model::{
    Address, Effect, Entry, Event, Item, Lifecycle, LogIndex, LogPosition, OutcomeItem,
    PartitionCount, PartitionId, RequestDigest, RequestId, SequenceNumber, SnapshotItem, Term,
    TimestampMs, TypeVersion,
};

use super::{
    Bytes, Kind, identity,
    record::{self, Record},
    seal,
    segment::{GroupHeader, Head, SECTOR, SegmentHeader, encode_header},
    store::{EntityRow, EventRow, MembersRow, PurgeRow, ReplyRow, SnapshotRow, StateRow, SumsRow},
    unseal,
};
use crate::{
    Identity,
    disk::{Disk, sim::SimDisk},
    log::{Segment, SegmentReader},
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

/// What is encoded now must be what the file has; the file's bytes are returned,
/// to be decoded.
#[track_caller]
fn check(name: &str, encoded: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if !path.exists() && std::env::var("STEAD_GOLDEN").as_deref() == Ok("make") {
        fs::write(&path, encoded).expect("it can be written");
    }
    let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        stored == encoded,
        "{name}: the format has changed; see tests/golden/README.md\nstored  {}\nencoded {}",
        stored.escape_ascii(),
        encoded.escape_ascii()
    );
    stored
}

/// A row: both ways, in its debug form, since rows borrow what they are read from.
#[track_caller]
fn check_row<T>(name: &str, kind: Kind, key: &[u8], row: &T)
where
    T: Serialize + std::fmt::Debug + for<'a> Borrowing<'a>,
{
    let stored = check(name, &seal(kind, key, row));
    assert_eq!(T::shown(kind, key, &stored), format!("{row:?}"), "{name}");
}

/// A row that is read from bytes, and shown.
trait Borrowing<'a> {
    fn shown(kind: Kind, key: &[u8], bytes: &'a [u8]) -> String;
}

macro_rules! borrowing {
    ($($row:ty => $read:ty),+) => {
        $(impl<'a> Borrowing<'a> for $row {
            fn shown(kind: Kind, key: &[u8], bytes: &'a [u8]) -> String {
                fn read<'a, T: Deserialize<'a> + std::fmt::Debug>(
                    kind: Kind, key: &[u8], bytes: &'a [u8],
                ) -> String {
                    format!("{:?}", unseal::<T>(kind, key, bytes).expect("it is sound"))
                }
                read::<$read>(kind, key, bytes)
            }
        })+
    };
}

borrowing! {
    StateRow => StateRow,
    EntityRow => EntityRow,
    PurgeRow => PurgeRow,
    EventRow<'static> => EventRow<'a>,
    SnapshotRow<'static> => SnapshotRow<'a>,
    ReplyRow<'static> => ReplyRow<'a>,
    MembersRow<'static> => MembersRow<'a>,
    SumsRow<'static> => SumsRow<'a>
}

const CLUSTER: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;
const NODE: u128 = 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff;
const AT: TimestampMs = TimestampMs(1_700_000_000_123);

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn outcome(nth: u64, request: RequestId, lifecycle: Lifecycle) -> Item {
    Item::Outcome(OutcomeItem {
        address: address("cart/é/42"),
        version: TypeVersion(300),
        request,
        digest: RequestDigest(0xdead_beef << 64 | u128::from(nth)),
        expires: AT.plus_ms(86_400_000),
        first_sequence: SequenceNumber(nth),
        events: (0..nth)
            .map(|at| Event { name: format!("added-{at}"), body: vec![at as u8; 3] })
            .collect(),
        reply: vec![0xff; nth as usize],
        lifecycle,
        effects: vec![Effect { kind: "email".into(), body: b"to whom".to_vec() }],
    })
}

/// An entry with every kind of item, request and lifecycle.
fn whole_entry() -> Entry {
    let snapshot = |drop| {
        Item::Snapshot(SnapshotItem {
            address: address("cart/é/42"),
            version: TypeVersion(1),
            sequence: SequenceNumber(u64::MAX),
            state: b"state".to_vec(),
            drop_events_through: drop,
        })
    };
    Entry {
        partition: PartitionId(4_095),
        term: Term(7),
        index: LogIndex(1 << 40),
        at: AT,
        items: vec![
            outcome(2, RequestId::Caller("order-7".into()), Lifecycle::Continues),
            outcome(1, RequestId::Minted(NODE), Lifecycle::EndsKeepingEvents),
            outcome(0, RequestId::Minted(0), Lifecycle::EndsPurgingEvents),
            snapshot(None),
            snapshot(Some(SequenceNumber(300))),
        ],
    }
}

fn header() -> SegmentHeader {
    let head = |partition, term, index| Head {
        partition: PartitionId(partition),
        term: Term(term),
        index: LogIndex(index),
    };
    SegmentHeader {
        cluster: CLUSTER,
        node: NODE,
        salt: 0x1122_3344_5566_7788,
        first_record: 1_000,
        heads: vec![head(0, 1, 5), head(4_095, 7, (1 << 40) - 1)],
    }
}

#[test]
fn the_identity() {
    let value = Identity {
        cluster: CLUSTER,
        node: NODE,
        partitions: PartitionCount::new(64).expect("a count"),
        created_at: AT,
    };
    let stored = check("identity", &identity::encode(&value));
    assert_eq!(identity::decode(&stored), Ok(value));
}

#[test]
fn a_record_of_the_log() {
    let mut record = record::entry(&whole_entry());
    record::number(&mut record, 1_234);
    let stored = check("log-record", &record);
    assert_eq!(record::decode(&stored, 1_234), Ok(Record::Entry(whole_entry())));
}

#[test]
fn an_empty_record_of_the_log() {
    let value = Entry { items: vec![], ..whole_entry() };
    let mut record = record::entry(&value);
    record::number(&mut record, 1);
    let stored = check("log-record-empty", &record);
    assert_eq!(record::decode(&stored, 1), Ok(Record::Entry(value)));
}

#[test]
fn the_other_records_of_the_log() {
    let after = LogPosition { term: Term(7), index: LogIndex(1 << 40) };
    let members = Entry { items: vec![Item::Members(b"members".to_vec())], ..whole_entry() };
    let partition = PartitionId(4_095);
    let commits = vec![(PartitionId(0), LogIndex(5)), (partition, LogIndex(1 << 40))];
    let records = [
        ("log-record-members", record::entry(&members), Record::Entry(members.clone())),
        (
            "log-record-truncation",
            record::truncation(partition, after),
            Record::Truncation(partition, after),
        ),
        ("log-record-begin", record::begin(partition, after), Record::Begin(partition, after)),
        (
            "log-record-vote",
            record::vote(partition, b"vote"),
            Record::Vote(partition, b"vote".to_vec()),
        ),
        (
            "log-record-commits",
            record::commits(commits.iter().copied()),
            Record::Commits(commits.clone()),
        ),
    ];
    for (name, mut encoded, meaning) in records {
        record::number(&mut encoded, 1_234);
        let stored = check(name, &encoded);
        assert_eq!(record::decode(&stored, 1_234), Ok(meaning), "{name}");
    }
}

#[test]
fn a_segments_header() {
    let stored = check("segment-header", &encode_header(&header()));
    assert_eq!(stored.len() as u64, SECTOR);
    let disk = SimDisk::new();
    disk.put("log/00000000000000001000.log", stored);
    let path = crate::log::path_of(1_000);
    let reader = SegmentReader::open(&disk, &path).expect("sound").expect("there");
    assert_eq!(*reader.header(), header());
}

#[test]
fn a_groups_header_and_trailer() {
    let group = GroupHeader {
        salt: 0x1122_3344_5566_7788,
        offset: 512,
        first_record: 1_000,
        count: 2,
        length: 777,
    };
    let stored = check("group-header", &[group.encode().as_slice(), &group.trailer()].concat());
    let header = stored.first_chunk().expect("48 bytes");
    assert_eq!(GroupHeader::decode(header, group.salt, group.offset), Some(group));
}

/// Header, a group of two records, one of one, and a mark.
#[test]
fn a_whole_segment() {
    let disk = SimDisk::new();
    let mut segment = Segment::create(&disk, &header(), 8 << 10).expect("made");
    let last = Entry { index: LogIndex((1 << 40) + 2), items: vec![], ..whole_entry() };
    let middle = Entry { index: LogIndex((1 << 40) + 1), ..whole_entry() };
    let record = |value: &Entry, number| {
        let mut record = record::entry(value);
        record::number(&mut record, number);
        record
    };
    let first_group = [record(&whole_entry(), 1_000), record(&middle, 1_001)];
    let mut buffer = Vec::new();
    segment.write(1_000, &first_group, &mut buffer).expect("written");
    segment.write(1_002, &[record(&last, 1_002)], &mut buffer).expect("written");
    segment.write(1_003, &[], &mut buffer).expect("written");
    let path = crate::log::path_of(1_000);
    let stored = check("segment.log", &disk.contents(&path).expect("there"));

    let disk = SimDisk::new();
    disk.make_dir("log").expect("made");
    disk.put(&path, stored);
    let reader = SegmentReader::open(&disk, &path).expect("sound").expect("there");
    let mut found = Vec::new();
    let scan = reader.records(true, |_, record| {
        found.push(record);
        Ok(())
    });
    let scan = scan.expect("sound");
    assert_eq!(found, [whole_entry(), middle, last].map(Record::Entry));
    assert_eq!((scan.next_record, scan.is_marked), (1_003, true), "the mark is understood");
}

#[test]
fn the_rows_of_a_store() {
    let state = StateRow {
        node: NODE.into(),
        partition: 63,
        partitions: 64,
        term: 7,
        index: 1 << 40,
        next_ordinal: 1_001,
        next_purge: 3,
    };
    check_row("row-state", Kind::StoreState, &[], &state);
    let entity =
        EntityRow { ordinal: 1_000, last_sequence: 300, life_begins_after: 200, first_stored: 128 };
    check_row("row-entity", Kind::Entity, b"cart\x0042", &entity);
    let event =
        EventRow { at: AT.get(), version: 300, name: "added", body: Bytes(&[0, 1, 2, 255]) };
    check_row("row-event", Kind::Event, &[1; 16], &event);
    let snapshot = SnapshotRow { at: AT.get(), version: 2, state: Bytes(b"state") };
    check_row("row-snapshot", Kind::Snapshot, &[2; 16], &snapshot);
    let reply = || ReplyRow {
        ordinal: 1_000,
        digest: CLUSTER.into(),
        sequence: 300,
        expires: AT.get() + 1,
        reply: Bytes(b"reply"),
    };
    check_row("row-minted-reply", Kind::MintedReply, &[3; 24], &reply());
    check_row("row-caller-reply", Kind::CallerReply, b"\0\0\0\0\0\0\0\x01key", &reply());
    let purge = PurgeRow { ordinal: 1_000, from: 1, through: 127 };
    check_row("row-purge", Kind::Purge, &[4; 8], &purge);
    let members = MembersRow { term: 7, index: 1 << 40, members: Bytes(b"members") };
    check_row("row-members", Kind::Members, &[], &members);
    let sums = SumsRow { slots: Bytes(&[5; 256]), sums: Bytes(&[0, 0, 0, 0, 1, 2, 3, 4]) };
    check_row("sums", Kind::Sums, &[], &sums);
}
