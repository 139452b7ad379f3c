//! Spreading a partition's replicas over zones.

use stead_model::{NodeId, PartitionId};

use crate::draft::Draft;

/// How many shifts are weighed for one target, at most. In a cluster so large, and
/// with zones so uneven, that it is reached, some partitions stay less spread than
/// they could be.
const WEIGHED_MAX: u32 = 300_000;

/// Shifts replicas so that fewer pairs of a partition share a zone, with the nodes
/// as even as they were: to a node that holds one fewer, or in exchange for another
/// partition's replica.
///
/// Each shift leaves fewer such pairs, so this ends.
pub(crate) fn spread(draft: &mut Draft<'_>) {
    if draft.open.iter().all(|&node| draft.census.zone(node).is_none()) {
        return;
    }
    let mut budget = WEIGHED_MAX;
    loop {
        let mut shifted = false;
        for partition in draft.partitions() {
            while budget > 0
                && let Some(shift) = better(draft, partition, &mut budget)
            {
                shift.apply(draft, partition);
                shifted = true;
            }
        }
        if !shifted || budget == 0 {
            return;
        }
    }
}

struct Shift {
    from: NodeId,
    to: NodeId,
    /// What `from` is given for it.
    back: Option<PartitionId>,
}

impl Shift {
    fn apply(self, draft: &mut Draft<'_>, partition: PartitionId) {
        draft.shift(partition, self.from, self.to);
        if let Some(back) = self.back {
            draft.shift(back, self.to, self.from);
        }
    }
}

fn better(draft: &Draft<'_>, partition: PartitionId, budget: &mut u32) -> Option<Shift> {
    let crowded: Vec<_> = draft
        .set(partition)
        .filter(|&node| draft.census.is_open(node))
        .filter(|&node| draft.neighbours(partition, node, None) > 0)
        .collect();
    for from in crowded {
        for &to in draft.open.iter().filter(|&&to| !draft.has(partition, to)) {
            *budget = budget.checked_sub(1)?;
            let gain = -draft.crowding(partition, from, to);
            if gain <= 0 {
                continue;
            }
            if draft.load(from) > draft.load(to) {
                return Some(Shift { from, to, back: None });
            }
            for back in draft.on(to).filter(|&back| !draft.has(back, from)) {
                *budget = budget.checked_sub(1)?;
                if draft.crowding(back, to, from) < gain {
                    return Some(Shift { from, to, back: Some(back) });
                }
            }
        }
    }
    None
}
