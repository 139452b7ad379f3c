//! How long to wait before the next attempt to reach a peer. Pure: randomness is
//! a seed handed in.

use std::time::Duration;

/// Waits that double, each between half of itself and all of it, so that nodes
/// that lost the same peer don't come back to it in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max, failures: 0, random: seed | 1 }
    }

    /// The next attempt is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed: how long to wait before the next.
    pub(crate) fn failed(&mut self) -> Duration {
        let doubled = self.min.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        let whole = doubled.min(self.max);
        // xorshift64: spreading retries needs no better randomness.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = whole / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(self.random % nanos.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_over_after_a_reset() {
        let (min, max) = (Duration::from_millis(20), Duration::from_secs(1));
        for seed in 0..100 {
            let mut backoff = Backoff::new(min, max, seed);
            for attempt in 0..64_u32 {
                let whole = min.saturating_mul(1 << attempt.min(10)).min(max);
                let wait = backoff.failed();
                assert!(wait >= whole / 2 && wait <= whole, "attempt {attempt}: {wait:?}");
            }
            backoff.reset();
            assert!(backoff.failed() <= min);
        }
    }

    #[test]
    fn nodes_do_not_wait_in_step() {
        let waits: std::collections::BTreeSet<_> = (1..50_u64)
            .map(|seed| {
                let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                Backoff::new(Duration::from_secs(1), Duration::from_secs(1), seed).failed()
            })
            .collect();
        assert!(waits.len() > 40, "{} different waits", waits.len());
    }
}
