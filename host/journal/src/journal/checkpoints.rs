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
    stepping::Hands,
    store::Store,
};

/// How often it is looked whether a checkpoint is due.
const LOOK: Duration = Duration::from_millis(50);
/// How often while all that was applied is durable.
const LOOK_IDLY: Duration = Duration::from_millis(250);
/// Stores that hold back more than so many full segments are made durable first:
/// it is what bounds the reading after a crash.
const SEGMENTS_AIM: usize = 4;

/// The thread; dropping this ends it. Or who looks in its place.
pub(super) struct Checkpoints {
    stop: Arc<AtomicBool>,
    doing: Doing,
}

enum Doing {
    Thread(Option<JoinHandle<()>>),
    Steps(Box<Looking>),
}

impl Checkpoints {
    pub(super) fn start(
        stores: Arc<[Arc<Store>]>,
        log: Arc<Log>,
        events: Arc<dyn JournalEvents>,
        space: Arc<Space>,
        options: &JournalOptions,
        hands: &Hands,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let plan = Plan {
            age: Duration::from_millis(options.checkpoint_age_ms),
            bytes_max: options.checkpoint_bytes,
            stop: Arc::clone(&stop),
        };
        let mut looking = Looking::new(plan, stores, log, events, space);
        let doing = if hands.are_stepped() {
            Doing::Steps(Box::new(looking))
        } else {
            let thread =
                std::thread::Builder::new().name("stead-checkpoint".into()).spawn(move || {
                    let begun = Instant::now();
                    while !looking.plan.stopped() {
                        let look = if looking.is_all_durable() { LOOK_IDLY } else { LOOK };
                        std::thread::park_timeout(look);
                        looking.look(|| begun.elapsed());
                    }
                })?;
            Doing::Thread(Some(thread))
        };
        Ok(Self { stop, doing })
    }

    /// Looks once what is due, so long after the journal was opened, if no thread
    /// does.
    pub(super) fn step(&mut self, now: Duration) {
        match &mut self.doing {
            Doing::Thread(_) => {}
            Doing::Steps(looking) => looking.look(|| now),
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Doing::Thread(thread) = &mut self.doing else { return };
        if let Some(thread) = thread.take() {
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
}

/// What is remembered from one look to the next. Times are counted from when the
/// journal was opened.
struct Looking {
    plan: Plan,
    stores: Arc<[Arc<Store>]>,
    log: Arc<Log>,
    events: Arc<dyn JournalEvents>,
    space: Arc<Space>,
    /// When each store is due.
    due: Vec<Duration>,
    durable: BTreeMap<PartitionId, LogIndex>,
}

impl Looking {
    fn new(
        plan: Plan,
        stores: Arc<[Arc<Store>]>,
        log: Arc<Log>,
        events: Arc<dyn JournalEvents>,
        space: Arc<Space>,
    ) -> Self {
        // As if they had been made one after the other, so that they come due so.
        let share = |nth: u32| f64::from(nth) / stores.len().max(1) as f64;
        let due = (1..).zip(stores.iter()).map(|(nth, _)| plan.age.mul_f64(share(nth))).collect();
        let durable = stores.iter().map(|store| (store.partition, store.durable().index)).collect();
        Self { plan, stores, log, events, space, due, durable }
    }

    /// Whether there is nothing to make durable.
    fn is_all_durable(&self) -> bool {
        self.stores.iter().all(|store| store.durable() == store.progress())
    }

    fn look(&mut self, now: impl Fn() -> Duration) {
        let Self { plan, stores, log, events, space, due, durable } = self;
        if space.shortage().is_some() {
            make_room(stores);
        }
        let holding = log.held_back_by(SEGMENTS_AIM);
        for (store, due) in stores.iter().zip(due) {
            if plan.stopped() {
                return;
            }
            let holds = holding.get(&store.partition).is_some_and(|head| {
                durable.get(&store.partition).is_none_or(|through| through < head)
            });
            let wanted = now() >= *due || holds || store.bytes_since_checkpoint() >= plan.bytes_max;
            if !wanted || store.failure().is_some() {
                continue;
            }
            *due = now() + plan.age;
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
        if let Err(error) = log.drop_behind(durable) {
            tracing::error!(%error, "a log segment could not be removed");
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
