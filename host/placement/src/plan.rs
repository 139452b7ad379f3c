//! The plan: everybody's next steps, within bounds.

use std::collections::BTreeMap;

use stead_model::{NodeId, PartitionId};

use crate::{
    census::Census,
    leaders::Leaders,
    next::{Group, Next},
    observed::{Change, Observed},
    settings::Settings,
    status::Status,
    step::Step,
    target::Target,
    why::{Doing, Hold, Replica, Role, Urgency, Why},
};

/// What is to be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the replicas should be. Hand it to the next plan.
    pub target: Target,
    /// What is to be done now, in order of urgency, at most one step for a
    /// partition. Empty once everything is as it should be, or has to wait.
    pub steps: Vec<Step>,
    /// The cluster in numbers and exceptions.
    pub status: Status,
    why: BTreeMap<PartitionId, Why>,
}

impl Plan {
    /// Why a partition is where it is. None if it wasn't observed.
    #[must_use]
    pub fn why(&self, partition: PartitionId) -> Option<&Why> {
        self.why.get(&partition)
    }

    /// Why each partition is where it is.
    pub fn whys(&self) -> impl Iterator<Item = &Why> {
        self.why.values()
    }
}

/// Plans the next steps. `previous` is the target of the plan before: without it,
/// as on a leader that has just come to lead, moves that were begun are finished
/// too, though perhaps in place of another replica.
///
/// The work grows with partitions × nodes when the target is made anew, and else
/// with partitions.
#[must_use]
pub fn plan(settings: &Settings, observed: &Observed, previous: Option<&Target>) -> Plan {
    let census = Census::new(observed, settings);
    let target = Target::next(&census, previous);
    let groups: BTreeMap<_, _> = census
        .partitions()
        .iter()
        .map(|(&partition, view)| {
            let nodes = target.replicas(partition).unwrap_or_default();
            (partition, Group { census: &census, partition, view, target: nodes })
        })
        .collect();
    let mut nexts: BTreeMap<_, _> =
        groups.iter().map(|(&partition, group)| (partition, group.next())).collect();

    start(&census, &groups, &mut nexts);
    let leaders = hand_over(&census, &groups, &mut nexts);

    let why: BTreeMap<_, _> = nexts
        .into_iter()
        .filter_map(|(partition, next)| {
            let group = groups.get(&partition)?;
            Some((partition, explain(group, next, leaders.get(&partition).copied())))
        })
        .collect();
    let mut steps: Vec<_> = why
        .values()
        .filter_map(|why| match &why.doing {
            Doing::Step(step) => Some((order(why, step), step.clone())),
            Doing::Settled | Doing::Changing | Doing::Copying(_) | Doing::Held(_) => None,
        })
        .collect();
    steps.sort();
    let steps = steps.into_iter().map(|(_, step)| step).collect();
    let status = Status::new(&census, &target, &why);
    Plan { target, steps, status, why }
}

/// Leaders away from where they can't stay first, then what is most urgent.
fn order(why: &Why, step: &Step) -> (u8, Option<Urgency>) {
    let rank = match step {
        Step::TransferLeader { .. } if why.urgency.is_some() => 0,
        Step::ChangeVoters { .. } | Step::RemoveLearner { .. } => 1,
        Step::AddLearner { .. } => 2,
        Step::TransferLeader { .. } => 3,
    };
    (rank, why.urgency)
}

/// Starts new replicas as far as may be, the most urgent first.
fn start(
    census: &Census<'_>,
    groups: &BTreeMap<PartitionId, Group<'_>>,
    nexts: &mut BTreeMap<PartitionId, Next>,
) {
    let settings = census.settings();
    let mut room = usize::from(settings.moves_max.get());
    let mut receiving: BTreeMap<NodeId, usize> = BTreeMap::new();
    for group in groups.values() {
        // Without a quorum nothing arrives, and what doesn't arrive must not keep
        // others from moving.
        if !census.can_change(group.view) {
            continue;
        }
        let learners = &group.view.learners;
        let unseen = group.view.change == Some(Change::Members) && learners.is_empty();
        room = room.saturating_sub(learners.len() + usize::from(unseen));
        for &node in learners.keys() {
            *receiving.entry(node).or_default() += 1;
        }
    }

    let mut wishes: Vec<_> = nexts
        .iter()
        .filter(|(_, next)| matches!(next, Next::Start { .. }))
        .filter_map(|(&partition, _)| {
            let group = groups.get(&partition)?;
            let live = group.view.voters.keys().filter(|&&voter| census.is_live(voter)).count();
            Some((group.urgency(), live, partition))
        })
        .collect();
    wishes.sort_unstable();
    for (_, _, partition) in wishes {
        let Some(next) = nexts.get_mut(&partition) else { continue };
        let Next::Start { nodes } = next else { continue };
        let per_node_max = usize::from(settings.moves_per_node_max.get());
        let free = |node: &&NodeId| receiving.get(node).copied().unwrap_or(0) < per_node_max;
        let first = nodes.iter().filter(|&&node| census.takes(node)).find(free).copied();
        *next = match first {
            Some(node) if room > 0 => {
                room -= 1;
                *receiving.entry(node).or_default() += 1;
                Next::Step(Step::AddLearner { partition, node })
            }
            Some(_) | None => Next::Held(Hold::MovesMax),
        };
    }
}

/// Spreads leaders: those that must go at once, others as far as may be. Gives who
/// should lead each partition that has nothing else to do.
fn hand_over(
    census: &Census<'_>,
    groups: &BTreeMap<PartitionId, Group<'_>>,
    nexts: &mut BTreeMap<PartitionId, Next>,
) -> BTreeMap<PartitionId, NodeId> {
    let mut leaders = Leaders::default();
    for node in census.nodes().filter(|&node| census.takes(node)) {
        leaders.know(node);
    }
    for (&partition, group) in groups {
        let leader = match group.view.change {
            Some(Change::Leader { to }) => Some(to),
            Some(Change::Members) | None => group.view.leader,
        };
        match (nexts.get(&partition), leader) {
            (Some(Next::HandOver { heirs }), _) => {
                leaders.may_lead(partition, None, heirs.clone());
            }
            (Some(Next::Settled), Some(leader)) => {
                leaders.may_lead(partition, Some(leader), group.heirs());
            }
            (_, Some(leader)) => leaders.leads(leader),
            (_, None) => {}
        }
    }
    let leaders = leaders.balanced();

    let mut room = census.settings().leader_moves_max.get();
    for (&partition, &to) in &leaders {
        let Some(next) = nexts.get_mut(&partition) else { continue };
        let Some(from) = groups.get(&partition).and_then(|group| group.view.leader) else {
            continue;
        };
        let must_go = matches!(next, Next::HandOver { .. });
        if from == to || !(must_go || room > 0) {
            continue;
        }
        room -= u16::from(!must_go);
        *next = Next::Step(Step::TransferLeader { partition, from, to });
    }
    leaders
}

fn explain(group: &Group<'_>, next: Next, leader_wanted: Option<NodeId>) -> Why {
    let Group { census, partition, view, target } = *group;
    let replica = |node, role, progress| Replica {
        node,
        role,
        seat: census.seat(node),
        stays: target.contains(&node),
        progress,
    };
    let voters = view.voters.iter().map(|(&node, &progress)| {
        let role = if view.leader == Some(node) { Role::Leader } else { Role::Voter };
        replica(node, role, progress)
    });
    let learners =
        view.learners.iter().map(|(&node, &progress)| replica(node, Role::Learner, progress));
    let doing = match next {
        Next::Settled => Doing::Settled,
        Next::Step(step) => Doing::Step(step),
        Next::Changing => Doing::Changing,
        Next::Copying(nodes) => Doing::Copying(nodes),
        Next::Held(hold) => Doing::Held(hold),
        // Both have become steps or holds; a hand-over without an heir waits.
        Next::Start { .. } => Doing::Held(Hold::MovesMax),
        Next::HandOver { .. } => Doing::Held(Hold::NoHeir),
    };
    Why {
        partition,
        leader: view.leader,
        term: view.term,
        leader_wanted,
        replicas: voters.chain(learners).collect(),
        target: target.to_vec(),
        urgency: group.urgency(),
        doing,
    }
}
