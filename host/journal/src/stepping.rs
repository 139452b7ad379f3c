//! Who does the journal's work.
//!
//! In a node, three threads do: one writes the log, one applies what is committed,
//! one makes stores durable. Under simulation, one thread does everything that
//! there is, in steps: it is told what is wanted, and takes the step when it likes.
//! A slow disk is a step that is taken later; a crash, one that is never taken.

use std::{
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use stead_model::TimestampMs;

/// A part of the journal's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Writing the log: one group, or a mark if nothing waits.
    Log,
    /// Applying what is durable and committed.
    Apply,
    /// Making durable the stores that are due, and dropping the log behind them.
    Checkpoint,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was done; there may be more.
    Done,
    /// There was nothing to do.
    Idle,
    /// What waits finds no room on the disk; it is to be tried again.
    Stuck,
}

/// Who steps a journal that has no threads.
pub trait Stepper: Send + Sync + 'static {
    /// There is work of this kind. Called from within the journal, under its
    /// locks: it must only note it.
    fn wanted(&self, work: Work);

    /// Fills a buffer by chance.
    fn random(&self, bytes: &mut [u8]);

    /// What the clock says.
    fn now(&self) -> TimestampMs;
}

/// The journal's threads, or who steps it in their place.
#[derive(Clone, Default)]
pub(crate) struct Hands(Option<Arc<dyn Stepper>>);

impl Hands {
    pub(crate) fn of(stepper: Arc<dyn Stepper>) -> Self {
        Self(Some(stepper))
    }

    pub(crate) fn are_stepped(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn wanted(&self, work: Work) {
        if let Some(stepper) = &self.0 {
            stepper.wanted(work);
        }
    }

    pub(crate) fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        match &self.0 {
            Some(stepper) => {
                stepper.random(bytes);
                Ok(())
            }
            None => getrandom::fill(bytes).map_err(io::Error::other),
        }
    }

    pub(crate) fn now(&self) -> TimestampMs {
        match &self.0 {
            Some(stepper) => stepper.now(),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
        }
    }
}
