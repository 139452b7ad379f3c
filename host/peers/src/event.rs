//! What becomes of peers, told in order.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use stead_model::NodeId;
use tokio::sync::Notify;

use crate::{LossKind, LossReason, sync::locked};

/// What became of a peer, as its control lane tells. It is a hint: that a peer
/// can't be reached from here doesn't mean that it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// The peer is there: for the first time, or again.
    Met {
        /// The peer.
        node: NodeId,
        /// Which start of it.
        epoch: u64,
        /// Where.
        address: SocketAddr,
        /// The protocol version agreed on.
        protocol: u16,
    },
    /// The peer can't be reached (any more). Told once, and again when the kind
    /// changes: a peer that was silent and now refuses connections is known to
    /// have died.
    Lost {
        /// The peer.
        node: NodeId,
        /// What kind of loss it is.
        kind: LossKind,
        /// What happened.
        reason: LossReason,
    },
}

impl PeerEvent {
    /// Whom it is about.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        match self {
            Self::Met { node, .. } | Self::Lost { node, .. } => *node,
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<PeerEvent>,
    skipped: u64,
    ended: bool,
}

#[derive(Debug)]
pub(crate) struct EventQueue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    max: usize,
}

impl EventQueue {
    /// A queue that holds so many events: more than there are peers, so that a
    /// full one always has an event with a later one of the same peer behind it.
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), max }
    }

    pub(crate) fn push(&self, event: PeerEvent) {
        let mut waiting = locked(&self.waiting);
        if waiting.ended {
            return;
        }
        waiting.events.push_back(event);
        if waiting.events.len() > self.max {
            let overtaken = waiting.events.iter().enumerate().position(|(at, event)| {
                waiting.events.iter().skip(at + 1).any(|later| later.node() == event.node())
            });
            waiting.events.remove(overtaken.unwrap_or(0));
            waiting.skipped += 1;
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Nothing more is to be told of a peer.
    pub(crate) fn forget(&self, node: NodeId) {
        locked(&self.waiting).events.retain(|event| event.node() != node);
    }

    pub(crate) fn end(&self) {
        locked(&self.waiting).ended = true;
        self.wake.notify_one();
    }
}

/// The events of peers, in the order in which they happened. If they aren't
/// taken, the oldest that a later one of the same peer has overtaken is skipped:
/// a reader that falls behind learns less of what was, and never less of what is.
#[derive(Debug)]
pub struct PeerEvents {
    pub(crate) queue: Arc<EventQueue>,
}

impl PeerEvents {
    /// The next event; `None` once the transport has stopped and all were taken.
    /// Giving up the wait loses nothing.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if locked(&self.queue.waiting).ended {
                // Whatever came before the end was pushed before it.
                return self.try_next();
            }
            self.queue.wake.notified().await;
        }
    }

    /// The next event, if there is one.
    pub fn try_next(&mut self) -> Option<PeerEvent> {
        locked(&self.queue.waiting).events.pop_front()
    }

    /// How many events were skipped so far because they were not taken in time.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        locked(&self.queue.waiting).skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(node: u128, epoch: u64) -> PeerEvent {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        PeerEvent::Met { node: NodeId(node), epoch, address, protocol: 1 }
    }

    #[test]
    fn a_full_queue_keeps_the_last_event_of_each_peer() {
        let queue = Arc::new(EventQueue::new(4));
        for epoch in 0..100 {
            for node in 1..4 {
                queue.push(met(node, epoch));
            }
        }
        queue.push(met(3, 100));
        queue.end();
        let mut events = PeerEvents { queue };
        let left: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        assert_eq!(left, [met(1, 99), met(2, 99), met(3, 99), met(3, 100)]);
        assert_eq!(events.skipped(), 297);
    }

    #[test]
    fn a_forgotten_peer_has_no_events_left() {
        let queue = Arc::new(EventQueue::new(4));
        queue.push(met(1, 1));
        queue.push(met(2, 1));
        queue.forget(NodeId(1));
        let mut events = PeerEvents { queue };
        assert_eq!(events.try_next(), Some(met(2, 1)));
        assert_eq!(events.try_next(), None);
    }
}
