//! The journal itself, on a simulated disk or in a directory.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use stead_journal::{
    Alone, AloneEvents, Disk, EntityRecord, JournalError, JournalOptions, RealDisk, RecordedReply,
    RecoveryReport, SnapshotView, StoreReader, StoredEvent,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    Address, EntityId, EntityType, Entry, LogIndex, PartitionCount, PartitionId, RequestId,
    SequenceNumber, Term,
};
use tempfile::TempDir;

use crate::subject::{Bounds, PARTITIONS, Reopening, Subject};

/// So long is waited for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A journal, and where it is.
pub(crate) struct Real {
    place: Place,
    /// Always there but while it is opened again.
    journal: Option<Alone>,
    ears: Arc<Ears>,
    terms: BTreeMap<PartitionId, Term>,
    /// What the last opening had to do.
    pub(crate) report: RecoveryReport,
}

enum Place {
    Simulated(SimDisk),
    Directory(TempDir),
}

impl Place {
    fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Self::Simulated(disk) => Arc::new(disk.clone()),
            Self::Directory(directory) => {
                Arc::new(RealDisk::open(directory.path()).expect("a directory"))
            }
        }
    }
}

/// Small segments and many checkpoints, so that all there is gets its turn.
fn options() -> JournalOptions {
    JournalOptions {
        partitions: PartitionCount::new(PARTITIONS).expect("a count"),
        segment_bytes: 16 << 10,
        checkpoint_age_ms: 20,
        apply_delay_ms: 0,
        cache_bytes: 4 << 20,
        ..JournalOptions::default()
    }
}

impl Real {
    pub(crate) fn simulated() -> Self {
        Self::at(Place::Simulated(SimDisk::new()))
    }

    pub(crate) fn on(disk: SimDisk) -> Self {
        Self::at(Place::Simulated(disk))
    }

    pub(crate) fn in_a_directory() -> Self {
        Self::at(Place::Directory(TempDir::new().expect("a directory")))
    }

    fn at(place: Place) -> Self {
        let (journal, ears, report) = open(&place).expect("it opens");
        Self { place, journal: Some(journal), ears, terms: BTreeMap::new(), report }
    }

    pub(crate) fn journal(&self) -> &Alone {
        self.journal.as_ref().expect("it is open")
    }

    pub(crate) fn reader(&self, partition: PartitionId) -> StoreReader {
        self.journal().reader(partition)
    }

    /// Hands entries over and waits for nothing.
    pub(crate) fn hand_over(&mut self, entry: Entry) {
        self.ears.expect(&entry);
        let term = self.terms.entry(entry.partition).or_default();
        *term = entry.term.max(*term);
        self.journal().append(entry);
    }

    /// Waits until an entry that was handed over can be read, or is refused.
    pub(crate) fn settle(
        &self,
        partition: PartitionId,
        index: LogIndex,
    ) -> Result<(), JournalError> {
        let until = Instant::now() + PATIENCE;
        let mut heard = self.ears.heard.lock().expect("unpoisoned");
        loop {
            let of = heard.entry(partition).or_default();
            if let Some(error) = of.failed.get(&index) {
                return Err(error.clone());
            }
            if of.applied >= index {
                return Ok(());
            }
            // A store that can't apply it says so to those who read it.
            if partition.get() < PARTITIONS && of.durable >= index {
                self.reader(partition).counts()?;
            }
            assert!(Instant::now() < until, "entry {index} of {partition}: nothing is heard");
            heard = self.ears.news.wait_timeout(heard, Duration::from_millis(20)).expect("ok").0;
        }
    }

    /// The last entry that is known to be durable.
    pub(crate) fn durable(&self, partition: PartitionId) -> LogIndex {
        let heard = self.ears.heard.lock().expect("unpoisoned");
        heard.get(&partition).map(|of| of.durable).unwrap_or_default()
    }

    /// Opens the journal again, if it can be.
    pub(crate) fn try_reopen(&mut self, how: Reopening) -> Result<(), JournalError> {
        let journal = self.journal.take().expect("it is open");
        match (&self.place, how) {
            (_, Reopening::Closed) => drop(journal.close()),
            (Place::Simulated(disk), Reopening::Killed) => {
                self.place = Place::Simulated(disk.kill());
            }
            (Place::Simulated(disk), Reopening::PowerLost(seed)) => {
                self.place = Place::Simulated(disk.restart(Survivors::Some(seed)));
            }
            (Place::Directory(directory), Reopening::Killed | Reopening::PowerLost(_)) => {
                self.place = Place::Directory(copy(directory.path()));
            }
        }
        drop(journal);
        let (journal, ears, report) = open(&self.place)?;
        let before = std::mem::replace(&mut self.ears, ears);
        for (&partition, heard) in before.heard.lock().expect("unpoisoned").iter() {
            let last = journal.last_index(partition);
            assert!(last >= heard.durable, "{partition}: {} was durable, {last} is", heard.durable);
        }
        (self.journal, self.report) = (Some(journal), report);
        Ok(())
    }
}

fn open(place: &Place) -> Result<(Alone, Arc<Ears>, RecoveryReport), JournalError> {
    let ears = Arc::new(Ears::default());
    let events: Arc<dyn AloneEvents> = Arc::clone(&ears) as _;
    let (journal, report) = Alone::open(place.disk(), options(), events)?;
    Ok((journal, ears, report))
}

/// What a kill leaves of a directory: all that was written, and no lock. The
/// checkpoints may go on meanwhile, so what they write may be copied in part, as
/// a power loss would leave it; but it is copied in the order that matters: the
/// log last, because it is only dropped behind what is durable.
fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a directory");
    for part in ["", "partitions", "log"] {
        std::fs::create_dir_all(to.path().join(part)).expect("made");
        for file in std::fs::read_dir(from.join(part)).expect("listed") {
            let file = file.expect("listed");
            if file.file_type().expect("known").is_file() {
                let _ = std::fs::copy(file.path(), to.path().join(part).join(file.file_name()));
            }
        }
    }
    to
}

/// What the journal said of a partition.
#[derive(Debug, Default)]
struct Heard {
    durable: LogIndex,
    applied: LogIndex,
    failed: BTreeMap<LogIndex, JournalError>,
}

#[derive(Default)]
struct Ears {
    heard: Mutex<BTreeMap<PartitionId, Heard>>,
    news: Condvar,
}

impl Ears {
    /// Whatever was heard of an entry before is of an earlier try.
    fn expect(&self, entry: &Entry) {
        let mut heard = self.heard.lock().expect("unpoisoned");
        heard.entry(entry.partition).or_default().failed.remove(&entry.index);
    }

    fn hear(&self, partition: PartitionId, what: impl FnOnce(&mut Heard)) {
        what(self.heard.lock().expect("unpoisoned").entry(partition).or_default());
        self.news.notify_all();
    }
}

impl AloneEvents for Ears {
    fn durable(&self, partition: PartitionId, through: LogIndex) {
        self.hear(partition, |of| of.durable = through);
    }

    fn applied(&self, partition: PartitionId, through: LogIndex) {
        self.hear(partition, |of| of.applied = through);
    }

    fn failed(&self, partition: PartitionId, from: LogIndex, error: &JournalError) {
        self.hear(partition, |of| {
            of.failed.insert(from, error.clone());
        });
    }
}

impl Subject for Real {
    fn append(&mut self, entry: Entry) -> Result<(), JournalError> {
        let (partition, index) = (entry.partition, entry.index);
        // An index of the past would be taken for applied.
        if index <= self.head(partition).1 {
            self.hand_over(entry);
            let until = Instant::now() + PATIENCE;
            let mut heard = self.ears.heard.lock().expect("unpoisoned");
            loop {
                if let Some(error) = heard.entry(partition).or_default().failed.get(&index) {
                    return Err(error.clone());
                }
                assert!(Instant::now() < until, "entry {index} of {partition}: nothing is heard");
                heard =
                    self.ears.news.wait_timeout(heard, Duration::from_millis(20)).expect("ok").0;
            }
        }
        self.hand_over(entry);
        self.settle(partition, index)
    }

    fn append_all(&mut self, entries: Vec<Entry>) -> Vec<Result<(), JournalError>> {
        let places: Vec<_> = entries.iter().map(|e| (e.partition, e.index)).collect();
        entries.into_iter().for_each(|entry| self.hand_over(entry));
        places.into_iter().map(|(partition, index)| self.settle(partition, index)).collect()
    }

    fn append_and_reopen(&mut self, entries: Vec<Entry>, how: Reopening) {
        entries.into_iter().for_each(|entry| self.hand_over(entry));
        self.reopen(how);
    }

    fn head(&self, partition: PartitionId) -> (Term, LogIndex) {
        let head = self.durable(partition).max(self.journal().last_index(partition));
        (self.terms.get(&partition).copied().unwrap_or_default(), head)
    }

    fn reopen(&mut self, how: Reopening) {
        self.try_reopen(how).unwrap_or_else(|error| panic!("after {how:?}: {error}"));
    }

    fn entity(&self, partition: PartitionId, address: &Address) -> Option<EntityRecord> {
        self.reader(partition).entity(address).expect("it can be read")
    }

    fn snapshot(
        &self,
        partition: PartitionId,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Option<SnapshotView> {
        self.reader(partition).snapshot(address, at_most).expect("it can be read")
    }

    fn events(
        &self,
        partition: PartitionId,
        address: &Address,
        bounds: Bounds,
    ) -> Vec<StoredEvent> {
        let Bounds { from, to, count_max, bytes_max } = bounds;
        let (from, to) = (SequenceNumber(from), SequenceNumber(to));
        let reader = self.reader(partition);
        let events = reader.events(address, from, to, count_max, bytes_max).expect("read");
        // What the entity's code folds is the same.
        let folded = reader.replay(address, from, to, count_max, bytes_max).expect("read");
        assert!(
            folded
                .iter()
                .map(|event| (&event.name, &event.body))
                .eq(events.iter().map(|event| (&event.name, &event.body))),
            "replay gives other events"
        );
        events
    }

    fn reply(
        &self,
        partition: PartitionId,
        address: &Address,
        request: &RequestId,
    ) -> Option<RecordedReply> {
        self.reader(partition).reply(address, request).expect("it can be read")
    }

    fn entities(
        &self,
        partition: PartitionId,
        entity_type: &EntityType,
        after: Option<&EntityId>,
        count_max: usize,
    ) -> Vec<EntityId> {
        self.reader(partition).entities(entity_type, after, count_max).expect("it can be read")
    }

    fn counts(&self, partition: PartitionId) -> (u64, u64) {
        self.reader(partition).counts().expect("it can be read")
    }
}
