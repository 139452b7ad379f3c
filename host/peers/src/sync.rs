//! Locks that can't be poisoned for good.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. What a panic elsewhere left behind is used as it is: all that is
/// locked here is put right before anything is called that isn't ours.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
