//! The thread that writes the log: everything that waits becomes one group, one
//! write and one sync.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use stead_model::{Entry, LogIndex, PartitionId, Term};

use super::{Segment, segment};
use crate::{
    JournalError,
    disk::Disk,
    format::{
        entry,
        segment::{Head, RECORD_PREFIX_BYTES, SegmentHeader},
    },
    options::{Identity, JournalOptions},
    space::Space,
};

/// The most bytes of records in one group, but for a last record that goes over.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// The most records in one group.
const GROUP_RECORDS_MAX: usize = 4_096;
/// The most bytes that one entry may have, encoded.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// After so long without a group, a mark is written.
const IDLE: Duration = Duration::from_millis(100);

/// Who hears what became of entries. Called on the writer's thread.
pub(crate) trait Outcomes: Send + 'static {
    /// These are durable, in the order of the log.
    fn durable(&mut self, entries: Vec<Entry>);

    /// Entries of a partition from this one on are not written.
    fn failed(&mut self, partition: PartitionId, from: LogIndex, error: &JournalError);
}

/// A segment behind the one that is written to, and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) path: String,
    /// The last entry of each partition in it or before it.
    pub(crate) heads: BTreeMap<PartitionId, LogIndex>,
}

/// How the log fares.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogStatus {
    pub(crate) commits: u64,
    pub(crate) segments: usize,
    pub(crate) failure: Option<JournalError>,
    pub(crate) full: Option<JournalError>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<(Entry, Vec<u8>)>,
    closing: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    commits: AtomicU64,
    sealed: Mutex<VecDeque<Sealed>>,
    failure: Mutex<Option<JournalError>>,
    full: Mutex<Option<JournalError>>,
    /// Partitions whose stores have failed: nothing is taken for them.
    refused: Mutex<BTreeMap<PartitionId, JournalError>>,
    space: Arc<Space>,
}

/// The log, open for appending.
pub(crate) struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What recovery hands over to the writer.
pub(crate) struct Recovered {
    /// The segment to go on with, if there is one with room.
    pub(crate) segment: Option<Segment>,
    pub(crate) next_record: u64,
    /// The last entry of each partition.
    pub(crate) heads: BTreeMap<PartitionId, (Term, LogIndex)>,
    /// Segments before it, oldest first.
    pub(crate) sealed: VecDeque<Sealed>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        identity: Identity,
        options: &JournalOptions,
        space: Arc<Space>,
        recovered: Recovered,
        outcomes: impl Outcomes,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            commits: AtomicU64::new(0),
            sealed: Mutex::new(recovered.sealed),
            failure: Mutex::new(None),
            full: Mutex::new(None),
            refused: Mutex::default(),
            space,
        });
        let mut writer = Writer {
            disk,
            identity,
            segment_bytes: options.segment_bytes,
            log_bytes_max: options.log_bytes_max,
            segment: recovered.segment,
            next_record: recovered.next_record,
            heads: recovered.heads,
            buffer: Vec::new(),
            marked: true,
            unbuilt: BTreeMap::new(),
            shared: Arc::clone(&shared),
            outcomes,
        };
        let thread =
            std::thread::Builder::new().name("stead-log".into()).spawn(move || writer.guarded())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Puts an entry in the queue; its outcome is told to the `Outcomes`. The
    /// callers bound how much they have under way.
    pub(crate) fn append(&self, entry: Entry) {
        // Encoded here, on the caller's thread: the writer is the bottleneck.
        let record = entry::encode(&entry);
        let mut queue = lock(&self.shared.queue);
        queue.entries.push_back((entry, record));
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Takes nothing more for a partition: its store has failed.
    pub(crate) fn refuse(&self, partition: PartitionId, why: JournalError) {
        lock(&self.shared.refused).entry(partition).or_insert(why);
    }

    /// If there are more full segments than the aim, the entries that must be
    /// durable in the stores before there are no more than that.
    pub(crate) fn held_back_by(&self, aim: usize) -> BTreeMap<PartitionId, LogIndex> {
        let sealed = lock(&self.shared.sealed);
        let surplus = sealed.len().checked_sub(aim + 1);
        let segment = surplus.and_then(|last| sealed.get(last));
        segment.map(|segment| segment.heads.clone()).unwrap_or_default()
    }

    /// Removes the oldest segments of which nothing is needed: whose entries are
    /// all at or below these.
    pub(crate) fn drop_behind(
        &self,
        disk: &dyn Disk,
        durable: &BTreeMap<PartitionId, LogIndex>,
    ) -> Result<usize, JournalError> {
        let mut dropped = 0;
        loop {
            let mut sealed = lock(&self.shared.sealed);
            let needless = sealed.front().is_some_and(|segment| {
                segment.heads.iter().all(|(partition, head)| {
                    durable.get(partition).is_some_and(|through| through >= head)
                })
            });
            if !needless {
                return Ok(dropped);
            }
            let Some(segment) = sealed.pop_front() else { return Ok(dropped) };
            drop(sealed);
            // One after the other, so that a crash can't leave a hole.
            disk.remove(&segment.path).and_then(|()| disk.sync_dir(segment::directory())).map_err(
                |error| JournalError::io("remove", &disk.describe(&segment.path), &error),
            )?;
            dropped += 1;
        }
    }

    pub(crate) fn status(&self) -> LogStatus {
        LogStatus {
            commits: self.shared.commits.load(Ordering::Relaxed),
            segments: lock(&self.shared.sealed).len() + 1,
            failure: lock(&self.shared.failure).clone(),
            full: lock(&self.shared.full).clone().or_else(|| self.shared.space.shortage()),
        }
    }

    /// Writes what waits, and ends the thread.
    pub(crate) fn close(&self) {
        lock(&self.shared.queue).closing = true;
        self.shared.wake.notify_one();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            // A writer that panicked has latched nothing; its entries were never told durable.
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

struct Writer<O> {
    disk: Arc<dyn Disk>,
    identity: Identity,
    segment_bytes: u64,
    log_bytes_max: u64,
    segment: Option<Segment>,
    next_record: u64,
    heads: BTreeMap<PartitionId, (Term, LogIndex)>,
    buffer: Vec<u8>,
    marked: bool,
    /// Why the last entry of a partition was not written, until one is again:
    /// what was built on it goes the same way.
    unbuilt: BTreeMap<PartitionId, JournalError>,
    shared: Arc<Shared>,
    outcomes: O,
}

impl<O: Outcomes> Writer<O> {
    /// Runs, and if that ends in a panic, fails the log: nobody waits for ever.
    fn guarded(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_ok() {
            return;
        }
        let cause = std::io::Error::other("the thread that writes it panicked");
        *lock(&self.shared.failure) = Some(JournalError::fatal("write", "the log", &cause));
        // Every entry is refused from here on, by the same loop.
        let _ = catch_unwind(AssertUnwindSafe(|| self.run()));
    }

    fn run(&mut self) {
        while let Some(group) = self.next_group() {
            if group.is_empty() {
                self.mark();
            } else {
                self.commit(group);
            }
        }
        self.mark();
    }

    /// What waits, up to a bound; empty after a while without anything.
    fn next_group(&self) -> Option<Vec<(Entry, Vec<u8>)>> {
        let mut queue = lock(&self.shared.queue);
        while queue.entries.is_empty() {
            if queue.closing {
                return None;
            }
            if self.marked {
                queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, timeout) =
                self.shared.wake.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() && queue.entries.is_empty() {
                return Some(Vec::new());
            }
        }
        let mut bytes = 0;
        let mut count = 0;
        for (_, record) in &queue.entries {
            if count >= GROUP_RECORDS_MAX || bytes >= GROUP_BYTES_MAX {
                break;
            }
            bytes += record.len() + RECORD_PREFIX_BYTES;
            count += 1;
        }
        Some(queue.entries.drain(..count).collect())
    }

    fn commit(&mut self, group: Vec<(Entry, Vec<u8>)>) {
        let mut heads = self.heads.clone();
        let (mut entries, mut records) = (Vec::with_capacity(group.len()), Vec::new());
        for (entry, mut record) in group {
            if let Err(error) = self.check(&entry, &record, &heads) {
                self.fail(entry.partition, entry.index, error);
                continue;
            }
            heads.insert(entry.partition, (entry.term, entry.index));
            entry::number(&mut record, self.next_record + records.len() as u64);
            records.push(record);
            entries.push(entry);
        }
        if entries.is_empty() {
            return;
        }
        match self.write(&records) {
            Ok(()) => {
                self.next_record += records.len() as u64;
                self.heads = heads;
                self.marked = false;
                for entry in &entries {
                    self.unbuilt.remove(&entry.partition);
                }
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                *lock(&self.shared.full) = None;
                self.outcomes.durable(entries);
            }
            Err(error) => {
                self.latch(&error);
                for entry in entries {
                    self.fail(entry.partition, entry.index, error.clone());
                }
            }
        }
    }

    fn latch(&self, error: &JournalError) {
        let latch = if error.is_full() { &self.shared.full } else { &self.shared.failure };
        let mut latched = lock(latch);
        if latched.is_none() {
            tracing::error!(%error, "the log could not be written");
        }
        *latched = Some(error.clone());
    }

    fn fail(&mut self, partition: PartitionId, index: LogIndex, error: JournalError) {
        self.outcomes.failed(partition, index, &error);
        self.unbuilt.insert(partition, error);
    }

    /// Whether an entry can be the next of its partition.
    fn check(
        &self,
        entry: &Entry,
        record: &[u8],
        heads: &BTreeMap<PartitionId, (Term, LogIndex)>,
    ) -> Result<(), JournalError> {
        if let Some(failure) = &*lock(&self.shared.failure) {
            return Err(failure.clone());
        }
        if let Some(refusal) = lock(&self.shared.refused).get(&entry.partition) {
            return Err(refusal.clone());
        }
        let (partition, index) = (entry.partition, entry.index);
        let inconsistent = |what| JournalError::Inconsistent { partition, index, what };
        // Once written, it would keep the journal from being opened again.
        if partition.get() >= self.identity.partitions.get() {
            return Err(inconsistent("there is no such partition".into()));
        }
        let (term, head) = heads.get(&partition).copied().unwrap_or_default();
        if index > head.next()
            && let Some(why) = self.unbuilt.get(&partition)
        {
            // It was built on one that was not written.
            return Err(why.clone());
        }
        if index != head.next() {
            return Err(inconsistent(format!("it does not follow entry {head}")));
        }
        if entry.term < term {
            return Err(inconsistent(format!("it is of term {}, after {term}", entry.term)));
        }
        if record.len() > RECORD_BYTES_MAX {
            let size = record.len();
            return Err(inconsistent(format!("it has {size} bytes, over {RECORD_BYTES_MAX}")));
        }
        Ok(())
    }

    fn write(&mut self, records: &[Vec<u8>]) -> Result<(), JournalError> {
        if let Some(shortage) = self.shared.space.shortage() {
            return Err(shortage);
        }
        let bytes = records.iter().map(|record| record.len() + RECORD_PREFIX_BYTES).sum();
        if !self.segment.as_ref().is_some_and(|segment| segment.fits(bytes)) {
            self.roll(bytes)?;
        }
        match &mut self.segment {
            Some(segment) => segment.write(self.next_record, records, &mut self.buffer),
            None => Err(JournalError::Closed),
        }
    }

    /// Begins the next segment. The one before stays what it is written to if
    /// there is no room for another.
    fn roll(&mut self, bytes: usize) -> Result<(), JournalError> {
        let segments = lock(&self.shared.sealed).len() as u64 + 1;
        if segments.saturating_mul(self.segment_bytes) > self.log_bytes_max {
            return Err(JournalError::Full {
                file: self.disk.describe(segment::directory()),
                operation: "add a segment to",
                cause: format!(
                    "the log has {segments} segments, and no more than {} bytes are allowed: a \
                     store can't be made durable",
                    self.log_bytes_max
                ),
            });
        }
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|error| {
            JournalError::io("draw a salt for", "a log segment", &std::io::Error::other(error))
        })?;
        let heads =
            self.heads.iter().map(|(&partition, &(term, index))| Head { partition, term, index });
        let header = SegmentHeader {
            cluster: self.identity.cluster,
            node: self.identity.node,
            salt: u64::from_le_bytes(salt),
            first_record: self.next_record,
            heads: heads.collect(),
        };
        // Room for a group that is larger than a segment, too.
        let bytes_max = self.segment_bytes.max(bytes as u64 + (1 << 20) + (64 << 10));
        // One that nothing was written to is made anew, under the same name.
        let before = self.segment.take().filter(|before| before.first_record != self.next_record);
        match Segment::create(&*self.disk, &header, bytes_max) {
            Ok(segment) => {
                if let Some(before) = before {
                    let heads = self.heads.iter().map(|(&p, &(_, index))| (p, index)).collect();
                    lock(&self.shared.sealed).push_back(Sealed { path: before.path, heads });
                }
                self.segment = Some(segment);
                Ok(())
            }
            Err(error) => {
                self.segment = before;
                Err(error)
            }
        }
    }

    /// Says behind the last group that all before it is durable.
    fn mark(&mut self) {
        if self.marked || lock(&self.shared.failure).is_some() {
            return;
        }
        self.marked = true;
        let Some(segment) = &mut self.segment else { return };
        if !segment.fits(0) {
            return;
        }
        if let Err(error) = segment.write(self.next_record, &[], &mut self.buffer) {
            self.latch(&error);
        }
    }
}
