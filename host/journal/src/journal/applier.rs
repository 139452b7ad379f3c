//! The thread that applies durable entries to the stores, many at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use stead_model::{Entry, LogIndex, PartitionId};

use super::ballast::Ballast;
use crate::{
    JournalError,
    disk::Disk,
    log::{Log, Outcomes},
    options::JournalEvents,
    store::Store,
};

/// The most entries that wait to be applied; the log waits for room then.
const BACKLOG_MAX: usize = 32_768;
/// The most entries in one transaction.
const ENTRIES_AT_ONCE: usize = 4_096;
/// How long to wait before a store without room is tried again.
const RETRY: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    flush: bool,
    closing: bool,
}

/// The queue of durable entries, and the thread behind it.
pub(super) struct Applying {
    queue: Mutex<Queue>,
    wake: Condvar,
    room: Condvar,
    log: OnceLock<Arc<Log>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Applying {
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        stores: Arc<[Arc<Store>]>,
        events: Arc<dyn JournalEvents>,
        ballast: Ballast,
        delay_ms: u64,
    ) -> std::io::Result<Arc<Self>> {
        let applying = Arc::new(Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Condvar::new(),
            log: OnceLock::new(),
            thread: Mutex::new(None),
        });
        let worker = Worker {
            applying: Arc::clone(&applying),
            disk,
            stores,
            events,
            ballast,
            delay: Duration::from_millis(delay_ms),
            stalled: false,
        };
        let thread =
            std::thread::Builder::new().name("stead-apply".into()).spawn(move || worker.run())?;
        *lock(&applying.thread) = Some(thread);
        Ok(applying)
    }

    /// Tells it of the log, which it must be able to stall.
    pub(super) fn serve(&self, log: Arc<Log>) {
        // It is set once, right after the start.
        let _ = self.log.set(log);
    }

    pub(super) fn flush(&self) {
        lock(&self.queue).flush = true;
        self.wake.notify_one();
    }

    pub(super) fn backlog(&self) -> usize {
        lock(&self.queue).entries.len()
    }

    /// Applies what waits, and ends the thread.
    pub(super) fn close(&self) {
        lock(&self.queue).closing = true;
        self.wake.notify_one();
        self.room.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }

    fn push(&self, entries: Vec<Entry>) {
        let mut queue = lock(&self.queue);
        while queue.entries.len() > BACKLOG_MAX && !queue.closing {
            queue.flush = true;
            self.wake.notify_one();
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.entries.extend(entries);
        drop(queue);
        self.wake.notify_one();
    }

    /// What waits, once it has waited long enough to be worth a transaction.
    fn next(&self, delay: Duration, patience: Option<Duration>) -> Option<Vec<Entry>> {
        let mut queue = lock(&self.queue);
        let mut since: Option<Instant> = None;
        loop {
            if queue.entries.is_empty() {
                queue.flush = false;
                if queue.closing {
                    return None;
                }
                match patience {
                    Some(patience) => {
                        let (woken, timeout) = self
                            .wake
                            .wait_timeout(queue, patience)
                            .unwrap_or_else(PoisonError::into_inner);
                        queue = woken;
                        if timeout.timed_out() && queue.entries.is_empty() {
                            return Some(Vec::new());
                        }
                    }
                    None => queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
                continue;
            }
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            let enough = queue.flush
                || queue.closing
                || waited >= delay
                || queue.entries.len() >= ENTRIES_AT_ONCE;
            if enough {
                break;
            }
            let (woken, _) = self
                .wake
                .wait_timeout(queue, delay - waited)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
        }
        queue.flush = false;
        let entries = std::mem::take(&mut queue.entries);
        drop(queue);
        self.room.notify_all();
        Some(entries.into())
    }
}

/// Passes on what becomes of entries in the log.
pub(super) struct Relay {
    applying: Arc<Applying>,
    events: Arc<dyn JournalEvents>,
}

impl Relay {
    pub(super) fn new(applying: Arc<Applying>, events: Arc<dyn JournalEvents>) -> Self {
        Self { applying, events }
    }
}

impl Outcomes for Relay {
    fn durable(&mut self, entries: Vec<Entry>) {
        let mut through: BTreeMap<PartitionId, LogIndex> = BTreeMap::new();
        for entry in &entries {
            through.insert(entry.partition, entry.index);
        }
        for (partition, index) in through {
            self.events.durable(partition, index);
        }
        self.applying.push(entries);
    }

    fn failed(&mut self, partition: PartitionId, from: LogIndex, error: &JournalError) {
        self.events.failed(partition, from, error);
    }
}

struct Worker {
    applying: Arc<Applying>,
    disk: Arc<dyn Disk>,
    stores: Arc<[Arc<Store>]>,
    events: Arc<dyn JournalEvents>,
    ballast: Ballast,
    delay: Duration,
    /// The log takes nothing, because the ballast is given up.
    stalled: bool,
}

impl Worker {
    fn run(mut self) {
        loop {
            let patience = self.stalled.then_some(RETRY);
            let Some(entries) = self.applying.next(self.delay, patience) else { return };
            let mut by_partition: BTreeMap<PartitionId, Vec<Entry>> = BTreeMap::new();
            for entry in entries {
                by_partition.entry(entry.partition).or_default().push(entry);
            }
            for (partition, entries) in by_partition {
                self.apply(partition, &entries);
            }
            if self.stalled {
                self.try_to_go_on();
            }
        }
    }

    fn apply(&mut self, partition: PartitionId, entries: &[Entry]) {
        let Some(store) = self.stores.get(usize::from(partition.get())).map(Arc::clone) else {
            return;
        };
        if store.failure().is_some_and(|failure| !failure.is_full()) {
            return;
        }
        for batch in entries.chunks(ENTRIES_AT_ONCE) {
            let Some(last) = batch.last() else { continue };
            let mut result = store.apply(batch);
            if result.as_ref().is_err_and(JournalError::is_full) {
                self.stall(&result);
                result = self.catch_up(&store);
            }
            match result {
                Ok(()) => self.events.applied(partition, last.index.min(store.progress().index)),
                Err(error) => {
                    tracing::error!(%partition, %error, "entries could not be applied");
                    return;
                }
            }
        }
    }

    fn stall(&mut self, result: &Result<(), JournalError>) {
        if let (Err(error), Some(log)) = (result, self.applying.log.get()) {
            log.stall(Some(error.clone()));
        }
        self.ballast.give_up();
        self.stalled = true;
    }

    /// Opens a store anew, and applies from the log what it lacks.
    fn catch_up(&self, store: &Store) -> Result<(), JournalError> {
        store.reopen()?;
        super::recovery::apply_from_log(&*self.disk, store)
    }

    /// Puts the ballast back if there is room, and lets the log go on.
    fn try_to_go_on(&mut self) {
        for store in &*self.stores {
            if store.failure().is_some_and(|failure| failure.is_full()) {
                match self.catch_up(store) {
                    Ok(()) => self.events.applied(store.partition, store.progress().index),
                    Err(_) => return,
                }
            }
        }
        if self.ballast.take().is_ok() {
            if let Some(log) = self.applying.log.get() {
                log.stall(None);
            }
            self.stalled = false;
            tracing::info!("there is room again: writes are taken");
        }
    }
}
