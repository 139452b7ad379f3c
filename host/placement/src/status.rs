//! The cluster in numbers and exceptions, for `stead cluster status`.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use stead_model::{NodeId, PartitionId};

use crate::{
    census::{Census, majority},
    observed::{Progress, Standing},
    step::list,
    target::Target,
    why::{Replica, Role, Seat, Urgency, Why},
};

/// The cluster in numbers and exceptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Every node that is known, and any other that has a replica.
    pub nodes: BTreeMap<NodeId, NodeLoad>,
    /// Partitions with fewer live voters than are wanted.
    pub under_replicated: Vec<UnderReplicated>,
    /// Partitions that can't decide anything until nodes return.
    pub lost_quorum: Vec<LostQuorum>,
    /// Partitions without a leader whose voters are there: they are electing.
    pub leaderless: Vec<PartitionId>,
    /// Replicas on their way.
    pub moves: Vec<Move>,
    /// Nodes that are being emptied.
    pub draining: Vec<Draining>,
}

/// What a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NodeLoad {
    /// What placement may do with it.
    pub seat: Seat,
    /// How many partitions it leads.
    pub leaders: usize,
    /// How many it votes in.
    pub voters: usize,
    /// How many it learns.
    pub learners: usize,
    /// How many replicas it should hold.
    pub target: usize,
}

/// A partition with fewer live voters than are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnderReplicated {
    /// The partition.
    pub partition: PartitionId,
    /// How many live voters it has.
    pub live: usize,
    /// How many are wanted.
    pub wanted: usize,
    /// Its voters that aren't live.
    pub missing: Vec<NodeId>,
}

/// A partition that can't decide anything until nodes return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostQuorum {
    /// The partition.
    pub partition: PartitionId,
    /// The voters that are gone and may return.
    pub waits_for: Vec<NodeId>,
    /// How many of them must return.
    pub needed: usize,
    /// The voters that were removed.
    pub removed: Vec<NodeId>,
}

/// A replica on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The partition.
    pub partition: PartitionId,
    /// Where to.
    pub to: NodeId,
    /// How far it is.
    pub progress: Progress,
    /// Why. None if it is no longer needed.
    pub urgency: Option<Urgency>,
}

/// A node that is being emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draining {
    /// The node.
    pub node: NodeId,
    /// How many partitions it still leads.
    pub leaders: usize,
    /// How many replicas it still has. At 0 it may stop for good.
    pub replicas: usize,
}

impl LostQuorum {
    /// Whether it can't come back by itself: too many of its voters were removed.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        self.needed > self.waits_for.len()
    }
}

impl Status {
    pub(crate) fn new(
        census: &Census<'_>,
        target: &Target,
        whys: &BTreeMap<PartitionId, Why>,
    ) -> Self {
        let mut status = Self::default();
        for node in census.nodes() {
            status.load(census, node);
        }
        for (_, nodes) in target.iter() {
            for &node in nodes {
                status.load(census, node).target += 1;
            }
        }
        for why in whys.values() {
            status.count(census, why);
        }
        status.draining = status
            .nodes
            .iter()
            .filter(|(_, load)| load.seat == Seat::Leaving)
            .map(|(&node, load)| Draining {
                node,
                leaders: load.leaders,
                replicas: load.voters + load.learners,
            })
            .collect();
        status
    }

    fn load(&mut self, census: &Census<'_>, node: NodeId) -> &mut NodeLoad {
        let seat = census.seat(node);
        let empty = NodeLoad { seat, leaders: 0, voters: 0, learners: 0, target: 0 };
        self.nodes.entry(node).or_insert(empty)
    }

    fn count(&mut self, census: &Census<'_>, why: &Why) {
        let partition = why.partition;
        for replica in &why.replicas {
            let load = self.load(census, replica.node);
            load.leaders += usize::from(replica.role == Role::Leader);
            match replica.role {
                Role::Leader | Role::Voter => load.voters += 1,
                Role::Learner => {
                    load.learners += 1;
                    self.moves.push(Move {
                        partition,
                        to: replica.node,
                        progress: replica.progress,
                        urgency: why.urgency.filter(|_| replica.stays),
                    });
                }
            }
        }
        let voters: Vec<_> = votes(&why.replicas).collect();
        let gone = |removed: bool| {
            let missing = voters.iter().copied().filter(|&node| !census.is_live(node));
            let those =
                missing.filter(|&node| (census.standing(node) == Standing::Removed) == removed);
            those.collect::<Vec<_>>()
        };
        let (waits_for, removed) = (gone(false), gone(true));
        let live = voters.len() - waits_for.len() - removed.len();
        let wanted = census.settings().replicas.get();
        if live < wanted {
            let missing = waits_for.iter().chain(&removed).copied().collect();
            self.under_replicated.push(UnderReplicated { partition, live, wanted, missing });
        }
        if live < majority(voters.len()) {
            let needed = majority(voters.len()) - live;
            self.lost_quorum.push(LostQuorum { partition, waits_for, needed, removed });
        } else if why.leader.is_none() {
            self.leaderless.push(partition);
        }
    }
}

fn votes(replicas: &[Replica]) -> impl Iterator<Item = NodeId> + '_ {
    replicas.iter().filter(|replica| replica.role != Role::Learner).map(|replica| replica.node)
}

impl fmt::Display for UnderReplicated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, live, wanted, missing } = self;
        write!(f, "partition {partition} has {live} of {wanted} replicas")?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; missing: {}", list(missing)) }
    }
}

impl fmt::Display for LostQuorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, waits_for, needed, removed } = self;
        write!(f, "partition {partition} has lost its quorum; ")?;
        if self.is_for_good() {
            write!(f, "too many of its nodes were removed: {}", list(removed))
        } else {
            write!(f, "it waits for {needed} of: {}", list(waits_for))
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} to node {}", self.partition, self.to.short())?;
        match self.urgency {
            Some(urgency) => write!(f, ", because {urgency}"),
            None => f.write_str(", given up"),
        }
    }
}
