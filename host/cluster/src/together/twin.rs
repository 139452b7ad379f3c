//! Another process that has this node's identity and data: somebody copied its
//! directory. Both would vote under one name, so one of them has to stop.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long the other counts as there since it was last told of, which is once a minute.
const REMEMBERED: Duration = Duration::from_secs(90);

/// The other, if there is one.
#[derive(Default)]
pub struct Twin(Mutex<Option<(SocketAddr, Instant)>>);

impl Twin {
    fn last(&self) -> MutexGuard<'_, Option<(SocketAddr, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was heard, at an address.
    pub fn note(&self, at: SocketAddr, now: Instant) {
        *self.last() = Some((at, now));
    }

    /// It has gone.
    pub fn forget(&self) {
        *self.last() = None;
    }

    /// Where it is, if it is there.
    pub fn at(&self, now: Instant) -> Option<SocketAddr> {
        let (at, heard) = (*self.last())?;
        (now.saturating_duration_since(heard) < REMEMBERED).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_goes_or_is_not_heard_for_a_while() {
        let (twin, now) = (Twin::default(), Instant::now());
        assert_eq!(twin.at(now), None);
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        twin.note(at, now);
        assert_eq!(twin.at(now + REMEMBERED / 2), Some(at));
        assert_eq!(twin.at(now + REMEMBERED), None);
        twin.note(at, now + REMEMBERED);
        twin.forget();
        assert_eq!(twin.at(now + REMEMBERED), None);
    }
}
