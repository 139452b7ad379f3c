//! Telling of what strangers do once in a while, not each time: they may do it often.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::sync::locked;

/// How long nothing more is told.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<(Option<Instant>, u64)>);

impl Throttle {
    /// Whether to tell now; if so, how often nothing was told since the last time.
    pub(crate) fn may_tell(&self, now: Instant) -> Option<u64> {
        let (told, untold) = &mut *locked(&self.0);
        if told.is_some_and(|told| now.saturating_duration_since(told) < QUIET) {
            *untold += 1;
            return None;
        }
        *told = Some(now);
        Some(std::mem::take(untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_a_while_and_how_often_in_between() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.may_tell(now), Some(0));
        assert_eq!(throttle.may_tell(now), None);
        assert_eq!(throttle.may_tell(now + QUIET / 2), None);
        assert_eq!(throttle.may_tell(now + QUIET), Some(2));
        assert_eq!(throttle.may_tell(now + QUIET * 2), Some(0));
    }
}
