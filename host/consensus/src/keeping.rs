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
    pub(crate) fn holds(&self, released: LogIndex) -> bool {
        self.durable > released
    }

    /// Up to where the log may be let go, if that is further than it was already
    /// `released`. `surplus`: up to where it has to be, whoever lacks it.
    pub(crate) fn release(
        &mut self,
        others: Others,
        released: LogIndex,
        surplus: LogIndex,
        age_max: Duration,
        now: Duration,
    ) -> Option<LogIndex> {
        if !self.holds(released) {
            self.holds_since = None;
            return None;
        }
        let wanted = match others {
            Others::None => self.durable,
            Others::Have(all) => all.min(self.durable),
            Others::There => self.settled(released, now),
            Others::Away => {
                self.settles = None;
                released
            }
        };
        let holds = wanted < self.durable && others != Others::There;
        self.holds_since = self.holds_since.filter(|_| holds);
        let since = if holds { *self.holds_since.get_or_insert(now) } else { now };
        let wanted = match now.saturating_sub(since) >= age_max {
            true if holds => self.durable,
            _ => wanted.max(surplus.min(self.durable)),
        };
        (wanted > released).then_some(wanted)
    }

    /// What has been durable for a while.
    fn settled(&mut self, released: LogIndex, now: Duration) -> LogIndex {
        let (through, at) = *self.settles.get_or_insert((self.durable, now));
        if now.saturating_sub(at) < SETTLE {
            return released;
        }
        self.settles = Some((self.durable, now));
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: LogIndex = LogIndex(0);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// A group whose log goes when it may.
    struct Log(Keeping, LogIndex);

    impl Log {
        fn durable(through: u64) -> Self {
            let mut keeping = Keeping::default();
            keeping.checkpointed(LogIndex(through));
            Self(keeping, NO)
        }

        fn go(&mut self, others: Others, surplus: u64, second: u64) -> Option<u64> {
            let now = Duration::from_secs(second);
            let released = self.0.release(others, self.1, LogIndex(surplus), HOUR, now);
            self.1 = released.unwrap_or(self.1);
            released.map(LogIndex::get)
        }
    }

    fn have(through: u64) -> Others {
        Others::Have(LogIndex(through))
    }

    #[test]
    fn a_node_that_is_alone_keeps_nothing() {
        let mut log = Log::durable(7);
        assert_eq!(log.go(Others::None, 0, 0), Some(7));
        assert_eq!(log.go(Others::None, 0, 1), None);
        log.0.checkpointed(LogIndex(3));
        assert_eq!(log.go(Others::None, 0, 2), None, "it never goes back");
    }

    #[test]
    fn a_leader_keeps_what_the_last_one_lacks() {
        let mut log = Log::durable(100);
        assert_eq!(log.go(have(0), 0, 0), None);
        assert_eq!(log.go(have(40), 0, 1), Some(40));
        assert_eq!(log.go(have(40), 0, 2), None);
        assert_eq!(log.go(have(500), 0, 3), Some(100), "and what is not durable here");
    }

    #[test]
    fn a_follower_lets_go_what_was_durable_for_a_while_in_which_nobody_was_missed() {
        let mut log = Log::durable(100);
        assert_eq!(log.go(Others::There, 0, 0), None);
        log.0.checkpointed(LogIndex(200));
        assert_eq!(log.go(Others::There, 0, 9), None);
        assert_eq!(log.go(Others::There, 0, 10), Some(100));
        assert_eq!(log.go(Others::Away, 0, 19), None);
        assert_eq!(log.go(Others::There, 0, 25), None, "it begins again");
        assert_eq!(log.go(Others::There, 0, 35), Some(200));
    }

    #[test]
    fn what_did_not_go_is_let_go_again() {
        let mut log = Log::durable(100);
        for second in 0..3 {
            let now = Duration::from_secs(second);
            let released = log.0.release(have(60), NO, NO, HOUR, now);
            assert_eq!(released, Some(LogIndex(60)));
        }
    }

    #[test]
    fn it_is_kept_no_longer_and_no_more_than_is_allowed() {
        for others in [Others::Away, have(10)] {
            let mut log = Log::durable(100);
            assert!(log.go(others, 0, 0).is_none_or(|released| released == 10));
            assert_eq!(log.go(others, 60, 5), Some(60));
            assert_eq!(log.go(others, 500, 6), Some(100));
            log.0.checkpointed(LogIndex(200));
            assert_eq!(log.go(others, 0, 7), None);
            assert_eq!(log.go(others, 0, 3_599), None);
            assert_eq!(log.go(others, 0, 3_600), Some(200));
            // Who has been away for that long is sent a store anyway.
            log.0.checkpointed(LogIndex(300));
            assert_eq!(log.go(others, 0, 3_601), Some(300));
        }
    }
}
