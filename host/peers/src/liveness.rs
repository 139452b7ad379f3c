//! Whether the other side of a connection is still there. Pure: time is handed
//! in.
//!
//! TCP notices a cut network after minutes. So the node that dialled pings, and
//! takes a peer that says nothing for a while to be gone. Whoever judges others
//! by a clock must doubt its own: a process that was stopped for a while, or
//! didn't get a processor, finds all its peers silent when it wakes, though it
//! was the one that didn't listen. Its ticks tell: they come late. The time by
//! which a tick is late isn't counted against the peer, and the first late tick
//! forgives a whole period, so that what the peer said meanwhile can be read.

use std::time::Duration;

use tokio::time::Instant;

/// What is counted of a connection between ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Bytes read so far.
    pub(crate) heard: u64,
    /// Bytes written so far.
    pub(crate) written: u64,
    /// Whether something is being written.
    pub(crate) writing: bool,
}

/// What a tick found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// All is well.
    Fine,
    /// Nothing was heard for this long.
    Silent(Duration),
    /// Nothing of what is to be written was taken for this long.
    Stalled(Duration),
}

#[derive(Debug)]
pub(crate) struct Liveness {
    period: Duration,
    silence: Duration,
    stall: Duration,
    due: Instant,
    late_before: bool,
    heard: u64,
    heard_at: Instant,
    written: u64,
    written_at: Instant,
}

impl Liveness {
    pub(crate) fn new(period: Duration, silence: Duration, stall: Duration, now: Instant) -> Self {
        Self {
            period,
            silence,
            stall,
            due: now + period,
            late_before: false,
            heard: 0,
            heard_at: now,
            written: 0,
            written_at: now,
        }
    }

    /// When the next tick is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    pub(crate) fn tick(&mut self, now: Instant, traffic: Traffic) -> Tick {
        let late = now.saturating_duration_since(self.due);
        let is_late = late > self.period;
        let mut forgiven = late;
        if is_late && !self.late_before {
            forgiven += self.period;
        }
        self.late_before = is_late;
        self.due = now + self.period;
        if traffic.heard == self.heard {
            self.heard_at = (self.heard_at + forgiven).min(now);
        } else {
            (self.heard, self.heard_at) = (traffic.heard, now);
        }
        if traffic.written == self.written && traffic.writing {
            self.written_at = (self.written_at + forgiven).min(now);
        } else {
            (self.written, self.written_at) = (traffic.written, now);
        }
        let (unheard, unwritten) = (now - self.heard_at, now - self.written_at);
        if unheard >= self.silence {
            Tick::Silent(unheard)
        } else if unwritten >= self.stall {
            Tick::Stalled(unwritten)
        } else {
            Tick::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn liveness(now: Instant) -> Liveness {
        Liveness::new(100 * MS, 400 * MS, 1_000 * MS, now)
    }

    fn quiet() -> Traffic {
        Traffic::default()
    }

    #[test]
    fn a_peer_that_says_nothing_is_silent_after_the_time_out() {
        let start = Instant::now();
        let mut liveness = liveness(start);
        for tick in 1..4 {
            assert_eq!(liveness.tick(start + tick * 100 * MS, quiet()), Tick::Fine);
        }
        assert_eq!(liveness.tick(start + 400 * MS, quiet()), Tick::Silent(400 * MS));
    }

    #[test]
    fn a_byte_is_a_sign_of_life() {
        let start = Instant::now();
        let mut liveness = liveness(start);
        for tick in 1..100_u32 {
            let traffic = Traffic { heard: u64::from(tick / 3), ..quiet() };
            assert_eq!(liveness.tick(start + tick * 100 * MS, traffic), Tick::Fine);
        }
    }

    /// A node was stopped for ten seconds and woke. It took its timers for its
    /// peers' silence and stood for election everywhere.
    #[test]
    fn a_node_that_stood_still_forgives_its_peers() {
        let start = Instant::now();
        let mut liveness = liveness(start);
        assert_eq!(liveness.tick(start + 100 * MS, quiet()), Tick::Fine);
        assert_eq!(liveness.tick(start + 10_100 * MS, quiet()), Tick::Fine);
        // One that is gone in earnest is found out all the same, soon after.
        let ticks = (1..10).take_while(|tick| {
            liveness.tick(start + 10_100 * MS + *tick * 100 * MS, quiet()) == Tick::Fine
        });
        assert_eq!(ticks.count(), 2);
    }

    /// Every tick late is no reason never to notice.
    #[test]
    fn a_node_that_is_always_late_still_notices() {
        let start = Instant::now();
        let mut liveness = liveness(start);
        let found = (1..10).find(|tick| {
            matches!(liveness.tick(start + *tick * 350 * MS, quiet()), Tick::Silent(_))
        });
        assert_eq!(found, Some(5));
    }

    #[test]
    fn a_write_that_makes_no_headway_is_a_stall() {
        let start = Instant::now();
        let mut liveness = liveness(start);
        let mut found = None;
        for tick in 1..100_u32 {
            let stuck = tick > 20;
            let traffic = Traffic {
                heard: u64::from(tick),
                written: u64::from(tick.min(20)),
                writing: stuck,
            };
            if liveness.tick(start + tick * 100 * MS, traffic) != Tick::Fine {
                found = Some(tick);
                break;
            }
        }
        assert_eq!(found, Some(30));
    }
}
