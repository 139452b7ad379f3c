//! The journal as a whole: opened, appended to, read, closed.

mod applier;
mod checkpoints;
mod partition_log;
mod pass;
mod recovery;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use stead_model::{LogIndex, NodeId, PartitionId};

pub use self::partition_log::{LogState, PartitionLog};
use self::{
    applier::Applying,
    checkpoints::Checkpoints,
    recovery::{Recovery, recover},
};
use crate::{
    JournalError,
    disk::{Disk, DiskLock},
    log::{Applies, Log},
    options::{Identity, JournalEvents, JournalOptions},
    space::Space,
    stepping::{Hands, Step, Stepper, Work},
    store::{Receiving, Store, StoreReader},
};

/// The node's journal. Cheap to clone; all clones are the same journal.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

/// A journal that may be gone.
pub(crate) struct WeakJournal(Weak<Inner>);

impl WeakJournal {
    pub(crate) fn upgrade(&self) -> Option<Journal> {
        self.0.upgrade().map(Journal)
    }
}

struct Inner {
    log: Arc<Log>,
    applying: Arc<Applying>,
    checkpoints: Mutex<Option<Checkpoints>>,
    stores: Arc<[Arc<Store>]>,
    events: Arc<dyn JournalEvents>,
    identity: Identity,
    segment_bytes: u64,
    disk: Arc<dyn Disk>,
    space: Arc<Space>,
    hands: Hands,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

/// What opening the journal had to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Log segments that were read.
    pub segments: u64,
    /// Entries that were read.
    pub entries_read: u64,
    /// Entries that were applied again.
    pub entries_applied: u64,
    /// How long all of it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether the journal was made just now.
    pub created: bool,
}

/// How the journal fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// Bytes of all its files.
    pub bytes: u64,
    /// Groups that were made durable since it was opened, one sync each.
    pub log_commits: u64,
    /// Log segments there are.
    pub log_segments: usize,
    /// Durable entries that are not applied yet.
    pub unapplied: usize,
    /// What ails it, in sentences; empty if nothing does.
    pub problems: Vec<String>,
}

impl Journal {
    /// Opens a journal, or makes one, and applies again what its stores lack.
    /// Blocks meanwhile. From then on `events` is told what becomes of entries.
    ///
    /// # Errors
    /// If another process has it, if it is another node's or has another
    /// partition count, or if anything in it is damaged. Not if the entries of a
    /// partition contradict each other: that one has [failed](Self::failure) then.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        events: Arc<dyn JournalEvents>,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        Self::open_with(disk, options, events, Hands::default())
    }

    /// Opens a journal as [`Self::open`] does, which starts no threads: all that it
    /// does it does within calls of [`Self::step`], on the caller's thread.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        events: Arc<dyn JournalEvents>,
        stepper: Arc<dyn Stepper>,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        Self::open_with(disk, options, events, Hands::of(stepper))
    }

    fn open_with(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        events: Arc<dyn JournalEvents>,
        hands: Hands,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        let space = Arc::new(Space::default());
        let Recovery { identity, lock, stores, recovered, refused, report } =
            recover(&disk, &options, &space, &hands)?;
        let applying =
            Applying::start(Arc::clone(&stores), Arc::clone(&events), &options, hands.clone())
                .map_err(|error| thread_failed(&error))?;
        let applies: Arc<dyn Applies> = Arc::clone(&applying) as _;
        let log = Log::start(
            Arc::clone(&disk),
            identity.clone(),
            &options,
            Arc::clone(&space),
            recovered,
            applies,
            hands.clone(),
        )
        .map_err(|error| thread_failed(&error))?;
        let log = Arc::new(log);
        for (partition, why) in refused {
            log.refuse(partition, why);
        }
        applying.serve(&log);
        let checkpoints = Checkpoints::start(
            Arc::clone(&stores),
            Arc::clone(&log),
            Arc::clone(&events),
            Arc::clone(&space),
            &options,
            &hands,
        )
        .map_err(|error| thread_failed(&error))?;
        let inner = Inner {
            log,
            applying,
            checkpoints: Mutex::new(Some(checkpoints)),
            stores,
            events,
            identity,
            segment_bytes: options.segment_bytes,
            disk,
            space,
            hands,
            lock: Mutex::new(Some(lock)),
        };
        Ok((Self(Arc::new(inner)), report))
    }

    /// The log of a partition.
    #[must_use]
    pub fn log(&self, partition: PartitionId) -> PartitionLog {
        PartitionLog::new(self.clone(), partition)
    }

    pub(crate) fn downgrade(&self) -> WeakJournal {
        WeakJournal(Arc::downgrade(&self.0))
    }

    /// Why nothing new should be taken for now, if so: the disk has no room.
    /// What was taken waits until it has.
    #[must_use]
    pub fn shortage(&self) -> Option<JournalError> {
        self.0.log.shortage()
    }

    /// Why nothing more is taken for a partition, if the log or its store failed.
    #[must_use]
    pub fn failure(&self, partition: PartitionId) -> Option<JournalError> {
        let store = self.0.stores.get(usize::from(partition.get()));
        self.0.log.failure().or_else(|| store.and_then(|store| store.failure()))
    }

    /// Has a partition's entries up to this one applied as soon as they are committed and
    /// durable, rather than gathered for a while.
    pub fn flush(&self, partition: PartitionId, through: LogIndex) {
        self.0.applying.flush(partition, through);
    }

    /// Reads a partition's store.
    ///
    /// # Panics
    /// If there is no such partition.
    #[must_use]
    pub fn reader(&self, partition: PartitionId) -> StoreReader {
        let store = self.0.stores.get(usize::from(partition.get()));
        StoreReader(Arc::clone(store.expect("a partition of this journal")))
    }

    /// Whether it has no threads, and is stepped.
    #[must_use]
    pub fn is_stepped(&self) -> bool {
        self.0.hands.are_stepped()
    }

    /// Does one piece of its work, if it has no threads for it. `now` is how long
    /// ago it was opened: checkpoints come due by it.
    pub fn step(&self, work: Work, now: Duration) -> Step {
        match work {
            Work::Log => self.0.log.step(),
            Work::Apply => self.0.applying.step(),
            Work::Checkpoint => {
                let checkpoints = &self.0.checkpoints;
                let mut checkpoints = checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(checkpoints) = &mut *checkpoints {
                    checkpoints.step(now);
                }
                Step::Idle
            }
        }
    }

    /// Draws a number by chance.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn draw(&self) -> Result<u64, JournalError> {
        let mut bytes = [0; 8];
        let drawn = self.0.hands.random(&mut bytes);
        drawn.map_err(|error| JournalError::io("draw a number for", "the journal", &error))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes and applies all that waits, if it has no threads that do.
    fn step_all(&self) {
        if self.is_stepped() {
            self.0.log.write_all();
            while self.0.applying.step() == Step::Done {}
        }
    }

    /// Whose journal it is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.0.identity.node)
    }

    /// Begins to receive a partition's store from another node. One at a time for
    /// a partition.
    ///
    /// # Errors
    /// If there is no room, or the disk fails.
    pub fn receive(&self, partition: PartitionId) -> Result<Receiving, JournalError> {
        let inner = &self.0;
        let (disk, space) = (Arc::clone(&inner.disk), Arc::clone(&inner.space));
        Receiving::begin(disk, partition, inner.identity.clone(), space)
    }

    /// What has to go of every partition's log, for the log to have no more than about
    /// so many bytes.
    fn surplus(&self, bytes_max: u64) -> BTreeMap<PartitionId, LogIndex> {
        let segments = bytes_max / self.0.segment_bytes.max(1);
        self.0.log.held_back_by(usize::try_from(segments).unwrap_or(usize::MAX))
    }

    /// How it fares.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        let log = self.0.log.status();
        JournalStatus {
            bytes: self.bytes(),
            log_commits: log.commits,
            log_segments: log.segments,
            unapplied: self.0.applying.backlog(),
            problems: self.problems(),
        }
    }

    /// What is wrong with it: of [`Self::status`] what costs nothing to know.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let log = self.0.log.status();
        let stores = self.0.stores.iter().filter_map(|store| store.failure());
        let problems = log.failure.into_iter().chain(log.full).chain(stores);
        let mut problems: Vec<String> = problems.map(|problem| problem.to_string()).collect();
        problems.dedup();
        problems
    }

    fn bytes(&self) -> u64 {
        let disk = &self.0.disk;
        let directories = [crate::log::directory(), crate::store::directory()];
        let lengths = directories.iter().flat_map(|directory| {
            let names = disk.list(directory).unwrap_or_default();
            names.into_iter().filter_map(move |name| {
                disk.open(&format!("{directory}/{name}")).and_then(|file| file.len()).ok()
            })
        });
        lengths.sum()
    }

    /// Finishes what was appended, makes all stores durable, and lets the files
    /// go, so that the next opening has nothing to do. Dropping the last clone
    /// without it only ends the threads, and leaves the rest to the log.
    ///
    /// # Errors
    /// The first store's that could not be made durable; what it lacks is in the log.
    pub fn close(&self) -> Result<(), JournalError> {
        self.step_all();
        self.0.stop();
        let mut result = Ok(());
        let mut durable = BTreeMap::new();
        for store in &*self.0.stores {
            result = match store.failure() {
                // Closed before: nothing is left to do.
                Some(JournalError::Closed) => continue,
                Some(failure) => result.and(Err(failure)),
                None => result.and(store.checkpoint()),
            };
            durable.insert(store.partition, store.durable().index);
        }
        if result.is_ok() && !durable.is_empty() {
            result = self.0.log.drop_behind(&durable).map(drop);
        }
        self.0.let_go();
        result
    }
}

impl Inner {
    /// Ends the threads: first what writes the log, then what applies it.
    fn stop(&self) {
        self.space.close();
        self.log.close();
        self.applying.close();
        let mut checkpoints = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        drop(checkpoints.take());
    }

    fn let_go(&self) {
        for store in &*self.stores {
            store.close();
        }
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
        self.let_go();
    }
}

fn thread_failed(error: &std::io::Error) -> JournalError {
    JournalError::fatal("start a thread for", "the journal", error)
}
