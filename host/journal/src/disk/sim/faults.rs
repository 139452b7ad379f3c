//! What harm is to be done, and when.

use std::io;

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Write points so far.
    pub(super) points: u64,
    /// Faults injected so far.
    pub(super) injected: u64,
    pub(super) power_lost_at: Option<u64>,
    pub(super) sync_fails_from: Option<(u64, String)>,
    pub(super) full_from: Option<u64>,
    pub(super) space: Option<u64>,
    pub(super) syncs_ignored: bool,
}

impl Faults {
    pub(super) fn power_is_off(&self) -> bool {
        self.power_lost_at.is_some_and(|at| self.points >= at)
    }

    /// Counts a write point; the error if power is lost at it.
    pub(super) fn point(&mut self) -> io::Result<()> {
        self.points += 1;
        if self.power_is_off() {
            self.injected += 1;
            return Err(io::Error::other("power was lost"));
        }
        Ok(())
    }

    /// Whether a sync of a path goes well.
    pub(super) fn sync(&mut self, path: &str) -> io::Result<()> {
        match &self.sync_fails_from {
            Some((from, prefix)) if self.points >= *from && path.starts_with(prefix.as_str()) => {
                self.injected += 1;
                Err(io::Error::other("the device reports an input/output error"))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is an end to the disk's space, now or later.
    pub(super) fn space_ends(&self) -> bool {
        self.full_from.is_some() || self.space.is_some()
    }

    /// The room that is left, given what is used.
    pub(super) fn room(&mut self, used: u64) -> u64 {
        if self.full_from.is_some_and(|from| self.points >= from) {
            self.full_from = None;
            self.space = Some(used);
        }
        self.space.map_or(u64::MAX, |space| space.saturating_sub(used))
    }
}
