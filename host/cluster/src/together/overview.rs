//! How the cluster fares, put together from what its nodes say.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use stead_gossip::Health;
use stead_model::NodeId;

use super::{
    Cluster,
    fares::Fares,
    placing::{ask_all, newest},
    wire::{Ask, Group, Told},
};
use crate::api::{
    ClusterNode, ClusterNodeHealth, ClusterPartition, ClusterStatus, PlacementView, ReplicaMove,
};

/// How long the node that places is waited for.
const PATIENCE: Duration = Duration::from_millis(800);

impl Cluster {
    /// How the cluster fares, by what all nodes say that can be asked.
    pub(super) async fn overview(&self) -> ClusterStatus {
        let Some(together) = &self.0.together else { return ClusterStatus::default() };
        let Some(cluster) = together.cluster.get() else { return ClusterStatus::default() };
        let asked = futures::future::join3(ask_all(self), self.fares_of_all(), self.planned());
        let (said, fares, planned) = asked.await;
        let groups = newest(&said);
        let mut present = self.others();
        present.insert(self.id());
        let there = |node: &NodeId| present.contains(node);
        let mut nodes = self.nodes();
        for (_, group) in groups.values() {
            for node in group.voters.iter().chain(&group.learners) {
                nodes.entry(*node).or_insert_with(|| unknown(*node));
            }
        }
        let roll = self.roll();
        // A node that is gone and has replicas is missed: those are fewer than wanted.
        let has_replicas = |node: &NodeId| {
            let mut groups = groups.values();
            groups.any(|(_, group)| group.voters.contains(node))
        };
        let goes = |node: &NodeId| roll.draining.contains(node) || roll.given_up.contains(node);
        let counts = |node: &NodeId| !goes(node) && (there(node) || has_replicas(node));
        let counted = nodes.keys().filter(|node| counts(node)).count();
        let wanted = together.replicas.min(counted).max(1);
        let mut status = ClusterStatus {
            cluster: Some(cluster.to_string()),
            replicas_set: together.replicas as u64,
            replicas_wanted: wanted as u64,
            ..ClusterStatus::default()
        };
        for (leader, group) in groups.values() {
            let takes_part = |voter: &&NodeId| {
                let stopped = |fares: &Fares| fares.stopped.contains(&group.partition);
                there(voter) && !fares.get(voter).is_some_and(stopped)
            };
            let live = group.voters.iter().filter(takes_part).count();
            status.under_replicated += u64::from(live < wanted);
            let lost = self.lost_of(group, &present);
            status.leaderless += u64::from(!group.leads || lost.is_some());
            status.lost.extend(lost);
            status.moving += u64::from(group.is_changing);
            count(&mut nodes, *leader, group, group.partition == self.count().system().get());
            let planned = planned.get(&group.partition).cloned();
            if group.partition != self.count().system().get() {
                let reason = planned.as_ref().and_then(|planned| planned.reason.clone());
                status.moves.extend(moves(group, reason.as_deref()));
            }
            status.partitions.push(partition(*leader, group, planned));
        }
        let of = |node: &NodeId| fares.get(node).cloned().unwrap_or_default();
        status.nodes = nodes
            .into_iter()
            .map(|(node, known)| ClusterNode {
                problems: of(&node).problems,
                stopped: of(&node).stopped,
                draining: roll.draining.contains(&node),
                given_up: roll.given_up.contains(&node),
                gone_since: (known.health == ClusterNodeHealth::Gone)
                    .then(|| self.gone().since(node)),
                ..known
            })
            // One that is gone and has nothing is not missed.
            .filter(|node| node.health != ClusterNodeHealth::Gone || node.votes + node.learns > 0)
            .collect();
        status
    }

    /// What placement wants, as the node that places says.
    async fn planned(&self) -> BTreeMap<u16, PlacementView> {
        let planned = match self.consensus().leader(self.count().system()) {
            Some(node) if node == self.id() => self.plan_here(),
            Some(node) => match self.ask(node, &Ask::Plan, Instant::now() + PATIENCE).await {
                Ok(Told::Plan(planned)) => planned,
                Ok(_) | Err(_) => None,
            },
            None => None,
        };
        planned.unwrap_or_default().into_iter().collect()
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
        draining: false,
        given_up: false,
        gone_since: None,
        address: None,
        ingress: None,
        zone: None,
        leads: 0,
        votes: 0,
        learns: 0,
        holds: 0,
        problems: Vec::new(),
        stopped: Vec::new(),
    }
}

/// Counts what nodes have of a group; `is_system` for the cluster's own.
fn count(
    nodes: &mut BTreeMap<NodeId, ClusterNode>,
    leader: NodeId,
    group: &Group,
    is_system: bool,
) {
    if group.leads
        && let Some(node) = nodes.get_mut(&leader)
    {
        node.leads += 1;
    }
    for voter in &group.voters {
        if let Some(node) = nodes.get_mut(voter) {
            node.votes += 1;
            node.holds += 1;
        }
    }
    for learner in &group.learners {
        if let Some(node) = nodes.get_mut(learner) {
            node.learns += 1;
            node.holds += u64::from(!is_system);
        }
    }
}

/// The replicas of a group that are on their way.
fn moves<'a>(group: &'a Group, reason: Option<&'a str>) -> impl Iterator<Item = ReplicaMove> + 'a {
    group.learners.iter().map(move |node| {
        let matched = group.matched.iter().find(|(matched, _)| matched == node);
        ReplicaMove {
            partition: group.partition,
            to: node.to_string(),
            lacks: matched
                .filter(|(_, index)| *index > 0)
                .map(|(_, index)| group.last.saturating_sub(*index)),
            of: group.last,
            reason: reason.map(str::to_owned),
        }
    })
}

fn partition(leader: NodeId, group: &Group, placement: Option<PlacementView>) -> ClusterPartition {
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
        placement,
    }
}
