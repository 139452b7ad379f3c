//! How much of a group's log is kept for replicas that are behind.
//!
//! What is durable in this replica's own store is needed only by others. A leader
//! knows how far each of them has come; a follower knows only who is there, and may
//! have to lead when the leader is gone. So a follower lets go what has been durable
//! for a while in which everyone was there, and nothing while somebody isn't. A replica
//! that was away comes back to a log that goes on where its own ends, and needs no
//! store. For how long and how much it is waited is bounded; beyond that it is sent a
//! store.

use std::time::Duration;

use stead_model::LogIndex;

/// How long everyone must have been there before a follower lets go what was durable
/// then: longer than it takes to find that somebody is gone.
const SETTLE: Duration = Duration::from_secs(10);

/// How a group stands, as far as its log is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// There are none.
    None,
    /// This replica leads; the one that is furthest behind has all up to here.
    Have(LogIndex),
    /// This replica follows, and all of the others are there.
    There,
    /// This replica follows, and some of the others aren't there.
    Away,
}

/// What is remembered of a group.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    /// How far the store is durable.
    durable: LogIndex,
    /// What was let go.
    released: LogIndex,
    /// What was durable at a time, and is let go if nobody is missed for a while.
    settles: Option<(LogIndex, Duration)>,
    /// Since when something is kept for others.
    holds_since: Option<Duration>,
}

impl Keeping {
    /// The store is durable up to here.
    pub(crate) fn checkpointed(&mut self, through: LogIndex) {
        self.durable = self.durable.max(through);
    }

    /// Whether there is anything that could be let go.
    pub(crate) fn holds(&self) -> bool {
        self.durable > self.released
    }

    /// Up to where the log may be let go, if that is further than before. `surplus`:
    /// up to where it has to be, whoever lacks it.
    pub(crate) fn release(
        &mut self,
        others: Others,
        surplus: LogIndex,
        age_max: Duration,
        now: Duration,
    ) -> Option<LogIndex> {
        if !self.holds() {
            self.holds_since = None;
            return None;
        }
        let wanted = match others {
            Others::None => self.durable,
            Others::Have(all) => all.min(self.durable),
            Others::There => self.settled(now),
            Others::Away => {
                self.settles = None;
                self.released
            }
        };
        let holds = wanted < self.durable && others != Others::There;
        self.holds_since = self.holds_since.filter(|_| holds);
        let since = if holds { *self.holds_since.get_or_insert(now) } else { now };
        let wanted = match now.saturating_sub(since) >= age_max {
            true if holds => self.durable,
            _ => wanted.max(surplus.min(self.durable)),
        };
        (wanted > self.released).then(|| {
            self.released = wanted;
            wanted
        })
    }

    /// What has been durable for a while.
    fn settled(&mut self, now: Duration) -> LogIndex {
        let (through, at) = *self.settles.get_or_insert((self.durable, now));
        if now.saturating_sub(at) < SETTLE {
            return self.released;
        }
        self.settles = (through < self.durable).then_some((self.durable, now));
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: LogIndex = LogIndex(0);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn durable(through: u64) -> Keeping {
        let mut keeping = Keeping::default();
        keeping.checkpointed(LogIndex(through));
        keeping
    }

    #[test]
    fn a_node_that_is_alone_keeps_nothing() {
        let mut keeping = durable(7);
        assert_eq!(keeping.release(Others::None, NO, HOUR, at(0)), Some(LogIndex(7)));
        assert_eq!(keeping.release(Others::None, NO, HOUR, at(1)), None);
        keeping.checkpointed(LogIndex(3));
        assert_eq!(keeping.release(Others::None, NO, HOUR, at(2)), None, "it never goes back");
    }

    #[test]
    fn a_leader_keeps_what_the_last_one_lacks() {
        let mut keeping = durable(100);
        let mut go =
            |have, second| keeping.release(Others::Have(LogIndex(have)), NO, HOUR, at(second));
        assert_eq!(go(0, 0), None);
        assert_eq!(go(40, 1), Some(LogIndex(40)));
        assert_eq!(go(40, 2), None);
        assert_eq!(go(500, 3), Some(LogIndex(100)), "and what is not durable here");
    }

    #[test]
    fn a_follower_lets_go_what_was_durable_for_a_while_in_which_nobody_was_missed() {
        let mut keeping = durable(100);
        assert_eq!(keeping.release(Others::There, NO, HOUR, at(0)), None);
        keeping.checkpointed(LogIndex(200));
        assert_eq!(keeping.release(Others::There, NO, HOUR, at(9)), None);
        assert_eq!(keeping.release(Others::There, NO, HOUR, at(10)), Some(LogIndex(100)));
        assert_eq!(keeping.release(Others::Away, NO, HOUR, at(19)), None);
        assert_eq!(keeping.release(Others::There, NO, HOUR, at(25)), None, "it begins again");
        assert_eq!(keeping.release(Others::There, NO, HOUR, at(35)), Some(LogIndex(200)));
    }

    #[test]
    fn it_is_kept_no_longer_and_no_more_than_is_allowed() {
        for others in [Others::Away, Others::Have(LogIndex(10))] {
            let mut keeping = durable(100);
            let first = keeping.release(others, NO, HOUR, at(0));
            assert!(first.is_none_or(|released| released == LogIndex(10)));
            assert_eq!(keeping.release(others, LogIndex(60), HOUR, at(5)), Some(LogIndex(60)));
            assert_eq!(keeping.release(others, LogIndex(500), HOUR, at(6)), Some(LogIndex(100)));
            keeping.checkpointed(LogIndex(200));
            assert_eq!(keeping.release(others, NO, HOUR, at(10)), None);
            assert_eq!(keeping.release(others, NO, HOUR, at(3_609)), None);
            assert_eq!(keeping.release(others, NO, HOUR, at(3_610)), Some(LogIndex(200)));
        }
    }
}
