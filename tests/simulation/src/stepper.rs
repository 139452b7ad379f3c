//! The journal's hands: what it wants done is noted, and done when the disk has come
//! to it.

use std::sync::{Arc, Mutex, PoisonError};

use stead_consensus::Consensus;
use stead_journal::{Step, Stepper, Work};
use stead_model::TimestampMs;

use crate::{clock::Clock, random::Random};

/// How long after the last group the log says that it was durable.
const MARK_MS: u64 = 100;
/// How often it is looked whether a store is to be made durable.
const LOOK_MS: u64 = 50;
/// How soon it is tried again what found no room.
const RETRY_MS: u64 = 20;

/// What a journal wants, and where its chance comes from.
pub struct Wishes {
    wanted: Mutex<(bool, bool)>,
    random: Mutex<Random>,
    clock: Clock,
}

impl Wishes {
    /// Of a machine with a clock.
    pub fn new(random: Random, clock: Clock) -> Arc<Self> {
        Arc::new(Self { wanted: Mutex::default(), random: Mutex::new(random), clock })
    }

    /// What was wanted since this was last asked: that the log be written, and that
    /// something be applied.
    fn take(&self) -> (bool, bool) {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Stepper for Wishes {
    fn wanted(&self, work: Work) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        match work {
            Work::Log => wanted.0 = true,
            Work::Apply => wanted.1 = true,
            Work::Checkpoint => {}
        }
    }

    fn random(&self, bytes: &mut [u8]) {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }

    fn now(&self) -> TimestampMs {
        self.clock.now()
    }
}

/// When the journal's next steps are taken, in milliseconds of the run.
#[derive(Debug)]
pub struct Agenda {
    opened: u64,
    log: Option<u64>,
    mark: Option<u64>,
    apply: Option<u64>,
    look: u64,
    apply_ms_max: u64,
}

impl Agenda {
    /// Of a journal that was opened just now, in which what is committed waits at most
    /// so long to be applied.
    pub fn new(now: u64, apply_ms_max: u64) -> Self {
        Self { opened: now, log: None, mark: None, apply: None, look: now + LOOK_MS, apply_ms_max }
    }

    /// Takes the steps that are due. `slow_ms` is how much longer than usual a step
    /// may take.
    pub fn step(
        &mut self,
        now: u64,
        consensus: &Consensus,
        wishes: &Wishes,
        random: &mut Random,
        slow_ms: u64,
    ) {
        let since = std::time::Duration::from_millis(now - self.opened);
        let mut takes = |usual: u64| random.below(usual) + random.below(slow_ms);
        let (log, apply) = wishes.take();
        if log && self.log.is_none() {
            self.log = Some(now + takes(6));
        }
        if apply && self.apply.is_none() {
            self.apply = Some(now + takes(self.apply_ms_max));
        }
        if self.log.is_some_and(|due| due <= now) {
            self.log = None;
            match consensus.step(Work::Log, since) {
                Step::Done => self.mark = Some(now + MARK_MS),
                Step::Idle => {}
                Step::Stuck => self.log = Some(now + RETRY_MS),
            }
        }
        if self.mark.is_some_and(|due| due <= now) && self.log.is_none() {
            self.mark = None;
            if consensus.step(Work::Log, since) == Step::Done {
                self.mark = Some(now + MARK_MS);
            }
        }
        if self.apply.is_some_and(|due| due <= now) {
            self.apply = None;
            consensus.step(Work::Apply, since);
        }
        if self.look <= now {
            consensus.step(Work::Checkpoint, since);
            self.look = now + LOOK_MS + takes(10);
        }
    }
}
