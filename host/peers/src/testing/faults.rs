//! Which faults there are, and how many there were.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    task::Waker,
    time::Duration,
};

use crate::sync::locked;

/// How many faults were done, by kind. A test that did none has shown nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Wires that were cut.
    pub cut: u64,
    /// Pieces in which a bit was flipped.
    pub corrupted: u64,
    /// Pieces that were delayed.
    pub delayed: u64,
    /// Pieces that were made small and slow.
    pub trickled: u64,
    /// Writes that went into the black hole, or reads that found one.
    pub held: u64,
}

/// Wires that wait for the faults to change: at most this many at once.
const WAKERS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) cuts: u64,
    pub(super) hold_reads: bool,
    pub(super) hold_writes: bool,
    pub(super) delay: Option<Range<Duration>>,
    pub(super) trickle: Option<(usize, Duration)>,
    pub(super) corrupt_one_in: Option<u32>,
    pub(super) counts: FaultCounts,
    random: u64,
    wakers: Vec<Waker>,
}

impl Plan {
    /// xorshift64.
    pub(super) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub(super) fn wake_on_change(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            assert!(self.wakers.len() < WAKERS_MAX, "a test has fewer wires than this");
            self.wakers.push(waker.clone());
        }
    }
}

/// Switches for the faults of the wires that share them.
#[derive(Debug, Clone)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

impl Faults {
    /// No faults yet; what is random is drawn from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let plan = Plan { random: seed | 1, ..Plan::default() };
        Self { plan: Arc::new(Mutex::new(plan)) }
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Plan) -> T) -> T {
        act(&mut locked(&self.plan))
    }

    fn change(&self, act: impl FnOnce(&mut Plan)) {
        let wakers = self.with(|plan| {
            act(plan);
            std::mem::take(&mut plan.wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Cuts all wires that there are now, as if reset. Later ones are whole.
    pub fn cut(&self) {
        self.change(|plan| plan.cuts += 1);
    }

    /// What is written vanishes for the time being, as when the network drops all
    /// packets one way: writes succeed until the system's buffers would be full,
    /// then wait. When switched off, what vanished goes out with the next write,
    /// as TCP would send it again.
    pub fn hold_writes(&self, hold: bool) {
        self.change(|plan| plan.hold_writes = hold);
    }

    /// Nothing can be read for the time being; it comes when switched off.
    pub fn hold_reads(&self, hold: bool) {
        self.change(|plan| plan.hold_reads = hold);
    }

    /// What is read comes later, by a time in this range, in order; `None` for at
    /// once.
    pub fn delay(&self, range: Option<Range<Duration>>) {
        self.change(|plan| plan.delay = range.filter(|range| !range.is_empty()));
    }

    /// At most so many bytes are read or written at once, and nothing for a while
    /// after each.
    pub fn trickle(&self, trickle: Option<(usize, Duration)>) {
        self.change(|plan| plan.trickle = trickle.filter(|(bytes, _)| *bytes > 0));
    }

    /// In one of so many pieces that are read, on average, a bit is flipped.
    pub fn corrupt_one_in(&self, pieces: Option<u32>) {
        self.change(|plan| plan.corrupt_one_in = pieces.filter(|pieces| *pieces > 0));
    }

    /// Ends all faults. What is cut stays cut.
    pub fn heal(&self) {
        self.change(|plan| {
            plan.hold_reads = false;
            plan.hold_writes = false;
            plan.delay = None;
            plan.trickle = None;
            plan.corrupt_one_in = None;
        });
    }

    /// How many faults there were so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.with(|plan| plan.counts)
    }
}
