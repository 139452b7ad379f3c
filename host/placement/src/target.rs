//! Where the replicas should be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_model::{NodeId, PartitionId};

use crate::{
    census::Census, draft::Draft, leaders::Leaders, observed::Observed, settings::Settings,
    weight::weight, why::Seat, zones,
};

/// Where each partition's replicas should be. Kept from one plan to the next, so
/// that what was begun is finished; it may be written down too. Losing it costs no
/// more than some copies made twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    basis: Basis,
    replicas: BTreeMap<PartitionId, Vec<NodeId>>,
}

/// What a target was made for. It holds as long as this does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Basis {
    replicas: usize,
    nodes: BTreeMap<NodeId, (Seat, Option<String>)>,
}

impl Basis {
    fn new(census: &Census<'_>) -> Self {
        // Lost nodes are left out: that one is forgotten at last changes nothing.
        let nodes = census
            .nodes()
            .filter(|&node| census.seat(node) != Seat::Lost)
            .map(|node| (node, (census.seat(node), census.zone(node).map(str::to_owned))))
            .collect();
        Self { replicas: census.settings().replicas.get(), nodes }
    }

    fn seat(&self, node: NodeId) -> Seat {
        self.nodes.get(&node).map_or(Seat::Lost, |(seat, _)| *seat)
    }
}

impl Target {
    /// Where a cluster's first replicas should be, when no partition has any.
    #[must_use]
    pub fn initial(settings: &Settings, observed: &Observed) -> Self {
        let census = Census::new(observed, settings);
        let held = settings.partitions.all().map(|partition| (partition, Vec::new())).collect();
        Self::make(&census, held)
    }

    /// Where the replicas of the partitions that were observed should be, given
    /// where they are. `previous` is the target of the plan before, if known.
    #[must_use]
    pub fn from_observed(
        settings: &Settings,
        observed: &Observed,
        previous: Option<&Self>,
    ) -> Self {
        let census = Census::new(observed, settings);
        Self::next(&census, previous)
    }

    pub(crate) fn next(census: &Census<'_>, previous: Option<&Self>) -> Self {
        if let Some(previous) = previous
            && previous.basis == Basis::new(census)
            && census.partitions().keys().all(|known| previous.replicas.contains_key(known))
        {
            return previous.clone();
        }
        let mut held: BTreeMap<_, _> =
            previous.map(|previous| previous.replicas.clone()).unwrap_or_default();
        for node_list in held.values_mut() {
            node_list.retain(|&node| census.keeps(node));
        }
        let replicas = census.replicas();
        for (&partition, view) in census.partitions() {
            let mut holders: Vec<_> = view
                .voters
                .keys()
                .chain(view.learners.keys())
                .copied()
                .filter(|&node| census.keeps(node))
                .collect();
            holders.sort_unstable();
            holders.dedup();
            if holders.len() > replicas
                && let Some(previous) = previous
            {
                previous.settle(partition, census, &mut holders, replicas);
            }
            held.insert(partition, holders);
        }
        Self::make(census, held)
    }

    /// Of more holders than are needed, those that a move begun under this target
    /// leaves.
    fn settle(
        &self,
        partition: PartitionId,
        census: &Census<'_>,
        holders: &mut Vec<NodeId>,
        replicas: usize,
    ) {
        let Some(chosen) = self.replicas.get(&partition) else { return };
        let Some(view) = census.partitions().get(&partition) else { return };
        let outgoing: Vec<_> =
            holders.iter().copied().filter(|node| !chosen.contains(node)).collect();
        let returned = |node: NodeId| {
            matches!(self.basis.seat(node), Seat::Lost | Seat::Leaving)
                && view.voters.contains_key(&node)
        };
        let mut dropped = outgoing.clone();
        if outgoing.iter().any(|&node| returned(node)) {
            // The one that was to be replaced is back to stay. Its replacement is
            // given up unless it is there already.
            let lag_max = census.settings().lag_entries_max;
            dropped = view
                .learners
                .iter()
                .filter(|(_, progress)| !progress.is_within(lag_max))
                .map(|(&node, _)| node)
                .collect();
        }
        for node in dropped {
            if holders.len() > replicas {
                holders.retain(|&holder| holder != node);
            }
        }
    }

    fn make(census: &Census<'_>, held: BTreeMap<PartitionId, Vec<NodeId>>) -> Self {
        let mut draft = Draft::new(census, held);
        draft.drop_surplus();
        draft.fill();
        draft.balance();
        zones::spread(&mut draft);
        let replicas = draft
            .into_sets()
            .into_iter()
            .map(|(partition, set)| {
                let mut nodes: Vec<_> = set.into_iter().collect();
                nodes.sort_by_key(|&node| std::cmp::Reverse(weight(partition, node)));
                (partition, nodes)
            })
            .collect();
        Self { basis: Basis::new(census), replicas }
    }

    /// A partition's replicas, the one that it is drawn to most first. None if it
    /// wasn't known when the target was made.
    #[must_use]
    pub fn replicas(&self, partition: PartitionId) -> Option<&[NodeId]> {
        self.replicas.get(&partition).map(Vec::as_slice)
    }

    /// All partitions, each with its replicas.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, &[NodeId])> {
        self.replicas.iter().map(|(&partition, nodes)| (partition, nodes.as_slice()))
    }

    /// Who should lead each partition if none had a leader yet: spread evenly. A
    /// partition with no replicas has none.
    #[must_use]
    pub fn first_leaders(&self) -> BTreeMap<PartitionId, NodeId> {
        let mut leaders = Leaders::default();
        for &node in self.basis.nodes.keys() {
            leaders.know(node);
        }
        for (partition, nodes) in self.iter() {
            leaders.may_lead(partition, None, nodes.to_vec());
        }
        leaders.balanced()
    }
}
