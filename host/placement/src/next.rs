//! What one partition needs next.

use std::collections::BTreeSet;

use stead_model::{NodeId, PartitionId};

use crate::{
    census::{Census, majority},
    observed::{PartitionView, Standing},
    step::Step,
    why::{Hold, Seat, Urgency},
};

/// What a partition needs next, apart from what the others need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Settled,
    /// This step.
    Step(Step),
    /// A replica on one of these nodes, the first that may be given one.
    Start { nodes: Vec<NodeId> },
    /// Its leader must go, to one of these nodes.
    HandOver { heirs: Vec<NodeId> },
    /// That a change in progress ends.
    Changing,
    /// That new replicas catch up.
    Copying(BTreeSet<NodeId>),
    /// To wait.
    Held(Hold),
}

/// One partition, and where it should be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    pub(crate) census: &'a Census<'a>,
    pub(crate) partition: PartitionId,
    pub(crate) view: &'a PartitionView,
    pub(crate) target: &'a [NodeId],
}

impl Group<'_> {
    fn stays(&self, node: NodeId) -> bool {
        self.target.contains(&node)
    }

    fn voters(&self) -> BTreeSet<NodeId> {
        self.view.voters.keys().copied().collect()
    }

    fn live(&self, voters: &BTreeSet<NodeId>) -> usize {
        voters.iter().filter(|&&voter| self.census.is_live(voter)).count()
    }

    /// Whether enough voters have become lost that the rest can't decide.
    pub(crate) fn has_lost_quorum(&self) -> bool {
        !self.census.has_live_majority(self.view.voters.keys().copied())
    }

    /// Why its replicas change, if they do.
    pub(crate) fn urgency(&self) -> Option<Urgency> {
        let seats = || self.view.voters.keys().map(|&voter| self.census.seat(voter));
        let there = seats().filter(|&seat| seat != Seat::Lost).count();
        if there < self.target.len() || seats().any(|seat| seat == Seat::Lost) {
            Some(Urgency::Repair)
        } else if seats().any(|seat| seat == Seat::Leaving) {
            Some(Urgency::Drain)
        } else if !self.incoming().is_empty() || !self.outgoing().is_empty() {
            Some(Urgency::Balance)
        } else {
            None
        }
    }

    fn incoming(&self) -> Vec<NodeId> {
        let voters = &self.view.voters;
        self.target.iter().copied().filter(|node| !voters.contains_key(node)).collect()
    }

    /// The voters that are to go, those first that are needed least.
    fn outgoing(&self) -> Vec<NodeId> {
        let mut outgoing: Vec<_> =
            self.view.voters.keys().copied().filter(|&node| !self.stays(node)).collect();
        outgoing.sort_by_key(|&node| match self.census.seat(node) {
            Seat::Lost => 0,
            Seat::Waiting => 1,
            Seat::Leaving => 2,
            Seat::Open => 3,
        });
        outgoing
    }

    /// The voters that may be handed the lead: caught up, and on nodes that stay in
    /// the cluster and have room. If any are to stay in the partition, only those.
    pub(crate) fn heirs(&self) -> Vec<NodeId> {
        let lag_max = self.census.settings().lag_entries_max;
        let able = self.view.voters.iter().filter(|&(&node, progress)| {
            let leads = self.view.leader == Some(node);
            self.census.takes(node) && (leads || progress.is_within(lag_max))
        });
        let (staying, going): (Vec<_>, Vec<_>) =
            able.map(|(&node, _)| node).partition(|&node| self.stays(node));
        if staying.is_empty() { going } else { staying }
    }

    pub(crate) fn next(&self) -> Next {
        if self.has_lost_quorum() {
            return Next::Held(Hold::LostQuorum);
        }
        let Some(leader) = self.view.leader.filter(|_| self.census.can_change(self.view)) else {
            return Next::Held(Hold::NoLeader);
        };
        if self.view.change.is_some() {
            return Next::Changing;
        }
        let leader_leaves =
            self.census.seat(leader) == Seat::Leaving || !self.census.has_room(leader);
        if leader_leaves {
            let heirs = self.heirs();
            if !heirs.is_empty() {
                return Next::HandOver { heirs };
            }
        }
        if let Some(&node) = self.view.learners.keys().find(|&&node| !self.stays(node)) {
            return Next::Step(Step::RemoveLearner { partition: self.partition, node });
        }
        if self.target.is_empty() {
            return Next::Held(Hold::NoNode);
        }
        match self.change(leader) {
            Next::Settled if leader_leaves => Next::Held(Hold::NoHeir),
            next => next,
        }
    }

    /// The membership's next step.
    fn change(&self, leader: NodeId) -> Next {
        let incoming = self.incoming();
        let (joined, absent): (Vec<_>, Vec<_>) =
            incoming.iter().copied().partition(|node| self.view.learners.contains_key(node));
        let lag_max = self.census.settings().lag_entries_max;
        let caught_up = |node: &NodeId| {
            let progress = self.view.learners.get(node).copied().unwrap_or_default();
            self.census.is_open(*node) && progress.is_within(lag_max)
        };
        let ready: Vec<_> = joined.iter().copied().filter(caught_up).collect();
        if !ready.is_empty() || incoming.is_empty() {
            return self.change_voters(leader, &ready, incoming.len() == ready.len());
        }
        if absent.is_empty() {
            return Next::Copying(joined.into_iter().collect());
        }
        if self.urgency() == Some(Urgency::Balance)
            && self.live(&self.voters()) < self.view.voters.len()
        {
            return Next::Held(Hold::VoterMissing);
        }
        Next::Start { nodes: absent }
    }

    /// Takes in who has caught up. The lost ones go at once, others as far as there
    /// are more than there are to be, and all when everybody has come.
    fn change_voters(&self, leader: NodeId, ready: &[NodeId], complete: bool) -> Next {
        let before = self.voters();
        let mut after = before.clone();
        after.extend(ready);
        let mut held = false;
        let outgoing = self.outgoing();
        let may_go = |node: NodeId, after: &BTreeSet<NodeId>| {
            complete || self.census.seat(node) == Seat::Lost || after.len() > self.target.len()
        };
        for &node in outgoing.iter().filter(|&&node| node != leader) {
            if !may_go(node, &after) || ready.is_empty() && self.is_harmless(node) {
                continue;
            }
            let mut fewer = after.clone();
            fewer.remove(&node);
            if self.is_safe(&before, &fewer) {
                after = fewer;
            } else {
                held = true;
            }
        }
        if outgoing.contains(&leader) && may_go(leader, &after) {
            let heirs = self.heirs();
            if heirs.iter().any(|&heir| self.stays(heir)) {
                return Next::HandOver { heirs };
            }
        }
        if after != before {
            assert!(self.is_safe(&before, &after), "partition {} is kept safe", self.partition);
            return Next::Step(Step::ChangeVoters { partition: self.partition, voters: after });
        }
        if held {
            Next::Held(Hold::TooFewLive)
        } else if outgoing.contains(&leader) {
            Next::Held(Hold::NoHeir)
        } else {
            Next::Settled
        }
    }

    /// Whether voters may be replaced by others at once: those decide, the leader is
    /// one of them, and no fewer are live, unless more were than there can be. And
    /// as long as one may soon return, the others don't become fewer: with it gone,
    /// they would bear less.
    fn is_safe(&self, before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>) -> bool {
        let (live_before, live) = (self.live(before), self.live(after));
        let waits = |node: &NodeId| self.census.seat(*node) == Seat::Waiting;
        live >= live_before.min(self.census.replicas())
            && live >= majority(after.len())
            && (live >= live_before || !after.iter().any(waits))
            && self.view.leader.is_some_and(|leader| after.contains(&leader))
    }

    /// Whether a voter that is gone, with no node to replace it, is better kept: no
    /// fewer could be lost without it, and when it returns it has most of the
    /// entries. One that was removed never returns.
    fn is_harmless(&self, node: NodeId) -> bool {
        let may_return = |node: NodeId| {
            self.census.seat(node) == Seat::Lost
                && matches!(self.census.standing(node), Standing::Gone { .. })
        };
        if !may_return(node) || self.target.len() >= self.census.settings().replicas.get() {
            return false;
        }
        let gone = self.view.voters.keys().filter(|&&voter| may_return(voter)).count();
        let staying = self.view.voters.len() - self.outgoing().len() + gone;
        majority(staying) == majority(staying - gone)
    }
}
