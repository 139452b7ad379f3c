//! What a node's standing means for placement.

use std::collections::BTreeMap;

use stead_model::{NodeId, PartitionId};

use crate::{
    observed::{Observed, PartitionView, Standing},
    settings::Settings,
    why::Seat,
};

/// The nodes, each with what placement may do with it.
#[derive(Debug)]
pub(crate) struct Census<'a> {
    observed: &'a Observed,
    settings: &'a Settings,
}

impl<'a> Census<'a> {
    pub(crate) const fn new(observed: &'a Observed, settings: &'a Settings) -> Self {
        Self { observed, settings }
    }

    pub(crate) const fn settings(&self) -> &'a Settings {
        self.settings
    }

    pub(crate) const fn partitions(&self) -> &'a BTreeMap<PartitionId, PartitionView> {
        &self.observed.partitions
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + 'a {
        self.observed.nodes.keys().copied()
    }

    pub(crate) fn standing(&self, node: NodeId) -> Standing {
        self.observed.nodes.get(&node).map_or(Standing::Removed, |view| view.standing)
    }

    pub(crate) fn zone(&self, node: NodeId) -> Option<&'a str> {
        self.observed.nodes.get(&node).and_then(|view| view.zone.as_deref())
    }

    pub(crate) fn seat(&self, node: NodeId) -> Seat {
        match self.standing(node) {
            Standing::Present => Seat::Open,
            Standing::Draining => Seat::Leaving,
            Standing::Removed => Seat::Lost,
            // A clock that jumped back makes the node gone for no time at all.
            Standing::Gone { since } => {
                let gone_ms = self.observed.now.get().saturating_sub(since.get());
                if gone_ms < self.settings.grace_ms { Seat::Waiting } else { Seat::Lost }
            }
        }
    }

    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        self.standing(node).is_live()
    }

    /// Whether a node keeps the replicas that it has.
    pub(crate) fn keeps(&self, node: NodeId) -> bool {
        match self.seat(node) {
            Seat::Open | Seat::Waiting => true,
            Seat::Leaving | Seat::Lost => false,
        }
    }

    pub(crate) fn is_open(&self, node: NodeId) -> bool {
        self.seat(node) == Seat::Open
    }

    /// Whether a node can take anything new: replicas, or leads.
    pub(crate) fn takes(&self, node: NodeId) -> bool {
        self.is_open(node) && self.has_room(node)
    }

    pub(crate) fn has_room(&self, node: NodeId) -> bool {
        self.observed.nodes.get(&node).is_none_or(|view| view.has_room)
    }

    /// How many replicas each partition is to have: as many as are wanted, or as
    /// there are nodes.
    pub(crate) fn replicas(&self) -> usize {
        let keeping = self.nodes().filter(|&node| self.keeps(node)).count();
        self.settings.replicas.get().min(keeping)
    }

    /// Whether a partition can be changed: it has a leader, and a quorum of its
    /// voters is there.
    pub(crate) fn can_change(&self, view: &PartitionView) -> bool {
        let leads = view
            .leader
            .is_some_and(|leader| self.is_live(leader) && view.voters.contains_key(&leader));
        leads && view.has_quorum && self.has_live_majority(view.voters.keys().copied())
    }

    pub(crate) fn has_live_majority(&self, voters: impl Iterator<Item = NodeId>) -> bool {
        let (mut all, mut live) = (0, 0);
        for voter in voters {
            all += 1;
            live += usize::from(self.is_live(voter));
        }
        live >= majority(all)
    }
}

/// How many of so many voters decide.
pub(crate) const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}
