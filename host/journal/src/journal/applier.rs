//! The thread that applies durable entries to the stores, many at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use stead_model::{Entry, PartitionId};

use crate::{
    log::{Applies, Log, weight},
    options::JournalEvents,
    stepping::{Hands, Step, Work},
    store::Store,
};

/// The most entries that wait to be applied; the log waits for room then.
const BACKLOG_MAX: usize = 32_768;
/// The most bytes that they may have.
const BACKLOG_BYTES_MAX: usize = 64 << 20;
/// The most entries in one transaction.
const ENTRIES_AT_ONCE: usize = 4_096;

#[derive(Default)]
struct Queue {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    flush: bool,
    closing: bool,
}

impl Queue {
    /// Whether what waits is worth a transaction, however short it has waited.
    fn is_enough(&self) -> bool {
        self.flush
            || self.closing
            || self.entries.len() >= ENTRIES_AT_ONCE
            || self.bytes >= BACKLOG_BYTES_MAX / 4
    }

    fn take(&mut self) -> Vec<Arc<Entry>> {
        self.flush = false;
        self.bytes = 0;
        std::mem::take(&mut self.entries).into()
    }

    fn is_full(&self) -> bool {
        self.entries.len() > BACKLOG_MAX || self.bytes > BACKLOG_BYTES_MAX
    }
}

/// The queue of durable entries, and the thread behind it.
pub(super) struct Applying {
    queue: Mutex<Queue>,
    wake: Condvar,
    room: Condvar,
    /// The log holds on to this; the other way round neither would ever be let go.
    log: OnceLock<Weak<Log>>,
    hands: Hands,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Who applies, if no thread does.
    stepped: OnceLock<Worker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Applying {
    pub(super) fn start(
        stores: Arc<[Arc<Store>]>,
        events: Arc<dyn JournalEvents>,
        delay_ms: u64,
        hands: Hands,
    ) -> std::io::Result<Arc<Self>> {
        let are_stepped = hands.are_stepped();
        let applying = Arc::new(Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Condvar::new(),
            log: OnceLock::new(),
            hands,
            thread: Mutex::new(None),
            stepped: OnceLock::new(),
        });
        let worker = Worker { stores, events, delay: Duration::from_millis(delay_ms) };
        if are_stepped {
            // It is set once, here.
            let _ = applying.stepped.set(worker);
            return Ok(applying);
        }
        let thread = std::thread::Builder::new().name("stead-apply".into()).spawn({
            let applying = Arc::clone(&applying);
            move || worker.run(&applying)
        })?;
        *lock(&applying.thread) = Some(thread);
        Ok(applying)
    }

    /// Tells it of the log, which must hear of a store that has failed.
    pub(super) fn serve(&self, log: &Arc<Log>) {
        // It is set once, right after the start.
        let _ = self.log.set(Arc::downgrade(log));
    }

    fn log(&self) -> Option<Arc<Log>> {
        self.log.get().and_then(Weak::upgrade)
    }

    pub(super) fn flush(&self) {
        lock(&self.queue).flush = true;
        self.wake.notify_one();
        self.hands.wanted(Work::Apply);
    }

    /// Applies all that waits now, if no thread does.
    pub(super) fn step(&self) -> Step {
        let Some(worker) = self.stepped.get() else { return Step::Idle };
        let entries = {
            let mut queue = lock(&self.queue);
            queue.take()
        };
        if entries.is_empty() {
            return Step::Idle;
        }
        worker.apply_all(self, entries);
        Step::Done
    }

    pub(super) fn backlog(&self) -> usize {
        lock(&self.queue).entries.len()
    }

    /// Applies what waits, and ends the thread.
    pub(super) fn close(&self) {
        lock(&self.queue).closing = true;
        self.wake.notify_one();
        self.room.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }

    /// What waits, once it has waited long enough to be worth a transaction.
    fn next(&self, delay: Duration) -> Option<Vec<Arc<Entry>>> {
        let mut queue = lock(&self.queue);
        let mut since: Option<Instant> = None;
        loop {
            if queue.entries.is_empty() {
                queue.flush = false;
                if queue.closing {
                    return None;
                }
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            if waited >= delay || queue.is_enough() {
                break;
            }
            let (woken, _) = self
                .wake
                .wait_timeout(queue, delay - waited)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
        }
        let entries = queue.take();
        drop(queue);
        self.room.notify_all();
        Some(entries)
    }
}

impl Applies for Applying {
    fn take(&self, entries: Vec<Arc<Entry>>) {
        let bytes: usize = entries.iter().map(|entry| weight(entry)).sum();
        let mut queue = lock(&self.queue);
        let first = queue.entries.is_empty();
        queue.entries.extend(entries);
        queue.bytes += bytes;
        // The thread sleeps until the first has waited long enough; each waking
        // would cost the log time.
        let wanted = first || queue.is_enough();
        drop(queue);
        if wanted {
            self.wake.notify_one();
            self.hands.wanted(Work::Apply);
        }
    }

    fn has_room(&self) -> bool {
        !lock(&self.queue).is_full()
    }

    fn wait_for_room(&self) {
        let mut queue = lock(&self.queue);
        while queue.is_full() && !queue.closing {
            queue.flush = true;
            self.wake.notify_one();
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Worker {
    stores: Arc<[Arc<Store>]>,
    events: Arc<dyn JournalEvents>,
    delay: Duration,
}

impl Worker {
    fn run(self, applying: &Applying) {
        while let Some(entries) = applying.next(self.delay) {
            self.apply_all(applying, entries);
        }
    }

    fn apply_all(&self, applying: &Applying, entries: Vec<Arc<Entry>>) {
        let mut by_partition: BTreeMap<PartitionId, Vec<Arc<Entry>>> = BTreeMap::new();
        for entry in entries {
            by_partition.entry(entry.partition).or_default().push(entry);
        }
        for (partition, entries) in by_partition {
            self.apply(applying, partition, &entries);
        }
    }

    fn apply(&self, applying: &Applying, partition: PartitionId, entries: &[Arc<Entry>]) {
        let Some(store) = self.stores.get(usize::from(partition.get())) else { return };
        for batch in entries.chunks(ENTRIES_AT_ONCE) {
            match store.apply(batch) {
                Ok(()) => {
                    let through = store.progress().index;
                    if let Some(log) = applying.log() {
                        log.applied(partition, through);
                    }
                    self.events.applied(partition, through);
                }
                Err(error) => {
                    // What it lacks stays in the log, and is applied when the
                    // store is opened again.
                    if let Some(log) = applying.log() {
                        log.refuse(partition, error);
                    }
                    return;
                }
            }
        }
    }
}
