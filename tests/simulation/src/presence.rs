//! Who is there, as the nodes hear it: late, and now and then wrong. What gossip
//! would say is taken from what the network lets through.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use stead_model::NodeId;

use crate::{
    faults::{Fault, Faults},
    network::{Machine, Network},
    random::Random,
    trace::Trace,
    world::Rack,
};

/// How often it is looked whether anything has changed.
const LOOK_MS: u64 = 20;

/// What nodes are told of each other.
pub struct Presence {
    random: Random,
    faults: Faults,
    /// The names that there ever were, and where.
    names: BTreeMap<NodeId, Machine>,
    /// What each machine's node was last told of each name, and what it will be told
    /// when.
    told: BTreeMap<(Machine, NodeId), bool>,
    due: BTreeMap<(Machine, NodeId), (u64, bool)>,
    /// Wrong hints are not given any more.
    right: bool,
    look: u64,
}

impl Presence {
    /// Nobody is there.
    pub fn new(random: Random, faults: Faults) -> Self {
        Self {
            random,
            faults,
            names: BTreeMap::new(),
            told: BTreeMap::new(),
            due: BTreeMap::new(),
            right: false,
            look: 0,
        }
    }

    /// A node starts: it has heard nothing yet.
    pub fn starts(&mut self, at: Machine, name: NodeId) {
        self.names.insert(name, at);
        self.told.retain(|(machine, _), _| *machine != at);
        self.due.retain(|(machine, _), _| *machine != at);
        self.look = 0;
    }

    /// Something has changed.
    pub fn changes(&mut self, now: u64) {
        self.look = now;
    }

    /// From now on nothing wrong is said.
    pub fn be_right(&mut self) {
        self.right = true;
    }

    /// One more millisecond has passed.
    pub fn tick(&mut self, now: u64, machines: &[Rack], network: &Network, trace: &Trace) {
        if self.look <= now {
            self.look = now + LOOK_MS;
            self.look(now, machines, network);
        }
        let due: Vec<_> =
            self.due.iter().filter(|(_, (when, _))| *when <= now).map(|(at, _)| *at).collect();
        for (at, name) in due {
            let Some((_, there)) = self.due.remove(&(at, name)) else { continue };
            let Some(running) = machines.get(at).and_then(|rack| rack.running.as_ref()) else {
                continue;
            };
            let node = &running.node;
            self.told.insert((at, name), there);
            trace.note(format_args!("m{at} hears that {} is there: {there}", name.short()));
            let mut heard = node.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.insert(name, (there, node.clock.run_ms()));
            drop(heard);
            node.consensus().presence(name, there);
        }
    }

    fn look(&mut self, now: u64, machines: &[Rack], network: &Network) {
        let current: BTreeSet<NodeId> = machines
            .iter()
            .filter(|rack| rack.running.is_some() && rack.paused_until <= now)
            .filter_map(|rack| rack.name)
            .collect();
        let up = |at: Machine| machines.get(at).is_some_and(|rack| rack.running.is_some());
        let names: Vec<_> = self.names.iter().map(|(name, at)| (*name, *at)).collect();
        for at in (0..machines.len()).filter(|at| up(*at)) {
            for (name, of) in &names {
                if *of == at && current.contains(name) {
                    continue;
                }
                let direct = network.reaches(at, *of) && network.reaches(*of, at);
                // Somebody in between may have heard of it.
                let reached = direct
                    || (0..machines.len()).filter(|between| up(*between)).any(|between| {
                        let goes = |from, to| network.reaches(from, to);
                        goes(at, between)
                            && goes(between, at)
                            && goes(between, *of)
                            && goes(*of, between)
                    });
                let mut there = current.contains(name) && reached;
                let told = self.told.get(&(at, *name)).copied();
                let mut wait = match (there, direct) {
                    (true, _) => self.random.within(1..400),
                    // A connection broke.
                    (false, true) => self.random.within(1..60),
                    (false, false) => self.random.within(200..1_500),
                };
                if told == Some(there) {
                    self.due.remove(&(at, *name));
                    if self.right || !self.random.one_in(1_500) {
                        continue;
                    }
                    self.faults.count(Fault::WrongHint);
                    there = !there;
                    wait = 0;
                } else if self.due.contains_key(&(at, *name)) {
                    continue;
                }
                self.due.insert((at, *name), (now + wait, there));
            }
        }
    }
}
