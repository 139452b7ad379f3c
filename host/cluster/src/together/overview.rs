//! How the cluster fares, put together from what its nodes say.

use std::collections::{BTreeMap, BTreeSet};

use stead_gossip::Health;
use stead_model::NodeId;

use super::{
    Cluster,
    placing::{ask_all, newest},
    wire::Group,
};
use crate::api::{ClusterNode, ClusterNodeHealth, ClusterPartition, ClusterStatus};

impl Cluster {
    /// How the cluster fares, by what all nodes say that can be asked.
    pub(super) async fn overview(&self) -> ClusterStatus {
        let Some(together) = &self.0.together else { return ClusterStatus::default() };
        let Some(cluster) = together.cluster.get() else { return ClusterStatus::default() };
        let groups = newest(&ask_all(self).await);
        let there = |node: &NodeId| *node == self.id() || self.others().contains(node);
        let mut nodes = self.nodes();
        for (_, group) in groups.values() {
            for node in group.voters.iter().chain(&group.learners) {
                nodes.entry(*node).or_insert_with(|| unknown(*node));
            }
        }
        let present = nodes.keys().filter(|node| there(node)).count();
        let wanted = together.replicas.min(present).max(1);
        let mut status = ClusterStatus {
            cluster: Some(cluster.to_string()),
            replicas_wanted: wanted as u64,
            ..ClusterStatus::default()
        };
        for (leader, group) in groups.values() {
            let live = group.voters.iter().filter(|voter| there(voter)).count();
            status.under_replicated += u64::from(live < wanted);
            status.leaderless += u64::from(!group.leads);
            status.moving += u64::from(group.is_changing);
            count(&mut nodes, *leader, group);
            status.partitions.push(partition(*leader, group));
        }
        status.nodes = nodes.into_values().collect();
        status
    }

    fn nodes(&self) -> BTreeMap<NodeId, ClusterNode> {
        let members = self.gossip().members();
        let others = members.members.iter().map(|member| (&member.identity, member.health));
        let own = std::iter::once((&members.own, Health::Alive));
        own.chain(others)
            .map(|(identity, health)| {
                let health = match health {
                    Health::Down => ClusterNodeHealth::Gone,
                    _ if self.gone().is_gone(identity.node) => ClusterNodeHealth::Gone,
                    Health::Alive => ClusterNodeHealth::Present,
                    Health::Suspect => ClusterNodeHealth::Suspect,
                };
                let node = ClusterNode {
                    health,
                    asked: identity.node == self.id(),
                    address: Some(identity.peer.to_string()),
                    ingress: Some(identity.ingress.to_string()),
                    zone: Some(identity.zone.as_str().to_owned()).filter(|zone| !zone.is_empty()),
                    ..unknown(identity.node)
                };
                (identity.node, node)
            })
            .collect()
    }
}

/// A node of which only partitions know.
fn unknown(node: NodeId) -> ClusterNode {
    ClusterNode {
        node: node.to_string(),
        health: ClusterNodeHealth::Gone,
        asked: false,
        address: None,
        ingress: None,
        zone: None,
        leads: 0,
        votes: 0,
        learns: 0,
    }
}

fn count(nodes: &mut BTreeMap<NodeId, ClusterNode>, leader: NodeId, group: &Group) {
    if group.leads
        && let Some(node) = nodes.get_mut(&leader)
    {
        node.leads += 1;
    }
    for voter in &group.voters {
        if let Some(node) = nodes.get_mut(voter) {
            node.votes += 1;
        }
    }
    for learner in &group.learners {
        if let Some(node) = nodes.get_mut(learner) {
            node.learns += 1;
        }
    }
}

fn partition(leader: NodeId, group: &Group) -> ClusterPartition {
    let members: BTreeSet<NodeId> = group.voters.iter().chain(&group.learners).copied().collect();
    let lacks = |(node, matched): &(NodeId, u64)| {
        let behind = group.last.saturating_sub(*matched);
        (behind > 0 && members.contains(node)).then(|| (node.to_string(), behind))
    };
    ClusterPartition {
        partition: group.partition,
        leader: group.leads.then(|| leader.to_string()),
        term: group.term,
        last: group.last,
        voters: group.voters.iter().map(NodeId::to_string).collect(),
        learners: group.learners.iter().map(NodeId::to_string).collect(),
        is_changing: group.is_changing,
        behind: group.matched.iter().filter_map(lacks).collect(),
    }
}
