//! Telling of other clusters once in a while, not with each of their packets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How long nothing more is told of an address.
const QUIET: Duration = Duration::from_secs(60);

/// How many addresses are kept in mind. With more, the rest goes untold.
const ADDRESSES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Foreign {
    told: BTreeMap<SocketAddr, Duration>,
}

impl Foreign {
    /// Whether to tell of an address now.
    pub(super) fn may_tell(&mut self, from: SocketAddr, now: Duration) -> bool {
        if self.told.contains_key(&from) || self.told.len() >= ADDRESSES_MAX {
            self.told.retain(|_, at| now.saturating_sub(*at) < QUIET);
        }
        let may = !self.told.contains_key(&from) && self.told.len() < ADDRESSES_MAX;
        if may {
            self.told.insert(from, now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_for_each_address_and_for_so_many() {
        let mut foreign = Foreign::default();
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let start = Duration::from_secs(5);
        assert!(foreign.may_tell(at(1), start));
        assert!(!foreign.may_tell(at(1), start + QUIET / 2));
        assert!(foreign.may_tell(at(1), start + QUIET));
        for port in 2..=64 {
            assert!(foreign.may_tell(at(port), start + QUIET));
        }
        assert!(!foreign.may_tell(at(65), start + QUIET), "the list is bounded");
        assert!(foreign.may_tell(at(65), start + QUIET * 2));
    }
}
