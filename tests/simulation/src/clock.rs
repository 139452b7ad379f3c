//! The time: that of the run, which only grows, and what the clocks of machines
//! make of it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use stead_model::TimestampMs;

/// What clocks show when a run begins, in milliseconds.
const BEGIN_MS: u64 = 1_750_000_000_000;

/// A machine's clock, which may be wrong. Clones are the same clock.
#[derive(Clone)]
pub struct Clock {
    run: Arc<AtomicU64>,
    wrong_by: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that is right. `run` is how long the run has lasted.
    pub fn new(run: Arc<AtomicU64>) -> Self {
        Self { run, wrong_by: Arc::default() }
    }

    /// It is set to be wrong by so many milliseconds.
    pub fn set_wrong(&self, by: i64) {
        self.wrong_by.store(by, Ordering::Relaxed);
    }

    /// How long the run has lasted, in milliseconds: a clock that nobody sets.
    pub fn run_ms(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    /// What it shows.
    pub fn now(&self) -> TimestampMs {
        let right = BEGIN_MS + self.run_ms();
        TimestampMs(right.saturating_add_signed(self.wrong_by.load(Ordering::Relaxed)))
    }
}
