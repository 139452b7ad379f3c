//! One place, taken by whoever compiles.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// The place.
#[derive(Debug, Default)]
pub(super) struct Slot {
    is_taken: Mutex<bool>,
    freed: Condvar,
}

/// The place, taken until this is dropped.
#[derive(Debug)]
pub(super) struct Taken(Arc<Slot>);

impl Slot {
    /// Takes the place, or gives up after so long.
    pub(super) fn take(self: &Arc<Self>, wait: Duration) -> Option<Taken> {
        let is_taken = self.is_taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut is_taken, _) = self
            .freed
            .wait_timeout_while(is_taken, wait, |is_taken| *is_taken)
            .unwrap_or_else(PoisonError::into_inner);
        if *is_taken {
            return None;
        }
        *is_taken = true;
        Some(Taken(Arc::clone(self)))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        *self.0.is_taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_place() {
        let slot = Arc::<Slot>::default();
        let taken = slot.take(Duration::ZERO).expect("it is free");
        assert!(slot.take(Duration::from_millis(1)).is_none());
        drop(taken);
        assert!(slot.take(Duration::ZERO).is_some());
    }
}
