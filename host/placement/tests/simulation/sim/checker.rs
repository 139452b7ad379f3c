//! The rules that every plan keeps, written down apart from the planner.

use std::collections::{BTreeMap, BTreeSet};

use stead_model::{NodeId, PartitionId};
use stead_placement::{Observed, PartitionView, Settings, Standing, Step};

fn is_live(observed: &Observed, node: NodeId) -> bool {
    let standing = observed.nodes.get(&node).map(|view| view.standing);
    matches!(standing, Some(Standing::Present | Standing::Draining))
}

fn is_present(observed: &Observed, node: NodeId) -> bool {
    observed.nodes.get(&node).is_some_and(|view| view.standing == Standing::Present)
}

fn is_staying(settings: &Settings, observed: &Observed, node: NodeId) -> bool {
    match observed.nodes.get(&node).map(|view| view.standing) {
        Some(Standing::Present) => true,
        Some(Standing::Gone { since }) => {
            observed.now.get().saturating_sub(since.get()) < settings.grace_ms
        }
        Some(Standing::Draining | Standing::Removed) | None => false,
    }
}

fn live(observed: &Observed, voters: &BTreeSet<NodeId>) -> usize {
    voters.iter().filter(|&&voter| is_live(observed, voter)).count()
}

fn decides(observed: &Observed, voters: &BTreeSet<NodeId>) -> bool {
    live(observed, voters) * 2 > voters.len()
}

/// Whether a plan's steps keep all rules.
pub fn check(settings: &Settings, observed: &Observed, steps: &[Step]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for step in steps {
        let partition = step.partition();
        if !seen.insert(partition) {
            return Err(format!("two steps for one partition: {step}"));
        }
        let Some(view) = observed.partitions.get(&partition) else {
            return Err(format!("a step for an unknown partition: {step}"));
        };
        one(settings, observed, view, step).map_err(|why| format!("{why}: {step}"))?;
    }
    bounds(settings, observed, steps)
}

fn one(
    settings: &Settings,
    observed: &Observed,
    view: &PartitionView,
    step: &Step,
) -> Result<(), String> {
    let fail = |why: &str| Err(why.to_owned());
    let before: BTreeSet<_> = view.voters.keys().copied().collect();
    let lag_max = settings.lag_entries_max;
    let staying = observed.nodes.keys().filter(|&&node| is_staying(settings, observed, node));
    let wanted = settings.replicas.get().min(staying.count());
    if !decides(observed, &before) || !view.has_quorum {
        return fail("a step without a quorum");
    }
    if view.change.is_some() {
        return fail("a step amid a change");
    }
    let Some(leader) = view.leader else { return fail("a step without a leader") };
    match step {
        Step::AddLearner { node, .. } => {
            if !is_present(observed, *node) {
                return fail("a replica for a node that takes none");
            }
            if before.contains(node) || view.learners.contains_key(node) {
                return fail("a replica where there is one");
            }
        }
        Step::RemoveLearner { node, .. } => {
            if !view.learners.contains_key(node) {
                return fail("no such learner");
            }
        }
        Step::ChangeVoters { voters, .. } => {
            if *voters == before {
                return fail("nothing changes");
            }
            if !decides(observed, voters) {
                return fail("a majority that isn't live");
            }
            if !voters.contains(&leader) {
                return fail("the leader is put out");
            }
            for node in voters.difference(&before) {
                let progress = view.learners.get(node);
                if !progress.is_some_and(|progress| progress.is_within(lag_max)) {
                    return fail("a voter that hasn't caught up");
                }
                if !is_present(observed, *node) {
                    return fail("a voter on a node that takes none");
                }
            }
            if live(observed, voters) < live(observed, &before).min(wanted) {
                return fail("less redundancy");
            }
        }
        Step::TransferLeader { from, to, .. } => {
            if *from != leader || from == to {
                return fail("not from the leader to another");
            }
            let progress = view.voters.get(to);
            if !progress.is_some_and(|progress| progress.is_within(lag_max)) {
                return fail("a leader that isn't a caught-up voter");
            }
            if !is_present(observed, *to) {
                return fail("a leader on a node that takes none");
            }
        }
    }
    Ok(())
}

fn bounds(settings: &Settings, observed: &Observed, steps: &[Step]) -> Result<(), String> {
    let mut moving: BTreeSet<(PartitionId, NodeId)> = BTreeSet::new();
    for (&partition, view) in &observed.partitions {
        let voters = view.voters.keys().copied().collect();
        if decides(observed, &voters) && view.has_quorum && view.leader.is_some() {
            moving.extend(view.learners.keys().map(|&node| (partition, node)));
        }
    }
    let mut to: BTreeMap<NodeId, usize> = BTreeMap::new();
    for &(_, node) in &moving {
        *to.entry(node).or_default() += 1;
    }
    for step in steps {
        let Step::AddLearner { partition, node } = step else { continue };
        moving.insert((*partition, *node));
        let here = to.entry(*node).or_default();
        *here += 1;
        if *here > usize::from(settings.moves_per_node_max.get()) {
            return Err(format!("too many moves to one node: {step}"));
        }
        if moving.len() > usize::from(settings.moves_max.get()) {
            return Err(format!("too many moves: {step}"));
        }
    }
    Ok(())
}
