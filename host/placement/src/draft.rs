//! A target in the making.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use stead_model::{NodeId, PartitionId};

use crate::{census::Census, weight::weight};

/// How many of the fullest, and of the emptiest, nodes are looked at when one
/// replica is shifted: enough to find a good one, and bounded.
const CANDIDATES_MAX: usize = 4;

/// Which node is to hold what, beside which holds it now.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) census: &'a Census<'a>,
    /// The nodes that may be given replicas.
    pub(crate) open: Vec<NodeId>,
    replicas: usize,
    held: BTreeMap<PartitionId, BTreeSet<NodeId>>,
    sets: BTreeMap<PartitionId, BTreeSet<NodeId>>,
    on: BTreeMap<NodeId, BTreeSet<PartitionId>>,
}

impl<'a> Draft<'a> {
    /// Starts from who holds what. Only nodes that keep what they have may be in
    /// it.
    pub(crate) fn new(census: &'a Census<'a>, held: BTreeMap<PartitionId, Vec<NodeId>>) -> Self {
        let open: Vec<_> = census.nodes().filter(|&node| census.is_open(node)).collect();
        let held: BTreeMap<PartitionId, BTreeSet<NodeId>> = held
            .into_iter()
            .map(|(partition, nodes)| (partition, nodes.into_iter().collect()))
            .collect();
        let mut on: BTreeMap<NodeId, BTreeSet<PartitionId>> =
            open.iter().map(|&node| (node, BTreeSet::new())).collect();
        for (&partition, nodes) in &held {
            for &node in nodes {
                assert!(census.keeps(node), "node {node} keeps nothing");
                on.entry(node).or_default().insert(partition);
            }
        }
        let sets = held.clone();
        Self { census, open, replicas: census.replicas(), held, sets, on }
    }

    pub(crate) fn into_sets(self) -> BTreeMap<PartitionId, BTreeSet<NodeId>> {
        self.sets
    }

    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        self.sets.keys().copied().collect()
    }

    /// The nodes that are to hold a partition.
    pub(crate) fn set(&self, partition: PartitionId) -> impl Iterator<Item = NodeId> + '_ {
        self.sets.get(&partition).into_iter().flatten().copied()
    }

    pub(crate) fn has(&self, partition: PartitionId, node: NodeId) -> bool {
        self.sets.get(&partition).is_some_and(|set| set.contains(&node))
    }

    /// What a node is to hold.
    pub(crate) fn on(&self, node: NodeId) -> impl Iterator<Item = PartitionId> + '_ {
        self.on.get(&node).into_iter().flatten().copied()
    }

    pub(crate) fn load(&self, node: NodeId) -> usize {
        self.on.get(&node).map_or(0, BTreeSet::len)
    }

    fn put(&mut self, partition: PartitionId, node: NodeId) {
        self.sets.entry(partition).or_default().insert(node);
        self.on.entry(node).or_default().insert(partition);
    }

    fn take(&mut self, partition: PartitionId, node: NodeId) {
        if let Some(set) = self.sets.get_mut(&partition) {
            set.remove(&node);
        }
        if let Some(on) = self.on.get_mut(&node) {
            on.remove(&partition);
        }
    }

    pub(crate) fn shift(&mut self, partition: PartitionId, from: NodeId, to: NodeId) {
        self.take(partition, from);
        self.put(partition, to);
    }

    /// How many more replicas must be copied if one is shifted: -1 to 1.
    pub(crate) fn copies(&self, partition: PartitionId, from: NodeId, to: NodeId) -> i32 {
        let held = |node| self.held.get(&partition).is_some_and(|held| held.contains(&node));
        i32::from(!held(to)) - i32::from(!held(from))
    }

    /// How many of a partition's replicas, other than that on `except`, share a
    /// node's zone.
    pub(crate) fn neighbours(
        &self,
        partition: PartitionId,
        node: NodeId,
        except: Option<NodeId>,
    ) -> usize {
        let Some(zone) = self.census.zone(node) else { return 0 };
        self.set(partition)
            .filter(|&other| other != node && Some(other) != except)
            .filter(|&other| self.census.zone(other) == Some(zone))
            .count()
    }

    /// How many more pairs of a partition's replicas share a zone if one is shifted.
    pub(crate) fn crowding(&self, partition: PartitionId, from: NodeId, to: NodeId) -> i64 {
        let after = self.neighbours(partition, to, Some(from));
        let before = self.neighbours(partition, from, None);
        // At most five replicas have at most four neighbours.
        i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
    }

    /// Whether a node leads a partition that is not being moved. Of one that is, the
    /// leader may just have handed over in order to go: that it doesn't lead must not
    /// be a reason for it to stay.
    fn leads(&self, partition: PartitionId, node: NodeId) -> bool {
        let view = self.census.partitions().get(&partition);
        view.is_some_and(|view| view.leader == Some(node) && view.learners.is_empty())
    }

    /// Lets replicas go where there are more than are wanted. Learners stay: each
    /// is a move that was begun.
    pub(crate) fn drop_surplus(&mut self) {
        for partition in self.partitions() {
            while self.set(partition).count() > self.replicas {
                let learners = self.census.partitions().get(&partition).map(|view| &view.learners);
                let least_wanted = self.set(partition).max_by_key(|&node| {
                    let learns = learners.is_some_and(|learners| learners.contains_key(&node));
                    (
                        !learns,
                        !self.census.is_open(node),
                        self.neighbours(partition, node, None),
                        self.load(node),
                        !self.leads(partition, node),
                        Reverse(weight(partition, node)),
                    )
                });
                let Some(node) = least_wanted else { break };
                self.take(partition, node);
            }
        }
    }

    /// Gives each partition the replicas that it lacks: to the nodes that it is
    /// drawn to most among those with room and in other zones.
    pub(crate) fn fill(&mut self) {
        let lacking: usize = self
            .partitions()
            .into_iter()
            .map(|partition| self.replicas.saturating_sub(self.set(partition).count()))
            .sum();
        let held: usize = self.open.iter().map(|&node| self.load(node)).sum();
        let room = (held + lacking).div_ceil(self.open.len().max(1));
        for partition in self.partitions() {
            while self.set(partition).count() < self.replicas {
                let best = self
                    .open
                    .iter()
                    .copied()
                    .filter(|&node| !self.has(partition, node))
                    .min_by_key(|&node| {
                        (
                            self.load(node).saturating_sub(room - 1),
                            self.neighbours(partition, node, None),
                            Reverse(weight(partition, node)),
                        )
                    });
                let Some(node) = best else { break };
                self.put(partition, node);
            }
        }
    }

    /// Shifts replicas from the fullest to the emptiest open nodes until all hold
    /// the same number, give or take one.
    ///
    /// Each shift makes the sum of the squares of what nodes hold smaller, so this
    /// ends. And as the fuller node is in more partitions than the emptier, there
    /// is always one to shift.
    pub(crate) fn balance(&mut self) {
        while let Some((partition, from, to)) = self.evening() {
            self.shift(partition, from, to);
        }
    }

    /// The shift that evens loads at the least price, unless they are even.
    fn evening(&self) -> Option<(PartitionId, NodeId, NodeId)> {
        let draft = self;
        let load = |node: &NodeId| draft.load(*node);
        let (least, most) = (self.open.iter().map(load).min()?, self.open.iter().map(load).max()?);
        if most - least <= 1 {
            return None;
        }
        let with = |wanted: usize| {
            let nodes = draft.open.iter().filter(|node| load(node) == wanted).copied();
            nodes.take(CANDIDATES_MAX).collect::<Vec<_>>()
        };
        let (fullest, emptiest) = (with(most), with(least));
        let held =
            fullest.iter().flat_map(|&from| draft.on(from).map(move |partition| (partition, from)));
        let shifts = held.flat_map(|(partition, from)| {
            let lacking = emptiest.iter().filter(move |&&to| !draft.has(partition, to));
            lacking.map(move |&to| (partition, from, to))
        });
        let best = shifts.min_by_key(|&(partition, from, to)| {
            (
                draft.copies(partition, from, to),
                draft.crowding(partition, from, to),
                draft.leads(partition, from),
                Reverse(weight(partition, to)),
            )
        });
        Some(best.expect("the fuller of two nodes has a partition that the other lacks"))
    }
}
