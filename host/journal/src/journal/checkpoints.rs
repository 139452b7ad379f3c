//! The thread that makes stores durable, one at a time, and drops the log behind
//! them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use stead_model::{LogIndex, PartitionId};

use crate::{
    log::Log,
    options::{JournalEvents, JournalOptions},
    space::Space,
    store::Store,
};

/// How often it is looked whether a checkpoint is due.
const LOOK: Duration = Duration::from_millis(50);
/// Stores that hold back more than so many full segments are made durable first:
/// it is what bounds the reading after a crash.
const SEGMENTS_AIM: usize = 4;

/// The thread; dropping this ends it.
pub(super) struct Checkpoints {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(
        stores: Arc<[Arc<Store>]>,
        log: Arc<Log>,
        events: Arc<dyn JournalEvents>,
        space: Arc<Space>,
        options: &JournalOptions,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let plan = Plan {
            age: Duration::from_millis(options.checkpoint_age_ms),
            bytes_max: options.checkpoint_bytes,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("stead-checkpoint".into())
            .spawn(move || plan.run(&stores, &log, &*events, &space))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// When a store is made durable.
struct Plan {
    age: Duration,
    bytes_max: u64,
    stop: Arc<AtomicBool>,
}

impl Plan {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn run(&self, stores: &[Arc<Store>], log: &Log, events: &dyn JournalEvents, space: &Space) {
        let begun = Instant::now();
        // As if they had been made one after the other, so that they come due so.
        let share = |nth: u32| f64::from(nth) / stores.len().max(1) as f64;
        let mut due: Vec<Instant> =
            (1..).zip(stores).map(|(nth, _)| begun + self.age.mul_f64(share(nth))).collect();
        let mut durable: BTreeMap<PartitionId, LogIndex> =
            stores.iter().map(|store| (store.partition, store.durable().index)).collect();
        while !self.stopped() {
            std::thread::park_timeout(LOOK);
            if space.shortage().is_some() {
                make_room(stores);
            }
            let holding = log.held_back_by(SEGMENTS_AIM);
            for (store, due) in stores.iter().zip(&mut due) {
                if self.stopped() {
                    return;
                }
                let holds = holding.get(&store.partition).is_some_and(|head| {
                    durable.get(&store.partition).is_none_or(|through| through < head)
                });
                let wanted = Instant::now() >= *due
                    || holds
                    || store.bytes_since_checkpoint() >= self.bytes_max;
                if !wanted || store.failure().is_some() {
                    continue;
                }
                *due = Instant::now() + self.age;
                let before = store.durable();
                match store.checkpoint() {
                    Ok(()) if store.durable() == before => {}
                    Ok(()) => events.checkpointed(store.partition, store.durable()),
                    Err(error) if error.is_full() => {
                        tracing::warn!(%error, "a store can't be made durable for now");
                    }
                    Err(error) => {
                        tracing::error!(%error, "a store could not be made durable");
                        log.refuse(store.partition, error);
                    }
                }
                durable.insert(store.partition, store.durable().index);
            }
            if let Err(error) = log.drop_behind(&durable) {
                tracing::error!(%error, "a log segment could not be removed");
            }
        }
    }
}

/// Tries again to take the room that stores lack.
fn make_room(stores: &[Arc<Store>]) {
    for store in stores {
        if store.failure().is_none()
            && let Err(error) = store.make_room()
        {
            tracing::error!(%error, "a store could not take its room");
        }
    }
}
