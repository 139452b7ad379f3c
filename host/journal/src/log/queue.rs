//! What waits to be written, and what the writer and the others share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, atomic::AtomicU64},
};

use stead_model::{LogIndex, LogPosition, PartitionId};

use super::{Tail, lock};
use crate::{
    JournalError,
    space::Space,
    stepping::{self, Hands},
};

/// Called once, on the log's thread, when what was handed over is durable, or
/// can't become so. Must be quick.
pub struct Done(Option<Call>);

type Call = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

impl Done {
    /// Calls this.
    pub fn new(call: impl FnOnce(Result<(), JournalError>) + Send + 'static) -> Self {
        Self(Some(Box::new(call)))
    }

    /// Calls nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn call(mut self, result: Result<(), JournalError>) {
        if let Some(call) = self.0.take() {
            call(result);
        }
    }
}

/// Nobody waits for ever for what was forgotten.
impl Drop for Done {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call(Err(JournalError::Closed));
        }
    }
}

/// What is written as a whole, in one group.
pub(crate) struct Work {
    pub(crate) partition: PartitionId,
    /// Not numbered yet.
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) what: What,
    /// The partition's last entry after it.
    pub(crate) head: LogPosition,
    /// How many truncations there had been, this one included.
    pub(crate) truncations: u64,
    pub(crate) done: Done,
}

/// What a piece of work says.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// The first and the last entry.
    Entries(LogIndex, LogIndex),
    /// A truncation, or another beginning.
    Truncation,
    Vote(Arc<[u8]>),
}

/// A segment behind the one that is written to, and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) path: String,
    pub(crate) first_record: u64,
    /// The last entry of each partition in it or before it.
    pub(crate) heads: BTreeMap<PartitionId, LogIndex>,
}

/// How far partitions are committed.
pub(super) type Commits = BTreeMap<PartitionId, LogIndex>;

#[derive(Default)]
pub(super) struct Queue {
    pub(super) works: VecDeque<Work>,
    /// What was committed since the log last said so.
    pub(super) commits: Commits,
    pub(super) closing: bool,
}

impl Queue {
    /// What the log may say now of what is committed: nothing while something waits
    /// to be written. It might be about entries that are still to come, and the
    /// log would mean others by it that are given up before them.
    pub(super) fn take_commits(&mut self) -> Commits {
        if self.works.is_empty() { std::mem::take(&mut self.commits) } else { Commits::new() }
    }
}

/// What the writer and the others share.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) wake: Condvar,
    pub(super) commits: AtomicU64,
    pub(super) sealed: Mutex<VecDeque<Sealed>>,
    pub(super) failure: Mutex<Option<JournalError>>,
    pub(super) full: Mutex<Option<JournalError>>,
    /// Partitions whose stores have failed: nothing is taken for them.
    pub(super) refused: Mutex<BTreeMap<PartitionId, JournalError>>,
    pub(super) space: Arc<Space>,
    pub(super) hands: Hands,
    tails: Vec<Mutex<Tail>>,
}

impl Shared {
    pub(super) fn new(
        tails: Vec<Tail>,
        sealed: VecDeque<Sealed>,
        space: Arc<Space>,
        hands: Hands,
    ) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            commits: AtomicU64::new(0),
            sealed: Mutex::new(sealed),
            failure: Mutex::new(None),
            full: Mutex::new(None),
            refused: Mutex::default(),
            space,
            hands,
            tails: tails.into_iter().map(Mutex::new).collect(),
        }
    }

    /// Something waits to be written.
    pub(super) fn ring(&self) {
        self.wake.notify_one();
        self.hands.wanted(stepping::Work::Log);
    }

    /// A partition's tail. It is locked before the queue, never after it.
    pub(super) fn tail(&self, partition: PartitionId) -> Option<MutexGuard<'_, Tail>> {
        self.tails.get(usize::from(partition.get())).map(lock)
    }

    pub(super) fn tails(&self) -> impl Iterator<Item = MutexGuard<'_, Tail>> {
        self.tails.iter().map(lock)
    }
}
