//! The node's log: segments of groups, each made durable by one sync.
//!
//! **Why a file of our own and not redb.** The budget for one waiting client is
//! 1.25 syncs. A redb commit writes the changed leaf, the branch above it, the
//! allocator's state and the header, in as many places of the file; a group here
//! is one contiguous write into room that was taken when the segment was made,
//! so the sync has no metadata to write. See the example `log_latency`.
//!
//! **Torn or rotten.** The next group is written only after the sync of the one
//! before it has returned. So only the last group of the last segment can have
//! been cut off by a crash; a group that is not sound, with a sound one after it,
//! is damage, and is reported, never cut off. When the log has been idle, a
//! *mark* is written behind the last group, which narrows the doubt to groups
//! written in the last moments before a crash.
//!
//! **Durable and committed.** An entry is durable here once its group is synced;
//! it is committed when consensus says so, and only then, if it is durable too,
//! is it handed over to be applied. Until then it may be given up again.

mod queue;
mod read;
mod runs;
mod segment;
mod tail;
mod writer;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    thread::JoinHandle,
};

pub use queue::Done;
pub(crate) use queue::Sealed;
pub(crate) use read::{Place, Scan, SegmentReader};
pub(crate) use runs::{Run, Runs};
pub(crate) use segment::{Segment, directory, number_of, path_of};
use stead_model::{Entry, Item, LogIndex, LogPosition, PartitionId};
pub(crate) use tail::Tail;
pub(crate) use writer::Recovered;

use self::{
    queue::{Shared, What, Work},
    tail::Found,
    writer::Writer,
};
use crate::{
    JournalError,
    disk::Disk,
    format::record,
    options::{Identity, JournalOptions, PlantedBug},
    space::Space,
    stepping::{Hands, Step},
};

/// The most bytes that one entry may have, encoded.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// Who applies entries.
pub(crate) trait Applies: Send + Sync + 'static {
    /// These are durable and committed, in order for each partition. Never waits.
    fn take(&self, entries: Vec<Arc<Entry>>);

    /// Waits until not too much waits to be applied.
    fn wait_for_room(&self);

    /// Whether not too much waits to be applied.
    fn has_room(&self) -> bool;
}

/// How the log fares.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogStatus {
    pub(crate) commits: u64,
    pub(crate) segments: usize,
    pub(crate) failure: Option<JournalError>,
    pub(crate) full: Option<JournalError>,
}

/// The log, open for appending.
pub(crate) struct Log {
    shared: Arc<Shared>,
    applies: Arc<dyn Applies>,
    disk: Arc<dyn Disk>,
    /// How much of what is applied is kept in memory for a partition's readers,
    /// in bytes.
    recent_bytes: usize,
    planted: Option<PlantedBug>,
    writing: Writing,
}

/// Who writes the log.
enum Writing {
    Thread(Mutex<Option<JoinHandle<()>>>),
    Steps(Box<Mutex<Writer>>),
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// About how much memory an entry takes, in bytes.
pub(crate) fn weight(entry: &Entry) -> usize {
    let items = entry.items.iter().map(|item| match item {
        Item::Outcome(outcome) => {
            let events: usize = outcome.events.iter().map(|event| event.size() + 48).sum();
            256 + events + outcome.reply.len()
        }
        Item::Snapshot(snapshot) => 128 + snapshot.state.len(),
        Item::Members(members) => 32 + members.len(),
    });
    64 + items.sum::<usize>()
}

impl Log {
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        identity: Identity,
        options: &JournalOptions,
        space: Arc<Space>,
        recovered: Recovered,
        applies: Arc<dyn Applies>,
        hands: Hands,
    ) -> std::io::Result<Self> {
        let Recovered { segment, next_record, tails, sealed } = recovered;
        let shared = Arc::new(Shared::new(tails, sealed, space, hands.clone()));
        let writer = Writer::new(
            Arc::clone(&disk),
            identity,
            options,
            (segment, next_record),
            Arc::clone(&shared),
            Arc::clone(&applies),
        );
        let writing = if hands.are_stepped() {
            Writing::Steps(Box::new(Mutex::new(writer)))
        } else {
            let mut writer = writer;
            let thread = std::thread::Builder::new()
                .name("stead-log".into())
                .spawn(move || writer.guarded())?;
            Writing::Thread(Mutex::new(Some(thread)))
        };
        let recent_bytes = options.recent_bytes / usize::from(options.partitions.get());
        Ok(Self { shared, applies, disk, recent_bytes, planted: options.planted, writing })
    }

    /// Takes entries that follow each other and the partition's last. They can
    /// be read from now on; `done` is called once they are durable, or are known
    /// not to become so. Never waits; the callers bound how much they have under
    /// way. If an error is returned, nothing is taken.
    pub(crate) fn append(
        &self,
        partition: PartitionId,
        entries: &[Arc<Entry>],
        done: Done,
    ) -> Result<(), JournalError> {
        let Some((first, last)) = entries.first().zip(entries.last()) else {
            done.call(Ok(()));
            return Ok(());
        };
        // Encoded here, on the caller's thread: the writer is the bottleneck.
        let records: Vec<Vec<u8>> = entries.iter().map(|entry| record::entry(entry)).collect();
        for (record, entry) in records.iter().zip(entries) {
            if record.len() > RECORD_BYTES_MAX {
                let what = format!("it has {} bytes, over {RECORD_BYTES_MAX}", record.len());
                return Err(JournalError::Inconsistent { partition, index: entry.index, what });
            }
        }
        let what = What::Entries(first.index, last.index);
        let early = self.planted == Some(PlantedBug::DurableBeforeSync);
        let (now, done) = if early { (Some(done), Done::nothing()) } else { (None, done) };
        self.put(partition, first.index, what, records, done, |tail| tail.extend(entries))?;
        if let Some(done) = now {
            done.call(Ok(()));
        }
        Ok(())
    }

    /// Gives up a partition's entries after one.
    pub(crate) fn truncate(
        &self,
        partition: PartitionId,
        after: LogPosition,
        done: Done,
    ) -> Result<(), JournalError> {
        let records = vec![record::truncation(partition, after)];
        self.put(partition, after.index, What::Truncation, records, done, |tail| {
            tail.truncate(partition, after)
        })
    }

    /// Has a partition go on after an entry that comes in a store.
    pub(crate) fn begin(
        &self,
        partition: PartitionId,
        after: LogPosition,
        done: Done,
    ) -> Result<(), JournalError> {
        let records = vec![record::begin(partition, after)];
        self.put(partition, after.index, What::Truncation, records, done, |tail| {
            if after.index <= tail.committed {
                let what = format!("up to {} all is committed", tail.committed);
                return Err(JournalError::Inconsistent { partition, index: after.index, what });
            }
            tail.restart(after);
            Ok(())
        })
    }

    /// Keeps a partition's vote.
    pub(crate) fn vote(
        &self,
        partition: PartitionId,
        vote: &Arc<[u8]>,
        done: Done,
    ) -> Result<(), JournalError> {
        let records = vec![record::vote(partition, vote)];
        let what = What::Vote(Arc::clone(vote));
        self.put(partition, LogIndex(0), what, records, done, |tail| {
            tail.vote = Some(Arc::clone(vote));
            Ok(())
        })
    }

    fn put(
        &self,
        partition: PartitionId,
        index: LogIndex,
        what: What,
        records: Vec<Vec<u8>>,
        done: Done,
        take: impl FnOnce(&mut Tail) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let shared = &self.shared;
        if let Some(failure) = &*lock(&shared.failure) {
            return Err(failure.clone());
        }
        if let Some(refusal) = lock(&shared.refused).get(&partition) {
            return Err(refusal.clone());
        }
        let Some(mut tail) = shared.tail(partition) else {
            // Once written, it would keep the journal from being opened again.
            let what = "there is no such partition".into();
            return Err(JournalError::Inconsistent { partition, index, what });
        };
        let mut queue = lock(&shared.queue);
        if queue.closing {
            return Err(JournalError::Closed);
        }
        take(&mut tail)?;
        let (head, truncations) = (tail.last, tail.truncations);
        queue.works.push_back(Work { partition, records, what, head, truncations, done });
        drop(queue);
        drop(tail);
        shared.ring();
        Ok(())
    }

    /// A partition is committed up to this entry: what of it is durable here is
    /// handed over to be applied, and the rest once it is.
    pub(crate) fn commit(&self, partition: PartitionId, through: LogIndex) {
        let Some(mut tail) = self.shared.tail(partition) else { return };
        if through <= tail.committed {
            return;
        }
        tail.committed = through;
        // Under the tail's lock, so that they are handed over in order.
        let entries = tail.hand_over();
        if !entries.is_empty() {
            self.applies.take(entries);
        }
        lock(&self.shared.queue).commits.insert(partition, through);
    }

    /// Why nothing new should be taken for now, if so: the log or a store finds no
    /// room.
    pub(crate) fn shortage(&self) -> Option<JournalError> {
        lock(&self.shared.full).clone().or_else(|| self.shared.space.shortage())
    }

    /// Looks at what is known of a partition's log.
    pub(crate) fn look<T>(&self, partition: PartitionId, at: impl FnOnce(&Tail) -> T) -> Option<T> {
        self.shared.tail(partition).map(|tail| at(&tail))
    }

    /// A partition's store has come this far.
    pub(crate) fn applied(&self, partition: PartitionId, through: LogIndex) {
        if let Some(mut tail) = self.shared.tail(partition) {
            tail.applied(through, self.recent_bytes);
        }
    }

    /// Nobody reads a partition's entries up to this one any more.
    pub(crate) fn release(&self, partition: PartitionId, through: LogPosition) {
        if let Some(mut tail) = self.shared.tail(partition) {
            tail.release(through);
        }
    }

    /// Reads a partition's entries from one on, up to another, excluding that:
    /// at least one, if the log has the first, and about as many as have so many
    /// bytes.
    pub(crate) fn read(
        &self,
        partition: PartitionId,
        from: LogIndex,
        until: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Entry>>, JournalError> {
        let found = self.look(partition, |tail| tail.find(from, until, bytes_max));
        let run = match found {
            Some(Found::Here(entries)) => return Ok(entries),
            Some(Found::Stored(run)) => run,
            Some(Found::Nowhere) | None => return Ok(Vec::new()),
        };
        let path = path_of(run.group.segment);
        let Some(reader) = SegmentReader::open(&*self.disk, &path)? else {
            let what = "its header is gone";
            return Err(JournalError::damaged(&self.disk.describe(&path), "byte 0", what));
        };
        let entries = reader.run(&run, partition)?;
        let wanted = entries.into_iter().filter(|e| e.index >= from && e.index < until);
        Ok(wanted.map(Arc::new).collect())
    }

    /// Reads as [`Self::read`], from memory alone; `None` if the first isn't there.
    pub(crate) fn recent(
        &self,
        partition: PartitionId,
        from: LogIndex,
        until: LogIndex,
        bytes_max: usize,
    ) -> Option<Vec<Arc<Entry>>> {
        match self.look(partition, |tail| tail.find(from, until, bytes_max)) {
            Some(Found::Here(entries)) => Some(entries),
            Some(Found::Stored(_) | Found::Nowhere) | None => None,
        }
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
    /// all at or below these, and released.
    pub(crate) fn drop_behind(
        &self,
        durable: &BTreeMap<PartitionId, LogIndex>,
    ) -> Result<usize, JournalError> {
        let released = |partition| self.look(partition, |tail| tail.released).unwrap_or_default();
        let mut dropped = 0;
        loop {
            let front = lock(&self.shared.sealed).front().cloned();
            let Some(segment) = front else { return Ok(dropped) };
            let needless = segment.heads.iter().all(|(partition, head)| {
                durable.get(partition).is_some_and(|through| through >= head)
                    && released(*partition) >= *head
            });
            if !needless {
                return Ok(dropped);
            }
            for mut tail in self.shared.tails() {
                tail.dropped(segment.first_record);
            }
            lock(&self.shared.sealed).pop_front();
            // One after the other, so that a crash can't leave a hole.
            let disk = &self.disk;
            disk.remove(&segment.path).and_then(|()| disk.sync_dir(segment::directory())).map_err(
                |error| JournalError::io("remove", &disk.describe(&segment.path), &error),
            )?;
            dropped += 1;
        }
    }

    /// Why nothing more is taken for any partition, if so.
    pub(crate) fn failure(&self) -> Option<JournalError> {
        lock(&self.shared.failure).clone()
    }

    pub(crate) fn status(&self) -> LogStatus {
        LogStatus {
            commits: self.shared.commits.load(Ordering::Relaxed),
            segments: lock(&self.shared.sealed).len() + 1,
            failure: self.failure(),
            full: self.shortage(),
        }
    }

    /// Does one piece of the writing, if no thread does it.
    pub(crate) fn step(&self) -> Step {
        match &self.writing {
            Writing::Thread(_) => Step::Idle,
            Writing::Steps(writer) => lock(writer).step(),
        }
    }

    /// Writes what waits, if no thread does it, as far as there is room.
    pub(crate) fn write_all(&self) {
        while self.step() == Step::Done {}
    }

    /// Writes what waits, and ends the thread. Without one, whoever takes the steps
    /// has written what is to be written.
    pub(crate) fn close(&self) {
        lock(&self.shared.queue).closing = true;
        self.shared.wake.notify_one();
        let Writing::Thread(thread) = &self.writing else {
            // Whoever waits for what is left is told.
            let left = std::mem::take(&mut lock(&self.shared.queue).works);
            return drop(left);
        };
        let thread = lock(thread).take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            // A writer that panicked has latched a failure.
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}
