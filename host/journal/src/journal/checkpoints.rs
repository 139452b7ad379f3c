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

use crate::{disk::Disk, log::Log, options::JournalOptions, store::Store};

/// How often it is looked whether a checkpoint is due.
const LOOK: Duration = Duration::from_millis(50);

/// The thread; dropping this ends it.
pub(super) struct Checkpoints {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        stores: Arc<[Arc<Store>]>,
        log: Arc<Log>,
        options: &JournalOptions,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let age = Duration::from_millis(options.checkpoint_age_ms);
        let bytes_max = options.checkpoint_bytes;
        let stopped = Arc::clone(&stop);
        let thread =
            std::thread::Builder::new().name("stead-checkpoint".into()).spawn(move || {
                run(&*disk, &stores, &log, age, bytes_max, &stopped);
            })?;
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

fn run(
    disk: &dyn Disk,
    stores: &[Arc<Store>],
    log: &Log,
    age: Duration,
    bytes_max: u64,
    stop: &AtomicBool,
) {
    let begun = Instant::now();
    // As if they had been made one after the other, so that they come due so.
    let mut due: Vec<Instant> = (1..)
        .zip(stores)
        .map(|(nth, _)| begun + age.mul_f64(f64::from(nth) / stores.len().max(1) as f64))
        .collect();
    let mut durable: BTreeMap<PartitionId, LogIndex> =
        stores.iter().map(|store| (store.partition, store.durable())).collect();
    while !stop.load(Ordering::Acquire) {
        std::thread::park_timeout(LOOK);
        let mut any = false;
        for (store, due) in stores.iter().zip(&mut due) {
            if stop.load(Ordering::Acquire) {
                return;
            }
            let wanted = Instant::now() >= *due || store.bytes_since_checkpoint() >= bytes_max;
            if !wanted {
                continue;
            }
            *due = Instant::now() + age;
            if store.failure().is_some() {
                continue;
            }
            match store.checkpoint() {
                Ok(()) => any = true,
                Err(error) => {
                    tracing::error!(%error, "a store could not be made durable");
                }
            }
            durable.insert(store.partition, store.durable());
        }
        if any && let Err(error) = log.drop_behind(disk, &durable) {
            tracing::error!(%error, "a log segment could not be removed");
        }
    }
}
