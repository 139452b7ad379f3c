//! What one durable group costs: the bare device, a redb file, a plain file.
//!
//! `cargo run --release -p stead-journal --example log_latency -- DIRECTORY [GROUPS]`
//!
//! Every variant makes the same groups (one record of 256 bytes, and sixty-four)
//! durable one after the other, as one waiting client makes the log do, and
//! prints percentiles. This is the measurement that the log's format was chosen by.

use std::{
    error::Error,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use redb::{Durability, TableDefinition};

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
        }
    }
    Ok(())
}
