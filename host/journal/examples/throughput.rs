//! What appending and applying cost: outcomes per second, and per second of
//! processor time.
//!
//! `cargo run --release -p stead-journal --example throughput -- DIRECTORY [OUTCOMES [ENTITIES [PER_ENTRY [RATE]]]]`
//!
//! 64 partitions take entries in turn, each with as many outcomes of one event
//! (64 bytes) and a reply (32 bytes) under a minted id as `PER_ENTRY` says, of
//! entities picked at random. At most [`UNDER_WAY_MAX`] entries are under way;
//! `RATE` bounds the outcomes a second, 0 is no bound. Then the journal is opened
//! again, after a clean close and from a copy that was taken before it, as a kill
//! would leave it (`DIRECTORY-killed`); both times all events are read back and
//! counted. The directory must not have a journal; about a KiB an outcome is
//! written to it.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use stead_journal::{Alone, AloneEvents, JournalError, JournalOptions, RealDisk};
use stead_model::{
    Entry, Event, Item, Lifecycle, LogIndex, OutcomeItem, PartitionCount, PartitionId,
    RequestDigest, RequestId, SequenceNumber, Term, TimestampMs, TypeVersion,
};

type Any = Box<dyn Error>;

/// The most entries that are appended and not yet applied.
const UNDER_WAY_MAX: u64 = 8_192;

#[derive(Default)]
struct Counts {
    durable: AtomicU64,
    applied: Vec<AtomicU64>,
}

impl AloneEvents for Counts {
    fn durable(&self, _partition: PartitionId, _through: LogIndex) {
        self.durable.fetch_add(1, Ordering::Relaxed);
    }

    fn applied(&self, partition: PartitionId, through: LogIndex) {
        if let Some(applied) = self.applied.get(usize::from(partition.get())) {
            applied.store(through.get(), Ordering::Release);
        }
    }

    fn failed(&self, partition: PartitionId, from: LogIndex, error: &JournalError) {
        // The journal's own thread calls this: a panic would leave the others waiting.
        eprintln!("entry {from} of partition {partition} is not written: {error}");
        std::process::exit(1);
    }
}

impl Counts {
    fn applied(&self) -> u64 {
        self.applied.iter().map(|index| index.load(Ordering::Acquire)).sum()
    }
}

/// Seconds of processor time that this process has used.
fn processor() -> Result<f64, Any> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields = text.rsplit_once(") ").ok_or("no such line")?.1;
    let ticks: Vec<u64> =
        fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / 100.0)
}

struct Load {
    entities: u64,
    per_entry: usize,
    sequences: Vec<u64>,
    indexes: Vec<u64>,
    partitions: PartitionCount,
    by_partition: Vec<Vec<u64>>,
    random: u64,
}

impl Load {
    fn new(partitions: PartitionCount, entities: u64, per_entry: usize) -> Result<Self, Any> {
        let mut by_partition = vec![Vec::new(); usize::from(partitions.get())];
        for entity in 0..entities {
            let partition = partitions.partition_of(&format!("load/{entity}").parse()?);
            if let Some(of) = by_partition.get_mut(usize::from(partition.get())) {
                of.push(entity);
            }
        }
        Ok(Self {
            entities,
            per_entry,
            sequences: vec![0; usize::try_from(entities)?],
            indexes: vec![0; usize::from(partitions.get())],
            partitions,
            by_partition,
            random: 1,
        })
    }

    fn chance(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random >> 16
    }

    fn entry(&mut self, turn: u64) -> Result<Entry, Any> {
        let partition = u16::try_from(turn % u64::from(self.partitions.get()))?;
        let at = TimestampMs(1_700_000_000_000 + turn);
        let mut items = Vec::with_capacity(self.per_entry);
        for _ in 0..self.per_entry {
            let random = self.chance();
            let here = self.by_partition.get(usize::from(partition)).ok_or("a partition")?;
            let nth = (random as usize).checked_rem(here.len());
            let entity = nth.and_then(|nth| here.get(nth));
            let entity = *entity.ok_or("too few ENTITIES: a partition has none")?;
            let sequence = self.sequences.get_mut(entity as usize).ok_or("an entity")?;
            *sequence += 1;
            let sequence = SequenceNumber(*sequence);
            let request = RequestId::mint(at, u128::from(self.chance()) << 64);
            items.push(Item::Outcome(OutcomeItem {
                address: format!("load/{entity}").parse()?,
                version: TypeVersion(1),
                request,
                digest: RequestDigest(u128::from(random)),
                expires: at.plus_ms(2_000),
                first_sequence: sequence,
                events: vec![Event { name: "happened".into(), body: vec![7; 64] }],
                reply: vec![8; 32],
                lifecycle: Lifecycle::Continues,
                effects: vec![],
            }));
        }
        let index = self.indexes.get_mut(usize::from(partition)).ok_or("a partition")?;
        *index += 1;
        let (partition, index) = (PartitionId(partition), LogIndex(*index));
        Ok(Entry { partition, term: Term(1), index, at, items })
    }
}

fn main() -> Result<(), Any> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("name a directory on the disk")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (outcomes, entities) = (number(1_000_000)?, number(10_000)?);
    let per_entry = usize::try_from(number(8)?)?;
    let rate = number(0)?;
    let options = JournalOptions::default();
    let partitions = options.partitions;
    let counts = || {
        let applied = partitions.all().map(|_| AtomicU64::new(0)).collect();
        Arc::new(Counts { applied, ..Counts::default() })
    };

    let heard = counts();
    let disk = Arc::new(RealDisk::open(directory.as_ref())?);
    let opening = Instant::now();
    let (journal, report) = Alone::open(disk.clone(), options.clone(), heard.clone())?;
    if !report.created {
        return Err(format!("{directory} has a journal already; name another directory").into());
    }
    println!("made and opened in {:?}", opening.elapsed());

    let mut load = Load::new(partitions, entities, per_entry)?;
    let entries = outcomes.checked_div(per_entry as u64).ok_or("PER_ENTRY is at least 1")?;
    let outcomes = entries * per_entry as u64;
    // The load's own cost is measured apart.
    let making = (Instant::now(), processor()?);
    let made: Vec<Entry> = (0..entries).map(|turn| load.entry(turn)).collect::<Result<_, _>>()?;
    println!(
        "made {entries} entries in {:?}, {:.2} s of processor",
        making.0.elapsed(),
        processor()? - making.1
    );
    let begun = (Instant::now(), processor()?);
    for (turn, entry) in (0_u64..).zip(made) {
        if let Some(due) = (turn * per_entry as u64 * 1_000_000).checked_div(rate) {
            let ahead = Duration::from_micros(due).saturating_sub(begun.0.elapsed());
            if ahead > Duration::from_millis(1) {
                std::thread::sleep(ahead);
            }
        }
        journal.append(entry);
        while turn.saturating_sub(heard.applied()) > UNDER_WAY_MAX {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    while heard.applied() < entries {
        std::thread::sleep(Duration::from_micros(500));
    }
    let (taken, used) = (begun.0.elapsed(), processor()? - begun.1);
    let status = journal.status();
    println!(
        "{outcomes} outcomes of {} entities, {per_entry} an entry: {:.0}/s, {:.0} per second of processor ({:.2} us each); {} log commits",
        load.entities,
        outcomes as f64 / taken.as_secs_f64(),
        outcomes as f64 / used,
        used / outcomes as f64 * 1e6,
        status.log_commits,
    );
    // What a kill leaves: a lock that is gone, and stores at their last checkpoint.
    let copy = format!("{directory}-killed");
    let _ = std::fs::remove_dir_all(&copy);
    for sub in ["", "log", "partitions"] {
        std::fs::create_dir_all(format!("{copy}/{sub}"))?;
        for file in std::fs::read_dir(format!("{directory}/{sub}"))? {
            let file = file?;
            if file.file_type()?.is_file() {
                std::fs::copy(file.path(), format!("{copy}/{sub}/{}", file.file_name().display()))?;
            }
        }
    }
    let closing = Instant::now();
    journal.close()?;
    println!("closed in {:?}, {} bytes on disk", closing.elapsed(), journal.status().bytes);
    drop(journal);
    for (what, directory, verify) in [
        ("after a clean close", &directory, false),
        ("after a clean close, verifying", &directory, true),
        ("after a kill", &copy, false),
    ] {
        let options = JournalOptions { verify, ..options.clone() };
        let (journal, report) =
            Alone::open(Arc::new(RealDisk::open(directory.as_ref())?), options, counts())?;
        println!("{what}: {report:?}");
        if verify {
            continue;
        }
        let reading = Instant::now();
        let mut events = 0;
        for entity in 0..entities {
            let address = format!("load/{entity}").parse()?;
            let reader = journal.reader(partitions.partition_of(&address));
            let end = SequenceNumber(u64::MAX);
            events +=
                reader.replay(&address, SequenceNumber(1), end, usize::MAX, usize::MAX)?.len();
        }
        println!(
            "  {events} events read at {:.0}/s",
            events as f64 / reading.elapsed().as_secs_f64()
        );
        if events as u64 != outcomes {
            return Err(format!("{outcomes} events were written").into());
        }
        journal.close()?;
    }
    Ok(())
}
