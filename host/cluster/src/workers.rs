//! The threads that guests run on.
//!
//! Partitions take turns: a partition with something to do is put in a queue,
//! a worker takes it out, gives it one bounded turn, and puts it back at the
//! end if there is more. A partition is never on two workers at once, so what
//! it holds needs no finer lock, and a slow guest holds up one worker only.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
};

/// Something that takes turns.
pub trait Turns: Send + Sync + 'static {
    /// Does a bounded piece of work; whether there is more.
    fn turn(&self) -> bool;

    /// A turn panicked: a bug, or an invariant that did not hold. No turn is
    /// given to it any more.
    fn broken(&self, message: &str);
}

/// Not queued and not on a worker.
const IDLE: u8 = 0;
/// In the queue.
const QUEUED: u8 = 1;
/// On a worker.
const RUNNING: u8 = 2;
/// On a worker, and to be queued again afterwards.
const RUNNING_AGAIN: u8 = 3;
/// Broken: never queued again.
const BROKEN: u8 = 4;

struct Slot<T> {
    state: AtomicU8,
    task: T,
}

struct Shared<T> {
    slots: Vec<Slot<T>>,
    ready: Mutex<VecDeque<usize>>,
    wake: Condvar,
    stopping: AtomicBool,
}

/// The queue of partitions with something to do. Cheap to clone.
pub struct RunQueue<T>(Arc<Shared<T>>);

impl<T> Clone for RunQueue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Turns> RunQueue<T> {
    /// A queue for these tasks, none of them in it yet.
    pub fn new(tasks: Vec<T>) -> Self {
        let slots: Vec<_> =
            tasks.into_iter().map(|task| Slot { state: AtomicU8::new(IDLE), task }).collect();
        Self(Arc::new(Shared {
            ready: Mutex::new(VecDeque::with_capacity(slots.len())),
            slots,
            wake: Condvar::new(),
            stopping: AtomicBool::new(false),
        }))
    }

    /// The tasks, in their order.
    pub fn tasks(&self) -> impl Iterator<Item = &T> {
        self.0.slots.iter().map(|slot| &slot.task)
    }

    /// One task.
    pub fn task(&self, at: usize) -> Option<&T> {
        self.0.slots.get(at).map(|slot| &slot.task)
    }

    /// Gives a task a turn soon. It may be on a worker right now: then it gets
    /// another turn, so that what was added before this call is seen.
    pub fn schedule(&self, at: usize) {
        let Some(slot) = self.0.slots.get(at) else { return };
        let next = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(RUNNING_AGAIN),
            _ => None,
        };
        if slot.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE) {
            self.push(at);
        }
    }

    /// Starts threads that give turns. `stack_bytes` must hold the host's own
    /// frames and the guests' stack.
    ///
    /// # Errors
    /// If a thread can't be started.
    pub fn start(&self, threads: usize, stack_bytes: usize) -> std::io::Result<Workers<T>> {
        let mut workers = Workers { queue: self.clone(), threads: Vec::with_capacity(threads) };
        for number in 0..threads {
            let queue = self.clone();
            let thread = thread::Builder::new()
                .name(format!("stead-worker-{number}"))
                .stack_size(stack_bytes)
                .spawn(move || queue.work())?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    fn work(&self) {
        while let Some(at) = self.pop() {
            let Some(slot) = self.0.slots.get(at) else { continue };
            slot.state.store(RUNNING, Ordering::Release);
            let turn = std::panic::AssertUnwindSafe(|| slot.task.turn());
            match std::panic::catch_unwind(turn) {
                Ok(more) => self.after(at, slot, more),
                Err(panic) => {
                    slot.state.store(BROKEN, Ordering::Release);
                    slot.task.broken(panic_message(&*panic));
                }
            }
        }
    }

    fn after(&self, at: usize, slot: &Slot<T>, more: bool) {
        let idle = !more
            && slot
                .state
                .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if !idle {
            slot.state.store(QUEUED, Ordering::Release);
            self.push(at);
        }
    }

    fn push(&self, at: usize) {
        self.ready().push_back(at);
        self.0.wake.notify_one();
    }

    fn pop(&self) -> Option<usize> {
        let mut ready = self.ready();
        loop {
            if let Some(at) = ready.pop_front() {
                return Some(at);
            }
            if self.0.stopping.load(Ordering::Acquire) {
                return None;
            }
            ready = self.0.wake.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<usize>> {
        // Nothing panics while it is held, and a queue of numbers is never half changed.
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads. Dropping it lets them finish what is queued, and waits for them.
pub struct Workers<T: Turns> {
    queue: RunQueue<T>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl<T: Turns> Drop for Workers<T> {
    fn drop(&mut self) {
        {
            // Under the lock, so that no worker is between its look and its wait.
            let _ready = self.queue.ready();
            self.queue.0.stopping.store(true, Ordering::Release);
            self.queue.0.wake.notify_all();
        }
        for thread in self.threads.drain(..) {
            // A worker that panicked outside of a turn has said so on stderr.
            let _ = thread.join();
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(message), _) => message,
        (None, Some(message)) => message,
        (None, None) => "no message",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[derive(Default)]
    struct Counter {
        inbox: AtomicU64,
        done: AtomicU64,
        inside: AtomicBool,
        poison: AtomicBool,
        broken: Mutex<Option<String>>,
    }

    impl Turns for Arc<Counter> {
        fn turn(&self) -> bool {
            assert!(!self.inside.swap(true, Ordering::SeqCst), "on two workers at once");
            assert!(!self.poison.load(Ordering::SeqCst), "poisoned");
            let some = self.inbox.load(Ordering::SeqCst).min(3);
            self.inbox.fetch_sub(some, Ordering::SeqCst);
            self.done.fetch_add(some, Ordering::SeqCst);
            self.inside.store(false, Ordering::SeqCst);
            self.inbox.load(Ordering::SeqCst) > 0
        }

        fn broken(&self, message: &str) {
            *self.broken.lock().expect("unpoisoned") = Some(message.to_owned());
        }
    }

    fn counters(count: usize) -> Vec<Arc<Counter>> {
        (0..count).map(|_| Arc::default()).collect()
    }

    #[test]
    fn everything_scheduled_is_done_and_never_on_two_workers() {
        let tasks = counters(5);
        let queue = RunQueue::new(tasks.clone());
        let workers = queue.start(3, 256 << 10).expect("threads");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..10_000 {
                        tasks[round % 5].inbox.fetch_add(1, Ordering::SeqCst);
                        queue.schedule(round % 5);
                    }
                });
            }
        });
        drop(workers);
        let done: u64 = tasks.iter().map(|task| task.done.load(Ordering::SeqCst)).sum();
        assert_eq!(done, 40_000);
    }

    #[test]
    fn a_task_that_panics_is_set_aside_and_others_go_on() {
        let tasks = counters(2);
        let queue = RunQueue::new(tasks.clone());
        let workers = queue.start(1, 256 << 10).expect("threads");
        tasks[0].poison.store(true, Ordering::SeqCst);
        queue.schedule(0);
        tasks[1].inbox.store(10, Ordering::SeqCst);
        queue.schedule(1);
        queue.schedule(0);
        drop(workers);
        assert_eq!(tasks[0].broken.lock().expect("unpoisoned").as_deref(), Some("poisoned"));
        assert_eq!(tasks[1].done.load(Ordering::SeqCst), 10);
    }
}
