//! The protocol, without clock, randomness or socket.
//!
//! [`Core::handle`] takes an input and the time, and returns what to do. The time
//! is a span since any fixed moment, of a clock that doesn't go back. The core keeps
//! its own timers: [`Core::next_deadline`] says when it wants [`Input::Tick`].
//! The same seed and the same inputs give the same effects.
//!
//! If the core finds at an input that its timers are late by more than
//! [`Config::pause`], this node was stopped, or had no processor. Its probes went
//! unanswered because *it* did not listen, so it judges nobody by them: the
//! outstanding probe is taken for answered, and suspects get their whole time to
//! object from now. Datagrams that came meanwhile should be handed in before the
//! tick.

mod asks;
mod discovery;
mod foreign;
mod hints;
mod input;
mod membership;
mod swim;
mod timers;
mod view;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use stead_model::ClusterId;

use crate::config::{Config, ConfigError};
use crate::counters::Counters;
use crate::identity::Identity;
use crate::notice::{Notice, Numbered, Snapshot};
use crate::packet::{Packet, PacketError};

pub use input::{Effect, EnterError, Input, NAMED_MAX};

use asks::Asks;
use foreign::Foreign;
use hints::Hints;
use swim::Swim;
use timers::{Timer, Timers};
use view::View;
use watch::Watched;

/// The membership of one node. See the module's words.
pub struct Core {
    config: Config,
    cluster: Option<ClusterId>,
    phase: Phase,
    swim: Swim,
    timers: Timers,
    view: View,
    /// Who this node was when it was last told.
    own: Identity,
    /// Addresses given to join at, and where who is there says to be.
    named: BTreeMap<SocketAddr, Option<SocketAddr>>,
    asks: Asks,
    hints: Hints,
    watched: Option<Watched>,
    foreign: Foreign,
    random: Xoshiro256PlusPlus,
    /// When this node last began another life because the others knew a later one.
    outbid: Option<Duration>,
    counters: Counters,
    sequence: u64,
    now: Duration,
    effects: Vec<Effect>,
}

/// Whether the core still takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// It says so this many more times.
    Leaving(u8),
    Left,
}

impl Core {
    /// A core that knows nobody. With a cluster it takes part at once; without, it only
    /// asks and answers who is where, until it enters one.
    ///
    /// # Errors
    /// [`ConfigError`] if the settings or the identity don't work.
    pub fn new(
        config: Config,
        identity: Identity,
        cluster: Option<ClusterId>,
        seed: u64,
        now: Duration,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        identity.check()?;
        if cluster == Some(ClusterId(0)) {
            return Err(ConfigError::Cluster);
        }
        let mut core = Self {
            cluster: None,
            phase: Phase::Running,
            swim: Swim::new(identity.clone(), &config, seed),
            timers: Timers::default(),
            view: View::new(identity.clone(), cluster),
            own: identity,
            named: BTreeMap::new(),
            asks: Asks::default(),
            hints: Hints::default(),
            watched: None,
            foreign: Foreign::default(),
            // Another one than foca's, so that what foca draws doesn't change our nonces.
            random: Xoshiro256PlusPlus::seed_from_u64(!seed),
            outbid: None,
            counters: Counters::default(),
            sequence: 0,
            now,
            effects: Vec::new(),
            config,
        };
        if let Some(cluster) = cluster {
            core.take_part_in(cluster);
        }
        Ok(core)
    }

    /// Takes an input at the time `now`, and returns what to do, in order.
    #[must_use = "effects that nobody carries out are lost"]
    pub fn handle(&mut self, input: Input<'_>, now: Duration) -> Vec<Effect> {
        self.now = self.now.max(now);
        let late = self.timers.late(self.now);
        if late > self.config.pause {
            self.excuse_pause(late);
        }
        match input {
            Input::Datagram { from, bytes } => self.datagram(from, bytes),
            Input::Tick => {}
            Input::Join { addresses } => self.join(addresses),
            Input::Ask { address } => self.ask(address),
            Input::Say { to, body } => self.say(to, body),
            Input::Hint { node } => self.hint(node),
            Input::Leave => self.leave(),
        }
        while let Some(timer) = self.timers.pop_due(self.now) {
            self.fire(timer);
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// Enters a cluster: one that was found, or one that is new.
    ///
    /// # Errors
    /// [`EnterError`]; nothing has changed then. To enter the cluster that it is in
    /// changes nothing either, and is no error.
    pub fn enter(&mut self, cluster: ClusterId, now: Duration) -> Result<Vec<Effect>, EnterError> {
        if cluster == ClusterId(0) {
            return Err(EnterError::Zero);
        }
        if self.phase != Phase::Running {
            return Err(EnterError::Leaving);
        }
        match self.cluster {
            Some(same) if same == cluster => return Ok(Vec::new()),
            Some(other) => return Err(EnterError::Other { now: other, asked: cluster }),
            None => {}
        }
        self.now = self.now.max(now);
        self.take_part_in(cluster);
        self.settle();
        Ok(std::mem::take(&mut self.effects))
    }

    /// When the core wants to be called next; none if it waits for nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Everyone that is known.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.view.snapshot())
    }

    /// What was sent, taken and dropped.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many timers are armed: bounded by the number of addresses that are known.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.counters.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        if bytes.len() > self.config.packet_bytes_max {
            self.counters.dropped.garbage += 1;
            return;
        }
        match Packet::decode(bytes) {
            Err(PacketError::Garbage) => self.counters.dropped.garbage += 1,
            Err(error @ PacketError::Version(_)) => {
                self.counters.dropped.other_version += 1;
                self.tell_foreign(from, || {
                    format!(
                        "{error}: at {from} is another release of Stead; nodes join only if their \
                         releases speak a version in common"
                    )
                });
            }
            Ok(Packet::Hello { nonce }) => self.answer(from, nonce),
            Ok(Packet::Welcome { cluster, nonce, identity }) => {
                self.welcome(cluster, nonce, identity);
            }
            Ok(Packet::Swim { cluster, body }) => {
                if self.takes_from(from, cluster) {
                    self.gossip(from, body);
                }
            }
            Ok(Packet::Outdated { cluster, outdated }) => {
                if self.takes_from(from, cluster) {
                    self.outbid(outdated);
                }
            }
            Ok(Packet::Word { body }) => self.word(from, body),
        }
    }

    /// Whether to take what a member of `cluster` sends from `from`.
    fn takes_from(&mut self, from: SocketAddr, cluster: ClusterId) -> bool {
        let Some(own) = self.cluster.filter(|_| self.phase == Phase::Running) else {
            self.counters.dropped.not_member += 1;
            return false;
        };
        if own != cluster {
            self.counters.dropped.other_cluster += 1;
            self.tell_other_cluster(from, cluster);
        }
        own == cluster
    }

    fn tell_other_cluster(&mut self, from: SocketAddr, theirs: ClusterId) {
        let own = self.cluster.map_or_else(|| "none".to_owned(), |own| own.to_string());
        self.tell_foreign(from, || {
            format!(
                "{from} belongs to cluster {theirs}, this node to {own}: they don't mix; if it \
                 should belong to this one, start it with an empty data directory, and see that \
                 the addresses to join at name this cluster's nodes only"
            )
        });
    }

    fn tell_foreign(&mut self, from: SocketAddr, text: impl FnOnce() -> String) {
        if self.foreign.may_tell(from, self.now) {
            self.tell(Notice::Foreign { from, text: text() });
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Foca(timer) => {
                let result = self.swim.timer(timer);
                self.note(result);
            }
            Timer::Retry => {
                self.timers.arm(self.now + self.config.retry_period, Timer::Retry);
                self.reach_out();
            }
            Timer::Ask { nonce } => self.ask_again(nonce),
            Timer::Watch => self.watch(),
            Timer::Watched => self.look_at_neighbour(),
            Timer::Hint { node } => self.look_for_answer(node),
            Timer::Farewell => self.say_farewell(),
        }
        self.carry_out();
    }

    /// Does what foca wants done.
    fn carry_out(&mut self) {
        let wanted = self.swim.take_wanted();
        let Some(cluster) = self.cluster else { return };
        for (to, body) in wanted.sends {
            self.send(to.gossip, &Packet::Swim { cluster, body: &body });
        }
        for (after, timer) in wanted.timers {
            self.timers.arm(self.now + after, Timer::Foca(timer));
        }
        if wanted.defunct && self.phase == Phase::Running {
            self.tell(Notice::Defunct);
        }
    }

    /// Carries out what is left to do and tells what changed.
    fn settle(&mut self) {
        self.carry_out();
        if *self.swim.identity() != self.own {
            self.own = self.swim.identity().clone();
            self.counters.renewals += 1;
            self.tell(Notice::Renewed(Arc::new(self.own.clone())));
            // Those that held the last life to be over learn of this one.
            self.reach_out();
            self.carry_out();
        }
        for notice in self.view.update(self.own.node, self.swim.known()) {
            self.tell(notice);
        }
        let told = self.view.snapshot();
        if told.sequence != self.sequence || told.cluster != self.cluster {
            self.view.take_snapshot(self.sequence, &self.own, self.cluster);
        }
    }

    fn send(&mut self, to: SocketAddr, packet: &Packet<'_>) {
        let bytes = packet.encode();
        assert!(bytes.len() <= self.config.packet_bytes_max, "a packet fits a datagram");
        self.counters.sent += 1;
        self.counters.sent_bytes += bytes.len() as u64;
        self.effects.push(Effect::Send { to, bytes });
    }

    fn tell(&mut self, notice: Notice) {
        self.sequence += 1;
        self.effects.push(Effect::Notice(Numbered { sequence: self.sequence, notice }));
    }

    /// Notes what foca refused to do on our behalf.
    fn note(&mut self, result: Result<(), foca::Error>) {
        if let Err(error) = result {
            self.counters.internal += 1;
            tracing::warn!(%error, "membership could not do its work; please report it");
        }
    }
}
