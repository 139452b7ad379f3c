//! The thread that applies durable entries to the stores, many at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use stead_model::{Entry, PartitionId};

use crate::{
    log::{Applies, Log, weight},
    options::JournalEvents,
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
        stores: Arc<[Arc<Store>]>,
        events: Arc<dyn JournalEvents>,
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
            stores,
            events,
            delay: Duration::from_millis(delay_ms),
        };
        let thread =
            std::thread::Builder::new().name("stead-apply".into()).spawn(move || worker.run())?;
        *lock(&applying.thread) = Some(thread);
        Ok(applying)
    }

    /// Tells it of the log, which must hear of a store that has failed.
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
        queue.flush = false;
        queue.bytes = 0;
        let entries = std::mem::take(&mut queue.entries);
        drop(queue);
        self.room.notify_all();
        Some(entries.into())
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
        }
    }

    fn wait_for_room(&self) {
        let mut queue = lock(&self.queue);
        while (queue.entries.len() > BACKLOG_MAX || queue.bytes > BACKLOG_BYTES_MAX)
            && !queue.closing
        {
            queue.flush = true;
            self.wake.notify_one();
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Worker {
    applying: Arc<Applying>,
    stores: Arc<[Arc<Store>]>,
    events: Arc<dyn JournalEvents>,
    delay: Duration,
}

impl Worker {
    fn run(self) {
        while let Some(entries) = self.applying.next(self.delay) {
            let mut by_partition: BTreeMap<PartitionId, Vec<Arc<Entry>>> = BTreeMap::new();
            for entry in entries {
                by_partition.entry(entry.partition).or_default().push(entry);
            }
            for (partition, entries) in by_partition {
                self.apply(partition, &entries);
            }
        }
    }

    fn apply(&self, partition: PartitionId, entries: &[Arc<Entry>]) {
        let Some(store) = self.stores.get(usize::from(partition.get())) else { return };
        for batch in entries.chunks(ENTRIES_AT_ONCE) {
            match store.apply(batch) {
                Ok(()) => {
                    let through = store.progress().index;
                    if let Some(log) = self.applying.log.get() {
                        log.applied(partition, through);
                    }
                    self.events.applied(partition, through);
                }
                Err(error) => {
                    // What it lacks stays in the log, and is applied when the
                    // store is opened again.
                    if let Some(log) = self.applying.log.get() {
                        log.refuse(partition, error);
                    }
                    return;
                }
            }
        }
    }
}
