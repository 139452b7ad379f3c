//! The node's clock, in the units of the model.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use stead_model::TimestampMs;

/// Now. A clock before 1970 is taken as 1970.
pub fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// An instant of the monotonic clock, by the node's clock as it is now.
pub fn deadline(instant: Instant) -> TimestampMs {
    let left = instant.saturating_duration_since(Instant::now());
    now().plus_ms(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}
