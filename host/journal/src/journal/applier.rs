//! The thread that applies durable entries to the stores, many at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use stead_model::{Entry, LogIndex, PartitionId};

use crate::{
    log::{Applies, Log, weight},
    options::{JournalEvents, JournalOptions},
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
    /// Since when the first of them waits.
    since: Option<Instant>,
    /// What somebody waits for: partitions, and up to which entry.
    wanted: BTreeMap<PartitionId, LogIndex>,
    closing: bool,
}

impl Queue {
    /// Whether what waits is worth its transactions, however short it has waited.
    fn is_enough(&self) -> bool {
        self.closing || self.entries.len() >= ENTRIES_AT_ONCE || self.bytes >= BACKLOG_BYTES_MAX / 4
    }

    fn put(&mut self, entries: Vec<Arc<Entry>>) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += entries.iter().map(|entry| weight(entry)).sum::<usize>();
        self.entries.extend(entries);
    }

    fn take(&mut self) -> Vec<Arc<Entry>> {
        self.bytes = 0;
        self.since = None;
        let taken: Vec<_> = std::mem::take(&mut self.entries).into();
        self.have_got(&taken);
        taken
    }

    /// What isn't durable yet is waited for still, and comes later.
    fn have_got(&mut self, taken: &[Arc<Entry>]) {
        for entry in taken {
            if self.wanted.get(&entry.partition).is_some_and(|through| entry.index >= *through) {
                self.wanted.remove(&entry.partition);
            }
        }
    }

    /// Takes the entries of those partitions alone that somebody waits for.
    fn take_wanted(&mut self) -> Vec<Arc<Entry>> {
        if self.wanted.is_empty() {
            return Vec::new();
        }
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| self.wanted.contains_key(&entry.partition));
        self.entries = left.into();
        self.bytes -= taken.iter().map(|entry| weight(entry)).sum::<usize>();
        if self.entries.is_empty() {
            self.since = None;
        }
        self.have_got(&taken);
        taken
    }

    fn is_full(&self) -> bool {
        self.entries.len() > BACKLOG_MAX || self.bytes > BACKLOG_BYTES_MAX
    }
}

/// The queue of durable entries, and the thread behind it.
pub(super) struct Applying {
    queue: Mutex<Queue>,
    system: PartitionId,
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
        options: &JournalOptions,
        hands: Hands,
    ) -> std::io::Result<Arc<Self>> {
        let are_stepped = hands.are_stepped();
        let applying = Arc::new(Self {
            queue: Mutex::default(),
            system: options.partitions.system(),
            wake: Condvar::new(),
            room: Condvar::new(),
            log: OnceLock::new(),
            hands,
            thread: Mutex::new(None),
            stepped: OnceLock::new(),
        });
        let delay = Duration::from_millis(options.apply_delay_ms);
        let worker = Worker { stores, events, delay };
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

    /// Has a partition's entries up to this one applied as soon as they are durable.
    pub(super) fn flush(&self, partition: PartitionId, through: LogIndex) {
        let mut queue = lock(&self.queue);
        let wanted = queue.wanted.entry(partition).or_default();
        *wanted = through.max(*wanted);
        drop(queue);
        self.wake.notify_one();
        self.hands.wanted(Work::Apply);
    }

    /// Applies all that waits now, if no thread does.
    pub(super) fn step(&self) -> Step {
        let Some(worker) = self.stepped.get() else { return Step::Idle };
        let (entries, is_more) = {
            let mut queue = lock(&self.queue);
            let wanted = queue.take_wanted();
            let entries = if wanted.is_empty() { queue.take() } else { wanted };
            (entries, !queue.entries.is_empty())
        };
        if is_more {
            self.hands.wanted(Work::Apply);
        }
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

    /// What waits, once it has waited long enough to be worth its transactions; or what
    /// somebody waits for.
    fn next(&self, delay: Duration) -> Option<Vec<Arc<Entry>>> {
        let mut queue = lock(&self.queue);
        let entries = loop {
            let Some(since) = queue.since else {
                if queue.closing {
                    return None;
                }
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = since.elapsed();
            // What is waited for comes first, but not for ever.
            if queue.is_enough() || waited >= delay * 2 {
                break queue.take();
            }
            let wanted = queue.take_wanted();
            if !wanted.is_empty() {
                break wanted;
            }
            if waited >= delay {
                break queue.take();
            }
            let (woken, _) = self
                .wake
                .wait_timeout(queue, delay - waited)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
        };
        drop(queue);
        self.room.notify_all();
        Some(entries)
    }
}

impl Applies for Applying {
    fn take(&self, entries: Vec<Arc<Entry>>) {
        let mut queue = lock(&self.queue);
        // What the cluster is told takes effect at once, and there is little of it.
        let of_system = entries.iter().rfind(|entry| entry.partition == self.system);
        if let Some(last) = of_system {
            queue.wanted.insert(self.system, last.index);
        }
        // The thread sleeps until the first has waited long enough; each waking
        // would cost the log time.
        let is_first = queue.entries.is_empty();
        let is_wanted = entries.iter().any(|entry| queue.wanted.contains_key(&entry.partition));
        queue.put(entries);
        let wakes = is_first || is_wanted || queue.is_enough();
        drop(queue);
        if wakes {
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

#[cfg(test)]
mod tests {
    use stead_model::{Term, TimestampMs};

    use super::*;

    fn entry(partition: u16, index: u64) -> Arc<Entry> {
        Arc::new(Entry {
            partition: PartitionId(partition),
            term: Term(1),
            index: LogIndex(index),
            at: TimestampMs(0),
            items: vec![],
        })
    }

    fn names(entries: &[Arc<Entry>]) -> Vec<(u16, u64)> {
        entries.iter().map(|entry| (entry.partition.get(), entry.index.get())).collect()
    }

    #[test]
    fn what_is_waited_for_is_taken_alone_and_until_it_is_all_there() {
        let mut queue = Queue::default();
        queue.put(vec![entry(1, 1), entry(2, 7), entry(1, 2), entry(3, 4)]);
        assert!(queue.take_wanted().is_empty(), "nobody waits");
        queue.wanted.insert(PartitionId(1), LogIndex(3));
        queue.wanted.insert(PartitionId(9), LogIndex(1));
        assert_eq!(names(&queue.take_wanted()), [(1, 1), (1, 2)]);
        assert!(queue.take_wanted().is_empty(), "the third isn't there");
        queue.put(vec![entry(2, 8), entry(1, 3), entry(1, 4)]);
        assert_eq!(names(&queue.take_wanted()), [(1, 3), (1, 4)]);
        queue.put(vec![entry(1, 5)]);
        assert!(queue.take_wanted().is_empty(), "it was all there");
        assert!(queue.since.is_some());
        assert_eq!(names(&queue.take()), [(2, 7), (3, 4), (2, 8), (1, 5)]);
        assert_eq!((queue.bytes, queue.since), (0, None));
        // What is taken for other reasons satisfies nobody who waits for more.
        queue.wanted.insert(PartitionId(1), LogIndex(8));
        queue.put(vec![entry(1, 6), entry(1, 7)]);
        assert_eq!(names(&queue.take()), [(1, 6), (1, 7)]);
        queue.put(vec![entry(2, 9), entry(1, 8)]);
        assert_eq!(names(&queue.take_wanted()), [(1, 8)]);
    }
}
