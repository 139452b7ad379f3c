//! Nodes and a network in one thread, in virtual time, by a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use stead_gossip::{Config, Core, Effect, Health, Identity, Input, Notice, ProtocolRange, Zone};
use stead_model::{ClusterId, NodeId};

use crate::random::Random;

pub const CLUSTER: ClusterId = ClusterId(0xC1);

/// What a socket keeps for a node that doesn't read, in datagrams.
const BACKLOG_MAX: usize = 200;

/// How the network treats a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub loss_per_mille: u64,
    pub duplicates_per_mille: u64,
    pub delay_least: Duration,
    pub delay_most: Duration,
}

impl Weather {
    pub const FAIR: Self = Self {
        loss_per_mille: 0,
        duplicates_per_mille: 0,
        delay_least: Duration::from_micros(100),
        delay_most: Duration::from_millis(2),
    };
}

pub struct Node {
    pub core: Core,
    alive: bool,
    paused: bool,
    backlog: Vec<(SocketAddr, Vec<u8>)>,
}

/// What a node was told, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub at: Duration,
    pub node: usize,
    pub notice: Notice,
}

pub struct World {
    pub now: Duration,
    pub nodes: Vec<Node>,
    pub weather: Weather,
    pub log: Vec<Told>,
    /// Of all effects, in order: equal for equal runs.
    pub digest: u64,
    pub datagrams: u64,
    pub lost: u64,
    pub duplicated: u64,
    config: Config,
    seed: u64,
    random: Random,
    cut: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(Duration, u64), (usize, SocketAddr, Vec<u8>)>,
    queued: u64,
}

pub fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (node / 200) as u8, (node % 200) as u8 + 1], 8082))
}

/// The identity of node `node` of address number `at`.
pub fn identity(node: u128, at: usize, epoch: u64) -> Identity {
    Identity {
        epoch,
        node: NodeId(node),
        gossip: address(at),
        peer: address(at),
        ingress: SocketAddr::new(address(at).ip(), 8080),
        zone: Zone::new(["zone-a", "zone-b", "zone-c"][at % 3]).expect("a zone"),
        protocols: ProtocolRange::new(1, 2).expect("a range"),
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with_config(seed, Config::default())
    }

    pub fn with_config(seed: u64, config: Config) -> Self {
        Self {
            now: Duration::ZERO,
            nodes: Vec::new(),
            weather: Weather::FAIR,
            log: Vec::new(),
            digest: 0xcbf2_9ce4_8422_2325,
            datagrams: 0,
            lost: 0,
            duplicated: 0,
            config,
            seed,
            random: Random::new(seed),
            cut: BTreeSet::new(),
            queue: BTreeMap::new(),
            queued: 0,
        }
    }

    /// A cluster of `count` nodes that all know each other.
    pub fn formed(seed: u64, count: usize) -> Self {
        Self::formed_with(seed, count, Config::default())
    }

    pub fn formed_with(seed: u64, count: usize, config: Config) -> Self {
        let mut world = Self::with_config(seed, config);
        for node in 0..count {
            world.start(identity(node as u128 + 1, node, 1_000), Some(CLUSTER));
            world.input(node, Input::Join { addresses: &[address(0), address(1)] });
        }
        world.run_until_agreed(Duration::from_secs(30));
        // What there is to tell has been told.
        world.run_for(Duration::from_secs(3));
        world.log.clear();
        world
    }

    /// Starts a node, as another one if there is one at its address; returns its number.
    pub fn start(&mut self, identity: Identity, cluster: Option<ClusterId>) -> usize {
        let at = (0..).find(|at| address(*at) == identity.gossip).expect("an address of ours");
        let seed = self.seed ^ self.random.next();
        let core = Core::new(self.config.clone(), identity, cluster, seed, self.now);
        let core = core.expect("sound settings");
        let node = Node { core, alive: true, paused: false, backlog: Vec::new() };
        match self.nodes.get_mut(at) {
            Some(place) => *place = node,
            None => {
                assert_eq!(at, self.nodes.len(), "nodes are started in order of address");
                self.nodes.push(node);
            }
        }
        at
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
        self.nodes[node].paused = false;
    }

    pub fn is_alive(&self, node: usize) -> bool {
        self.nodes[node].alive
    }

    pub fn is_paused(&self, node: usize) -> bool {
        self.nodes[node].paused
    }

    pub fn pause(&mut self, node: usize) {
        self.nodes[node].paused = true;
    }

    /// Lets a stopped node go on: it reads what its socket kept, then its timers.
    pub fn resume(&mut self, node: usize) {
        self.nodes[node].paused = false;
        for (from, bytes) in std::mem::take(&mut self.nodes[node].backlog) {
            self.input(node, Input::Datagram { from, bytes: &bytes });
        }
        self.input(node, Input::Tick);
    }

    /// The same for a node that looks at its timers first.
    pub fn resume_timers_first(&mut self, node: usize) {
        self.nodes[node].paused = false;
        self.input(node, Input::Tick);
        for (from, bytes) in std::mem::take(&mut self.nodes[node].backlog) {
            self.input(node, Input::Datagram { from, bytes: &bytes });
        }
    }

    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Cuts both ways between every node of one side and every other.
    pub fn split(&mut self, side: &[usize]) {
        for a in side.iter().copied() {
            for b in (0..self.nodes.len()).filter(|b| !side.contains(b)) {
                self.cut.extend([(a, b), (b, a)]);
            }
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        self.weather = Weather::FAIR;
    }

    pub fn input(&mut self, node: usize, input: Input<'_>) {
        assert!(self.nodes[node].alive && !self.nodes[node].paused);
        let effects = self.nodes[node].core.handle(input, self.now);
        self.carry_out(node, effects);
    }

    pub fn enter(&mut self, node: usize, cluster: ClusterId) {
        let effects = self.nodes[node].core.enter(cluster, self.now).expect("entered");
        self.carry_out(node, effects);
    }

    fn carry_out(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            self.note(node, &effect);
            match effect {
                Effect::Send { to, bytes } => self.send(node, to, bytes),
                Effect::Notice(numbered) => {
                    self.log.push(Told { at: self.now, node, notice: numbered.notice });
                }
            }
        }
    }

    fn note(&mut self, node: usize, effect: &Effect) {
        let mut digest = self.digest;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        add(&self.now.as_nanos().to_be_bytes());
        add(&node.to_be_bytes());
        match effect {
            Effect::Send { to, bytes } => {
                add(to.to_string().as_bytes());
                add(bytes);
            }
            Effect::Notice(numbered) => add(format!("{numbered:?}").as_bytes()),
        }
        self.digest = digest;
    }

    fn send(&mut self, from: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.datagrams += 1;
        let Some(to) = (0..self.nodes.len()).find(|node| address(*node) == to) else { return };
        if self.cut.contains(&(from, to)) || self.random.chance(self.weather.loss_per_mille) {
            self.lost += 1;
            return;
        }
        let mut copies = 1;
        if self.random.chance(self.weather.duplicates_per_mille) {
            self.duplicated += 1;
            copies = 2;
        }
        for _ in 0..copies {
            let Weather { delay_least, delay_most, .. } = self.weather;
            let at = self.now + self.random.between(delay_least, delay_most);
            self.queued += 1;
            self.queue.insert((at, self.queued), (to, address(from), bytes.clone()));
        }
    }

    /// Does the next thing that happens before `end`; false if there is none.
    fn step(&mut self, end: Duration) -> bool {
        let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
        let deadline = (self.nodes.iter().enumerate())
            .filter(|(_, node)| node.alive && !node.paused)
            .filter_map(|(number, node)| Some((node.core.next_deadline()?, number)))
            .min();
        let arrives_first =
            arrival.is_some_and(|at| deadline.is_none_or(|(deadline, _)| at <= deadline));
        if arrives_first {
            let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= end) else {
                return false;
            };
            self.now = self.now.max(first.key().0);
            let (to, from, bytes) = first.remove();
            self.deliver(to, from, bytes);
            return true;
        }
        let Some((at, node)) = deadline.filter(|(at, _)| *at <= end) else { return false };
        self.now = self.now.max(at);
        self.input(node, Input::Tick);
        true
    }

    fn deliver(&mut self, to: usize, from: SocketAddr, bytes: Vec<u8>) {
        let node = &mut self.nodes[to];
        if node.paused && node.backlog.len() < BACKLOG_MAX {
            node.backlog.push((from, bytes));
        } else if node.alive && !node.paused {
            self.input(to, Input::Datagram { from, bytes: &bytes });
        }
    }

    pub fn run_until(&mut self, end: Duration) {
        while self.step(end) {}
        self.now = end;
    }

    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// Runs until all agree; says how long it took.
    pub fn run_until_agreed(&mut self, most: Duration) -> Duration {
        let start = self.now;
        while self.now < start + most {
            self.run_for(Duration::from_millis(50));
            if self.disagreement().is_none() {
                return self.now - start;
            }
        }
        panic!("seed {}: {}", self.seed, self.disagreement().expect("no agreement"));
    }

    /// What the nodes that run disagree about.
    pub fn disagreement(&self) -> Option<String> {
        let running: Vec<_> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].alive).collect();
        for node in &running {
            let snapshot = self.nodes[*node].core.snapshot();
            let seen: Vec<_> = snapshot.present().map(|m| (m.identity.clone(), m.health)).collect();
            let mut there: Vec<_> = (running.iter().filter(|other| *other != node))
                .map(|other| (self.nodes[*other].core.snapshot().own.clone(), Health::Alive))
                .collect();
            there.sort_by_key(|(identity, _)| identity.node);
            if seen != there {
                return Some(format!("node {node} sees {seen:#?} where there are {there:#?}"));
            }
        }
        None
    }

    pub fn told(&self, wanted: impl Fn(&Told) -> bool) -> Vec<Told> {
        self.log.iter().filter(|told| wanted(told)).cloned().collect()
    }

    /// Times that nodes were told that the node `gone` is gone.
    pub fn downs_of(&self, gone: NodeId) -> Vec<Told> {
        self.told(|told| matches!(&told.notice, Notice::Down(id) if id.node == gone))
    }

    pub fn own(&self, node: usize) -> Identity {
        self.nodes[node].core.snapshot().own.clone()
    }
}
