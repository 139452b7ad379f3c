//! Who should lead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stead_model::{NodeId, PartitionId};

use crate::weight::weight;

/// Leaders to be spread evenly over nodes, moving few.
#[derive(Debug, Default)]
pub(crate) struct Leaders {
    leads: BTreeMap<NodeId, BTreeSet<PartitionId>>,
    fixed: BTreeMap<NodeId, usize>,
    leader: BTreeMap<PartitionId, NodeId>,
    candidates: BTreeMap<PartitionId, Vec<NodeId>>,
    unled: BTreeSet<PartitionId>,
}

impl Leaders {
    /// A node that may lead.
    pub(crate) fn know(&mut self, node: NodeId) {
        self.leads.entry(node).or_default();
    }

    /// A partition that a node leads, and which is left alone.
    pub(crate) fn leads(&mut self, node: NodeId) {
        *self.fixed.entry(node).or_default() += 1;
    }

    /// A partition that one of some nodes may lead. If it has a leader that isn't
    /// one of them, it is moved.
    pub(crate) fn may_lead(
        &mut self,
        partition: PartitionId,
        leader: Option<NodeId>,
        candidates: Vec<NodeId>,
    ) {
        match leader.filter(|leader| candidates.contains(leader)) {
            Some(leader) => self.give(partition, leader),
            None => _ = self.unled.insert(partition),
        }
        self.candidates.insert(partition, candidates);
    }

    fn give(&mut self, partition: PartitionId, node: NodeId) {
        if let Some(before) = self.leader.insert(partition, node)
            && let Some(leads) = self.leads.get_mut(&before)
        {
            leads.remove(&partition);
        }
        self.leads.entry(node).or_default().insert(partition);
    }

    fn load(&self, node: NodeId) -> usize {
        self.fixed.get(&node).copied().unwrap_or(0) + self.leads.get(&node).map_or(0, BTreeSet::len)
    }

    fn candidates(&self, partition: PartitionId) -> impl Iterator<Item = NodeId> + '_ {
        self.candidates.get(&partition).into_iter().flatten().copied()
    }

    /// Who should lead each partition that isn't left alone and has candidates, as
    /// evenly as the candidates allow.
    ///
    /// As long as a node could, by way of others, pass a leader on to one that leads
    /// at least two fewer, it does; when none can, no other choice is more even.
    pub(crate) fn balanced(mut self) -> BTreeMap<PartitionId, NodeId> {
        for partition in std::mem::take(&mut self.unled) {
            let heir = self
                .candidates(partition)
                .min_by_key(|&node| (self.load(node), std::cmp::Reverse(weight(partition, node))));
            if let Some(heir) = heir {
                self.give(partition, heir);
            }
        }
        while let Some(path) = self.path() {
            for (partition, node) in path {
                self.give(partition, node);
            }
        }
        self.leader
    }

    fn path(&self) -> Option<Vec<(PartitionId, NodeId)>> {
        let least = self.leads.keys().map(|&node| self.load(node)).min()?;
        let mut fullest: Vec<_> =
            self.leads.keys().copied().filter(|&node| self.load(node) >= least + 2).collect();
        fullest.sort_by_key(|&node| std::cmp::Reverse(self.load(node)));
        fullest.into_iter().find_map(|from| self.path_from(from))
    }

    /// The shortest way from a node to one that leads at least two fewer.
    fn path_from(&self, start: NodeId) -> Option<Vec<(PartitionId, NodeId)>> {
        let mut came_by: BTreeMap<NodeId, (PartitionId, NodeId)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            for &partition in self.leads.get(&from).into_iter().flatten() {
                for to in self.candidates(partition) {
                    if to == start || came_by.contains_key(&to) {
                        continue;
                    }
                    came_by.insert(to, (partition, from));
                    if self.load(to) + 2 > self.load(start) {
                        queue.push_back(to);
                        continue;
                    }
                    let mut path = Vec::new();
                    let mut at = to;
                    while let Some(&(partition, from)) = came_by.get(&at) {
                        path.push((partition, at));
                        at = from;
                    }
                    return Some(path);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(leaders: &BTreeMap<PartitionId, NodeId>) -> BTreeMap<NodeId, usize> {
        let mut loads = BTreeMap::new();
        for &node in leaders.values() {
            *loads.entry(node).or_default() += 1;
        }
        loads
    }

    #[test]
    fn even_leaders_stay_where_they_are() {
        let mut leaders = Leaders::default();
        let nodes: Vec<_> = (1..=3).map(NodeId).collect();
        nodes.iter().for_each(|&node| leaders.know(node));
        for partition in 0..7 {
            let leader = nodes[usize::from(partition) % 3];
            leaders.may_lead(PartitionId(partition), Some(leader), nodes.clone());
        }
        for (partition, leader) in leaders.balanced() {
            assert_eq!(leader, nodes[usize::from(partition.get()) % 3]);
        }
    }

    /// Node 1 leads all, and shares no partition with node 3: node 2 passes on.
    #[test]
    fn a_lead_is_passed_on_through_nodes_in_between() {
        let mut leaders = Leaders::default();
        let [one, two, three] = [1, 2, 3].map(NodeId);
        [one, two, three].into_iter().for_each(|node| leaders.know(node));
        for partition in 0..4 {
            leaders.may_lead(PartitionId(partition), Some(one), vec![one, two]);
        }
        for partition in 4..6 {
            leaders.may_lead(PartitionId(partition), Some(two), vec![two, three]);
        }
        let balanced = leaders.balanced();
        assert_eq!(loads(&balanced), [(one, 2), (two, 2), (three, 2)].into());
    }

    #[test]
    fn what_is_left_alone_counts() {
        let mut leaders = Leaders::default();
        let [one, two] = [1, 2].map(NodeId);
        leaders.know(one);
        leaders.know(two);
        (0..3).for_each(|_| leaders.leads(one));
        for partition in 0..3 {
            leaders.may_lead(PartitionId(partition), None, vec![one, two]);
        }
        assert_eq!(loads(&leaders.balanced()), [(two, 3)].into());
    }
}
