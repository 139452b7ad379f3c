//! What one durable group costs: the bare device, a redb file, the journal's log.
//!
//! `cargo run --release -p stead-journal --example log_latency -- DIRECTORY [GROUPS]`
//!
//! Every variant makes the same groups (one record of 256 bytes, and sixty-four)
//! durable one after the other, as one waiting client makes the log do, and
//! prints percentiles. The bare device rewrites room that was written before, so
//! that a sync has no metadata to write. The log is that of a whole [`Alone`],
//! with its threads and with its stores applying meanwhile; its sixty-four
//! records are outcomes of one entry, as an engine's turn makes them. This is the
//! measurement that the log's format was chosen by. The directory's files
//! `bare`, `log.redb` and `journal-*` are made anew.

use std::{
    error::Error,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use redb::{Durability, TableDefinition};
use stead_journal::{Alone, AloneEvents, JournalError, JournalOptions, RealDisk};
use stead_model::{
    Entry, Event, Item, Lifecycle, LogIndex, OutcomeItem, PartitionId, RequestDigest, RequestId,
    SequenceNumber, Term, TimestampMs, TypeVersion,
};

type Any = Box<dyn Error>;

const PREALLOCATED: u64 = 64 << 20;

fn preallocated(path: &Path) -> Result<File, Any> {
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
    let zeros = vec![0_u8; 1 << 20];
    for at in (0..PREALLOCATED).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn time(groups: u32, mut group: impl FnMut(u32) -> Result<(), Any>) -> Result<Vec<Duration>, Any> {
    let mut taken = Vec::with_capacity(groups as usize);
    for number in 0..groups {
        let begun = Instant::now();
        group(number)?;
        taken.push(begun.elapsed());
    }
    taken.sort();
    Ok(taken)
}

fn bare(directory: &Path, groups: u32, bytes: usize) -> Result<Vec<Duration>, Any> {
    let file = preallocated(&directory.join("bare"))?;
    let data = vec![7_u8; bytes];
    time(groups, |number| {
        file.write_all_at(&data, u64::from(number) * data.len() as u64 % (PREALLOCATED / 2))?;
        Ok(file.sync_data()?)
    })
}

fn redb(directory: &Path, groups: u32, records: u64) -> Result<Vec<Duration>, Any> {
    const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
    let path = directory.join("log.redb");
    let _ = std::fs::remove_file(&path);
    let database = redb::Builder::new().set_cache_size(8 << 20).create(&path)?;
    let data = [7_u8; 256];
    let mut next = 0;
    time(groups, |_| {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for _ in 0..records {
                table.insert(next, data.as_slice())?;
                next += 1;
            }
        }
        Ok(transaction.commit()?)
    })
}

/// Passes on what becomes of entries.
struct Ears(mpsc::Sender<Result<(), JournalError>>);

impl AloneEvents for Ears {
    fn durable(&self, _partition: PartitionId, _through: LogIndex) {
        // Nobody listens any more once the last group is measured.
        let _ = self.0.send(Ok(()));
    }

    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}

    fn failed(&self, _partition: PartitionId, _from: LogIndex, error: &JournalError) {
        let _ = self.0.send(Err(error.clone()));
    }
}

fn log(directory: &Path, groups: u32, records: u64) -> Result<Vec<Duration>, Any> {
    let directory = directory.join(format!("journal-{records}"));
    let _ = std::fs::remove_dir_all(&directory);
    let (sender, news) = mpsc::channel();
    let disk = Arc::new(RealDisk::open(&directory)?);
    let (journal, _) = Alone::open(disk, JournalOptions::default(), Arc::new(Ears(sender)))?;
    let address: stead_model::Address = "load/1".parse()?;
    let taken = time(groups, |group| {
        let at = TimestampMs(1_700_000_000_000 + u64::from(group));
        let first = u64::from(group) * records + 1;
        let outcome = |sequence| {
            Item::Outcome(OutcomeItem {
                address: address.clone(),
                version: TypeVersion(1),
                request: RequestId::mint(at, u128::from(sequence) << 64),
                digest: RequestDigest(1),
                expires: at.plus_ms(1_000),
                first_sequence: SequenceNumber(sequence),
                // With all that an outcome says besides, about 256 bytes.
                events: vec![Event { name: "happened".into(), body: vec![7; 150] }],
                reply: vec![8; 32],
                lifecycle: Lifecycle::Continues,
                effects: vec![],
            })
        };
        journal.append(Entry {
            partition: PartitionId(0),
            term: Term(1),
            index: LogIndex(u64::from(group) + 1),
            at,
            items: (first..first + records).map(outcome).collect(),
        });
        Ok(news.recv()??)
    });
    journal.close()?;
    taken
}

fn show(name: &str, taken: &[Duration]) {
    let at = |share: usize| taken.get(taken.len() * share / 1000).copied().unwrap_or_default();
    let mean = taken.iter().sum::<Duration>() / u32::try_from(taken.len().max(1)).unwrap_or(1);
    println!("{name:<32} mean {mean:>10.1?}  p50 {:>10.1?}  p99 {:>10.1?}", at(500), at(990));
}

fn main() -> Result<(), Any> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("name a directory on the disk")?);
    let groups = arguments.next().map_or(Ok(2_000), |text| text.parse())?;
    std::fs::create_dir_all(&directory)?;
    for round in 1..=2 {
        for records in [1, 64] {
            println!("round {round}, {groups} groups of {records} records of 256 bytes");
            show("  bare device", &bare(&directory, groups, 256 * records)?);
            show("  redb", &redb(&directory, groups, records as u64)?);
            show("  the log", &log(&directory, groups, records as u64)?);
        }
    }
    Ok(())
}
