//! Watching one's neighbour, so that everyone is asked in every period by someone.
//!
//! Foca asks the others in a random order. In a cluster of ten, one in a hundred
//! that fail is asked by nobody for more than a second. So each node also asks, in
//! every period, the one after it in the order of ids: the ring has no gaps.

use std::sync::Arc;

use crate::identity::Identity;

use super::timers::Timer;
use super::{Core, Phase};

/// The neighbour that was asked last.
#[derive(Debug)]
pub(super) struct Watched {
    identity: Arc<Identity>,
    heard: bool,
}

impl Watched {
    pub(super) fn hear(&mut self, identity: &Identity) {
        self.heard |= *self.identity == *identity;
    }
}

impl Core {
    /// Asks the neighbour.
    pub(super) fn watch(&mut self) {
        self.timers.arm(self.now + self.config.probe_period, Timer::Watch);
        self.watched = None;
        self.outlive_twin();
        // One other alone is asked in each period anyway.
        if self.phase != Phase::Running || self.swim.num_present() < 2 {
            return;
        }
        let Some(identity) = self.view.after(self.own.node).map(Arc::clone) else { return };
        let result = self.swim.probe(&identity, &[]);
        self.note(result);
        self.watched = Some(Watched { identity, heard: false });
        self.timers.arm(self.now + self.config.probe_rtt, Timer::Watched);
    }

    /// Looks whether the neighbour answered. If not, others are asked to try.
    pub(super) fn look_at_neighbour(&mut self) {
        if let Some(Watched { identity, heard: false }) = self.watched.take() {
            self.ask_out_of_turn(identity, self.config.suspicion);
        }
    }
}
