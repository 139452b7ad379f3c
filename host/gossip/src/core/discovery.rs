//! Finding the others: questions to addresses, and trying again those that were lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use foca::State;
use rand::Rng;
use rand::seq::{IteratorRandom, SliceRandom};
use stead_model::ClusterId;

use crate::identity::Identity;
use crate::notice::Notice;
use crate::packet::{HELLO_BYTES, Packet, WORD_BYTES_MAX};

use super::asks::{Asks, Next, Opened, Why};
use super::timers::Timer;
use super::{Core, NAMED_MAX, Phase};

/// Someone to be tried again.
#[derive(Clone)]
enum Lost {
    /// A node that was known.
    Gone(Identity),
    /// An address that was given.
    Named(SocketAddr),
}

impl Core {
    pub(super) fn join(&mut self, addresses: &[SocketAddr]) {
        if self.phase != Phase::Running {
            return;
        }
        // They take the place of those before: a name that is looked up again and again
        // gives other addresses in time.
        let before = std::mem::take(&mut self.named);
        for address in addresses.iter().take(NAMED_MAX) {
            self.named.insert(*address, before.get(address).copied().flatten());
        }
        if self.cluster.is_some() {
            self.greet_all();
        }
    }

    pub(super) fn ask(&mut self, address: SocketAddr) {
        if self.phase != Phase::Running {
            self.tell(Notice::Unanswered { asked: address });
            return;
        }
        if self.say_hello(address, Why::Asked) == Opened::TooMany {
            self.tell(Notice::Unanswered { asked: address });
        }
    }

    pub(super) fn greet_all(&mut self) {
        let addresses: Vec<_> = self.named.keys().copied().collect();
        for address in addresses {
            self.say_hello(address, Why::Join);
        }
    }

    fn say_hello(&mut self, address: SocketAddr, why: Why) -> Opened {
        let nonce = self.random.next_u64();
        let opened = self.asks.open(nonce, address, why);
        if opened == Opened::New {
            self.send(address, &Packet::Hello { nonce });
            self.timers
                .arm(self.now + self.config.ask_timeout / Asks::tries(), Timer::Ask { nonce });
        }
        opened
    }

    pub(super) fn ask_again(&mut self, nonce: u64) {
        match self.asks.due(nonce) {
            Next::Repeat(address) => {
                self.send(address, &Packet::Hello { nonce });
                let wait = self.config.ask_timeout / Asks::tries();
                self.timers.arm(self.now + wait, Timer::Ask { nonce });
            }
            Next::GiveUp(asked, Why::Asked) => self.tell(Notice::Unanswered { asked }),
            Next::GiveUp(_, Why::Join) | Next::Nothing => {}
        }
    }

    /// Says who this node is. The answer is smaller than the question.
    pub(super) fn answer(&mut self, from: SocketAddr, nonce: u64) {
        if self.phase != Phase::Running {
            self.counters.dropped.not_member += 1;
            return;
        }
        let identity = self.own.clone();
        let packet = Packet::Welcome { cluster: self.cluster, nonce, identity };
        assert!(packet.encode().len() <= HELLO_BYTES, "an answer is no larger than its question");
        self.send(from, &packet);
    }

    pub(super) fn welcome(&mut self, cluster: Option<ClusterId>, nonce: u64, identity: Identity) {
        let Some(ask) = self.asks.answered(nonce) else {
            self.counters.dropped.unasked += 1;
            return;
        };
        let asked = ask.address;
        if ask.why == Why::Asked {
            let identity = Arc::new(identity);
            self.tell(Notice::Found { asked, cluster, identity });
            return;
        }
        if identity.gossip == self.own.gossip {
            // This node is among those that it was told to join.
            self.named.remove(&asked);
            return;
        }
        match (self.cluster, cluster) {
            (Some(own), Some(theirs)) if own == theirs => {
                if let Some(says) = self.named.get_mut(&asked) {
                    *says = Some(identity.gossip);
                }
                let result = self.swim.announce(identity);
                self.note(result);
                self.carry_out();
            }
            (_, Some(theirs)) => self.tell_other_cluster(asked, theirs),
            // It doesn't know its cluster yet, and is asked again.
            (_, None) => {}
        }
    }

    /// Carries what another room says about founding a cluster.
    pub(super) fn say(&mut self, to: SocketAddr, body: &[u8]) {
        let fits = (1..=WORD_BYTES_MAX).contains(&body.len());
        if fits && self.cluster.is_none() && self.phase == Phase::Running {
            self.send(to, &Packet::Word { body });
        }
    }

    /// A node that is in a cluster heeds no such word: whoever said it learns of the
    /// cluster when it asks who is there.
    pub(super) fn word(&mut self, from: SocketAddr, body: &[u8]) {
        if self.cluster.is_some() || self.phase != Phase::Running {
            self.counters.dropped.unasked += 1;
            return;
        }
        self.tell(Notice::Word { from, body: body.into() });
    }

    /// Tries a few of those that are gone, and of the addresses nobody was found at.
    ///
    /// Foca does the like only while it knows anyone to be present, so that two nodes
    /// that lost each other would stay alone for ever.
    pub(super) fn reach_out(&mut self) {
        if self.phase != Phase::Running || self.cluster.is_none() {
            return;
        }
        let mut lost = self.lost();
        let (chosen, _) = lost.partial_shuffle(&mut self.random, self.config.retries);
        for lost in chosen.iter().cloned() {
            match lost {
                Lost::Gone(identity) => {
                    let result = self.swim.announce(identity);
                    self.note(result);
                }
                Lost::Named(address) => {
                    self.say_hello(address, Why::Join);
                }
            }
        }
    }

    fn lost(&self) -> Vec<Lost> {
        let own = &self.own;
        let mut covered: BTreeSet<SocketAddr> = BTreeSet::from([own.gossip]);
        let mut lost = Vec::new();
        for member in self.swim.known() {
            let identity = member.id();
            covered.insert(identity.gossip);
            let elsewhere = self.view.present(identity.node).is_some();
            // Who was at this node's own address before it is not to be tried there.
            let own = identity.node == own.node || identity.gossip == own.gossip;
            if member.state() == State::Down && !own && !elsewhere {
                lost.push(Lost::Gone(identity.clone()));
            }
        }
        for (given, says) in &self.named {
            if !covered.contains(given) && !says.is_some_and(|says| covered.contains(&says)) {
                lost.push(Lost::Named(*given));
            }
        }
        lost
    }

    /// Some of those that are present, at random, without `except`.
    pub(super) fn pick_present(&mut self, most: usize, except: Option<&Identity>) -> Vec<Identity> {
        let present = self.swim.known().filter(|member| member.state() != State::Down);
        let others = present.map(foca::Member::id).filter(|id| Some(*id) != except);
        others.cloned().sample(&mut self.random, most)
    }
}
