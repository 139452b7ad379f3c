//! Taking part: gossip, hints, pauses, leaving.

use std::sync::Arc;
use std::time::Duration;

use foca::Message;
use stead_model::{ClusterId, NodeId};

use crate::identity::{EPOCH_MAX, Identity};
use crate::notice::Notice;
use crate::packet::{Outdated, Packet};

use super::timers::Timer;
use super::{Core, Phase, hints, swim};

impl Core {
    pub(super) fn take_part_in(&mut self, cluster: ClusterId) {
        self.cluster = Some(cluster);
        self.timers.arm(self.now + self.config.retry_period, Timer::Retry);
        self.timers.arm(self.now + self.config.probe_period, Timer::Watch);
        self.greet_all();
    }

    /// Takes a packet of foca's from this cluster.
    pub(super) fn gossip(&mut self, from: std::net::SocketAddr, body: &[u8]) {
        let Some(content) = swim::read(body) else {
            self.counters.dropped.garbage += 1;
            return;
        };
        let sender = &content.header.src;
        if sender.gossip == self.own.gossip {
            self.counters.dropped.from_ourselves += 1;
            let (address, node) = (sender.gossip, sender.node);
            if node != self.own.node {
                self.tell_foreign(from, || {
                    format!(
                        "node {node} claims to be at {address}, which is this node's own address: \
                         see to the address that it is told to advertise"
                    )
                });
            }
            return;
        }
        if self.is_too_many(&content) {
            self.counters.dropped.too_many += 1;
            return;
        }
        if let Some(known) = self.swim.at_address_of(sender).filter(|known| known.id() > sender) {
            let (node, epoch, known) = (sender.node, sender.epoch, known.id().epoch);
            self.counters.dropped.outdated += 1;
            let Some(cluster) = self.cluster else { return };
            let outdated = Outdated { node, epoch, known };
            self.send(sender.gossip, &Packet::Outdated { cluster, outdated });
            return;
        }
        let twin = sender.node == self.own.node && sender.epoch >= self.own.epoch;
        if twin && self.foreign.may_tell(from, self.now) {
            self.tell(Notice::Twin(Arc::new(sender.clone())));
        }
        match self.swim.data(body) {
            Ok(()) => {}
            Err(
                foca::Error::DataTooBig
                | foca::Error::IndirectForOurselves
                | foca::Error::MalformedPacket
                | foca::Error::Decode(_)
                | foca::Error::CustomBroadcast(_),
            ) => self.counters.dropped.garbage += 1,
            Err(foca::Error::DataFromOurselves) => self.counters.dropped.from_ourselves += 1,
            Err(
                error @ (foca::Error::NotUndead
                | foca::Error::SameIdentity
                | foca::Error::NotConnected
                | foca::Error::IncompleteProbeCycle
                | foca::Error::Encode(_)
                | foca::Error::InvalidConfig),
            ) => self.note(Err(error)),
        }
        self.carry_out();
        if self.swim.is_present(sender) {
            self.hear(sender);
            if let Message::ForwardedAck { origin, .. } = &content.header.message {
                self.hear(origin);
            }
        }
    }

    /// Notes a sign of life.
    fn hear(&mut self, identity: &Identity) {
        self.hints.heard(identity);
        if let Some(watched) = &mut self.watched {
            watched.hear(identity);
        }
    }

    /// Whether a packet would make foca know more addresses than are allowed.
    fn is_too_many(&self, content: &swim::Content) -> bool {
        let known = self.swim.known().len();
        let limit = self.config.addresses_max;
        if known + content.news.len() < limit {
            return false;
        }
        let named = content.news.iter().map(foca::Member::id).chain([&content.header.src]);
        let new = named.filter(|id| self.swim.at_address_of(id).is_none()).count();
        new > 0 && known + new > limit
    }

    /// Others know a later life at this node's address than the one it is in: it goes
    /// on in a life after that. At most once in a probe's period, so that two
    /// nodes that claim one address don't flood their cluster.
    pub(super) fn outbid(&mut self, outdated: Outdated) {
        let Outdated { node, epoch, known } = outdated;
        let us = (node, epoch) == (self.own.node, self.own.epoch);
        let again = self.outbid.is_some_and(|at| self.now < at + self.config.probe_period);
        if !us || again || !(epoch..EPOCH_MAX).contains(&known) {
            self.counters.dropped.unasked += 1;
            return;
        }
        self.outbid = Some(self.now);
        let result = self.swim.renew_after(known).map(|_| ());
        self.note(result);
    }

    /// When another process that had this node's id is gone again, others hold the node
    /// to be gone, as its latest life was that one's. It goes on in a life after that.
    /// While the other is there, they don't outbid each other: one of them has to stop.
    pub(super) fn outlive_twin(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        let own = &self.own;
        let later =
            |id: &Identity| id.node == own.node && id.gossip != own.gossip && id.epoch >= own.epoch;
        let twins = self.swim.known().filter(|member| later(member.id()));
        let last = twins.max_by_key(|member| member.id().epoch);
        let Some(twin) = last.filter(|twin| twin.state() == foca::State::Down) else { return };
        let epoch = twin.id().epoch;
        if epoch < EPOCH_MAX {
            let result = self.swim.renew_after(epoch).map(|_| ());
            self.note(result);
        }
    }

    pub(super) fn hint(&mut self, node: NodeId) {
        if self.phase != Phase::Running || self.cluster.is_none() {
            return;
        }
        let Some(identity) = self.view.present(node).map(Arc::clone) else { return };
        if self.ask_out_of_turn(identity, self.config.hint_suspicion) {
            self.counters.hints += 1;
        }
    }

    /// Asks a node whether it lives, through others too. False if that is being done.
    pub(super) fn ask_out_of_turn(&mut self, identity: Arc<Identity>, suspicion: Duration) -> bool {
        let new = self.hints.open(Arc::clone(&identity), suspicion);
        if new {
            let node = identity.node;
            self.probe_now(&identity);
            self.timers.arm(self.now + self.config.hint_wait / 2, Timer::Hint { node });
        }
        new
    }

    pub(super) fn look_for_answer(&mut self, node: NodeId) {
        let Some((next, last)) = self.hints.due(node) else { return };
        match next {
            hints::Next::Repeat(identity) => self.probe_now(&identity),
            hints::Next::Suspect(identity, suspicion) => {
                let result = self.swim.suspect(&identity, suspicion);
                self.note(result);
                let result = self.swim.tell_news();
                self.note(result);
            }
            hints::Next::Nothing => {}
        }
        if !last {
            self.timers.arm(self.now + self.config.hint_wait / 2, Timer::Hint { node });
        }
    }

    fn probe_now(&mut self, target: &Identity) {
        let helpers = self.pick_present(self.config.indirect_probes, Some(target));
        let result = self.swim.probe(target, &helpers);
        self.note(result);
        self.carry_out();
    }

    /// Begins anew after this node was stopped for at least `late`.
    pub(super) fn excuse_pause(&mut self, late: Duration) {
        self.counters.pauses += 1;
        self.tell(Notice::Paused { at_least: late });
        let result = self.swim.excuse_outstanding();
        self.note(result);
        self.hints.clear();
        self.watched = None;
        let (now, config) = (self.now, &self.config);
        self.timers.postpone(|timer, at| match timer {
            Timer::Foca(foca::Timer::ChangeSuspectToDown { .. }) => at.max(now + config.suspicion),
            Timer::Foca(foca::Timer::ProbeRandomMember(_)) => at.max(now + config.probe_rtt),
            _ => at.max(now),
        });
        if self.phase == Phase::Running {
            // Whoever held this node to be gone says so to its face, and it renews itself.
            for member in self.pick_present(self.config.indirect_probes, None) {
                let result = self.swim.announce(member);
                self.note(result);
            }
            let result = self.swim.challenge_suspects(self.config.addresses_max);
            self.note(result);
        }
        self.carry_out();
    }

    pub(super) fn leave(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        self.timers.clear();
        self.asks.clear();
        self.hints.clear();
        self.phase = Phase::Leaving(self.config.farewells);
        if self.cluster.is_none() || self.pick_present(1, None).is_empty() {
            self.finish();
            return;
        }
        let result = self.swim.leave();
        self.note(result);
        self.carry_out();
        // What foca armed is for the living.
        self.timers.clear();
        self.timers.arm(self.now + self.config.farewell_period, Timer::Farewell);
    }

    pub(super) fn say_farewell(&mut self) {
        let Phase::Leaving(left) = self.phase else { return };
        let left = left.saturating_sub(1);
        if left == 0 {
            self.finish();
            return;
        }
        self.phase = Phase::Leaving(left);
        let result = self.swim.tell_news();
        self.note(result);
        self.carry_out();
        self.timers.arm(self.now + self.config.farewell_period, Timer::Farewell);
    }

    fn finish(&mut self) {
        self.phase = Phase::Left;
        self.timers.clear();
        self.tell(Notice::Left);
    }
}
