//! Nodes, their disks and the network between them, from a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use stead_founding::{Effect, Founding, Input, Kept, Letter, Settings};
use stead_model::{ClusterId, NodeId};

/// How often a node looks who is there.
pub const LOOK_MS: u64 = 300;
/// What is on a node's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk {
    pub kept: Kept,
    pub charter: Option<ClusterId>,
}

struct Node {
    disk: Disk,
    /// The protocol, while the node runs and is in no cluster.
    founding: Option<Founding>,
    runs: bool,
    may_found: bool,
    expected: u32,
    life: u64,
}

enum Event {
    Look { node: NodeId, life: u64 },
    Looked { node: NodeId, life: u64, clusters: BTreeSet<ClusterId>, without: BTreeSet<NodeId> },
    Letter(Letter),
}

/// What may go wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Of a hundred words and questions, so many are lost.
    pub loss_percent: u64,
    /// The longest that a word is on its way.
    pub delay_ms: u64,
    /// Of a thousand things that a node does, at so many it dies before it.
    pub crash_permille: u64,
    /// How long a majority waits for the rest.
    pub grace_ms: u64,
    /// Whoever founds is heard by nobody from then on, and the others die and return.
    pub unlucky: bool,
    /// A bug put in on purpose: promises don't survive a restart.
    pub forgets: bool,
}

pub struct World {
    pub now: u64,
    pub random: Xoshiro256PlusPlus,
    pub faults: Faults,
    nodes: BTreeMap<NodeId, Node>,
    events: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    /// Pairs that don't hear each other.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// Who founded what.
    pub founded: BTreeSet<(ClusterId, NodeId)>,
    pub crashes: u64,
    pub lost: u64,
    /// All that was said, in order, to compare runs by.
    pub trace: Vec<(u64, Letter)>,
}

impl World {
    pub fn new(seed: u64, count: u128, faults: Faults) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut nodes = BTreeMap::new();
        for at in 1..=count {
            // Ids are no order of starting.
            let id = NodeId((u128::from(random.next_u64()) << 8) + at);
            let expected = u32::try_from(count).expect("few");
            let disk = Disk::default();
            nodes.insert(
                id,
                Node { disk, founding: None, runs: false, may_found: true, expected, life: 0 },
            );
        }
        Self {
            now: 0,
            random,
            faults,
            nodes,
            events: BTreeMap::new(),
            numbered: 0,
            cut: BTreeSet::new(),
            founded: BTreeSet::new(),
            crashes: 0,
            lost: 0,
            trace: Vec::new(),
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("it is one of the nodes")
    }

    pub fn disk(&self, id: NodeId) -> Disk {
        self.nodes[&id].disk
    }

    /// Gives a node what it has from before.
    pub fn enrol(&mut self, id: NodeId, cluster: ClusterId) {
        self.node(id).disk.charter = Some(cluster);
    }

    pub fn only_enters(&mut self, id: NodeId) {
        self.node(id).may_found = false;
    }

    pub fn expects(&mut self, id: NodeId, expected: u32) {
        self.node(id).expected = expected;
    }

    pub fn runs(&self, id: NodeId) -> bool {
        self.nodes[&id].runs
    }

    pub fn start(&mut self, id: NodeId) {
        let (seed, now) = (self.random.next_u64(), self.now);
        let (forgets, grace) = (self.faults.forgets, Duration::from_millis(self.faults.grace_ms));
        let node = self.node(id);
        assert!(!node.runs, "it runs");
        node.runs = true;
        node.life += 1;
        let settings = Settings {
            node: id,
            expected: node.expected,
            may_found: node.may_found,
            knows_of_others: true,
            grace,
        };
        let kept = if forgets { Kept::default() } else { node.disk.kept };
        let free = node.disk.charter.is_none();
        node.founding = free.then(|| Founding::new(settings, kept, seed));
        let life = node.life;
        let at = now + self.random.random_range(0..LOOK_MS);
        self.schedule(at, Event::Look { node: id, life });
    }

    pub fn stop(&mut self, id: NodeId) {
        let node = self.node(id);
        node.runs = false;
        node.founding = None;
    }

    /// Nobody hears a node, and it hears nobody.
    pub fn isolate(&mut self, id: NodeId) {
        let others = self.ids().into_iter().filter(|other| *other != id);
        self.cut.extend(others.flat_map(|other| [(id, other), (other, id)]));
    }

    fn restart_all_but(&mut self, id: NodeId) {
        for other in self.ids() {
            if other != id && self.runs(other) {
                self.crashes += 1;
                self.stop(other);
                self.start(other);
            }
        }
    }

    pub fn hears(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.contains(&(from, to))
    }

    fn loses(&mut self) -> bool {
        let lost = self.random.random_range(0..100) < self.faults.loss_percent;
        self.lost += u64::from(lost);
        lost
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.numbered += 1;
        self.events.insert((at, self.numbered), event);
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some((&(at, number), _)) = self.events.first_key_value()
            && at <= until
        {
            let event = self.events.remove(&(at, number)).expect("it was there");
            self.now = at;
            self.happens(event);
        }
        self.now = until;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Look { node, life } => self.look(node, life),
            Event::Looked { node, life, clusters, without } => {
                if self.nodes[&node].life == life {
                    self.input(node, Input::Looked { clusters, without });
                }
            }
            Event::Letter(letter) => {
                if self.hears(letter.from, letter.to) {
                    self.input(letter.to, Input::Heard(letter));
                }
            }
        }
    }

    fn look(&mut self, id: NodeId, life: u64) {
        let node = &self.nodes[&id];
        if node.life != life || node.founding.is_none() {
            return;
        }
        let (mut clusters, mut without) = (BTreeSet::new(), BTreeSet::new());
        for other in self.ids() {
            let both = self.hears(id, other) && self.hears(other, id);
            if other == id || !both || !self.nodes[&other].runs || self.loses() {
                continue;
            }
            match self.nodes[&other].disk.charter {
                Some(cluster) => drop(clusters.insert(cluster)),
                None => drop(without.insert(other)),
            }
        }
        // What was seen may be old by the time it is acted on.
        let at = self.now + self.random.random_range(0..=self.faults.delay_ms);
        self.schedule(at, Event::Looked { node: id, life, clusters, without });
        self.schedule(self.now + LOOK_MS, Event::Look { node: id, life });
    }

    fn input(&mut self, id: NodeId, input: Input) {
        let now = Duration::from_millis(self.now);
        let Some(founding) = self.node(id).founding.as_mut() else { return };
        for effect in founding.handle(input, now) {
            if self.random.random_range(0..1_000) < self.faults.crash_permille {
                self.crashes += 1;
                self.stop(id);
                return;
            }
            match effect {
                Effect::Keep(kept) => self.node(id).disk.kept = kept,
                Effect::Say(letter) => {
                    self.trace.push((self.now, letter));
                    if !self.loses() {
                        let at = self.now + self.random.random_range(0..=self.faults.delay_ms);
                        self.schedule(at, Event::Letter(letter));
                        // A datagram may come twice.
                        if self.random.random_range(0..20) == 0 {
                            let at = self.now + self.random.random_range(0..=4 * LOOK_MS);
                            self.schedule(at, Event::Letter(letter));
                        }
                    }
                }
                Effect::Found(cluster) => {
                    self.founded.insert((cluster, id));
                    self.enters(id, cluster);
                    if self.faults.unlucky {
                        self.isolate(id);
                        self.restart_all_but(id);
                    }
                    return;
                }
                Effect::Enter(cluster) => {
                    self.enters(id, cluster);
                    return;
                }
            }
        }
    }

    fn enters(&mut self, id: NodeId, cluster: ClusterId) {
        let node = self.node(id);
        node.disk.charter = Some(cluster);
        node.founding = None;
    }

    /// Why a node has no cluster.
    pub fn waits(&self, id: NodeId) -> Option<stead_founding::Waits> {
        Some(self.nodes[&id].founding.as_ref()?.waits())
    }

    /// All clusters that any disk or founder knows of.
    pub fn clusters(&self) -> BTreeSet<ClusterId> {
        let kept = self.nodes.values().filter_map(|node| node.disk.charter);
        kept.chain(self.founded.iter().map(|(cluster, _)| *cluster)).collect()
    }
}
