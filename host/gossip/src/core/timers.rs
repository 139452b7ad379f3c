//! What is to be done, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_model::NodeId;

use crate::identity::Identity;

/// Something to be done later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Timer {
    /// Foca's.
    Foca(foca::Timer<Identity>),
    /// Try those that are gone, and the addresses nobody was found at.
    Retry,
    /// Ask an address again, or give up.
    Ask { nonce: u64 },
    /// Ask the neighbour.
    Watch,
    /// See whether the neighbour has answered.
    Watched,
    /// See whether a node that was missed has answered.
    Hint { node: NodeId },
    /// Say once more that this node leaves.
    Farewell,
}

/// The timers in the order in which they come due; among those due at one moment,
/// in the order in which they were armed.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeMap<(Duration, u64), Timer>,
    armed: u64,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Duration, timer: Timer) {
        if let Timer::Foca(foca::Timer::RemoveDown(gone)) = &timer {
            self.forget_removals_at(gone);
        }
        self.armed += 1;
        self.queue.insert((at, self.armed), timer);
    }

    /// When the first comes due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the first if it is due.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        let first = self.queue.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// By how much the first is late.
    pub(super) fn late(&self, now: Duration) -> Duration {
        self.next().map_or(Duration::ZERO, |at| now.saturating_sub(at))
    }

    /// Puts all that is due, or about to judge someone, to a moment when what came
    /// while this node was stopped has been read. The order is kept.
    pub(super) fn postpone(&mut self, moment: impl Fn(&Timer, Duration) -> Duration) {
        for ((at, _), timer) in std::mem::take(&mut self.queue) {
            let at = moment(&timer, at);
            self.armed += 1;
            self.queue.insert((at, self.armed), timer);
        }
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Foca asks to forget each life of a node that ended; only the last one at an
    /// address is in its list, so only that is worth a timer. It bounds their number
    /// for a node that comes and goes.
    fn forget_removals_at(&mut self, gone: &Identity) {
        self.queue.retain(|_, timer| match timer {
            Timer::Foca(foca::Timer::RemoveDown(id)) => id.gossip != gone.gossip,
            _ => true,
        });
    }
}
