//! Who holds the cluster's own partition: every node, so that each follows the
//! facts; as many of them vote as a partition has replicas.

use std::collections::{BTreeMap, BTreeSet};

use stead_model::NodeId;

use super::wire::{Group, Step};

/// How many entries a learner may lack and still be given a vote.
const LAG_MAX: u64 = 100;

/// What is known of the nodes.
pub struct Nodes {
    /// Those that are there and are to stay.
    pub present: BTreeSet<NodeId>,
    /// Those that are there and are to be emptied.
    pub draining: BTreeSet<NodeId>,
    /// Those that are gone, and whether for longer than the grace period.
    pub gone: BTreeMap<NodeId, bool>,
    /// Those whose disks have no room.
    pub full: BTreeSet<NodeId>,
}

/// The next step for the cluster's own partition, as its leader sees it.
pub fn next_step(group: &Group, node: NodeId, nodes: &Nodes, replicas: usize) -> Option<Step> {
    if group.is_changing {
        return None;
    }
    let partition = group.partition;
    let voters: BTreeSet<NodeId> = group.voters.iter().copied().collect();
    let learners: BTreeSet<NodeId> = group.learners.iter().copied().collect();
    let lost = |of: &NodeId| nodes.gone.get(of).is_some_and(|past_grace| *past_grace);
    let stays = |of: &NodeId| !lost(of) && !nodes.draining.contains(of);
    let caught_up = |of: &NodeId| {
        let matched = group.matched.iter().find(|(matched, _)| matched == of);
        matched.is_some_and(|(_, index)| index + LAG_MAX >= group.last)
    };
    if nodes.full.contains(&node) {
        let may_lead = |of: &&NodeId| nodes.present.contains(of) && !nodes.full.contains(of);
        if let Some(to) = voters.iter().filter(may_lead).find(|of| caught_up(of)) {
            return Some(Step::TransferLeader { partition, to: *to });
        }
    }
    // An even number of votes survives no more than one less. Two are an exception:
    // then everything is at least twice.
    let staying = voters.iter().filter(|voter| stays(voter)).count();
    let heirs: Vec<NodeId> =
        learners.iter().filter(|of| nodes.present.contains(of) && caught_up(of)).copied().collect();
    let possible = (staying + heirs.len()).min(replicas);
    let wanted = if possible > 2 && possible.is_multiple_of(2) { possible - 1 } else { possible };
    let mut next: BTreeSet<NodeId> = voters.iter().filter(|of| stays(of)).copied().collect();
    // Who leads goes last, after handing over.
    let keeps_last = |of: &NodeId| (*of == node, nodes.present.contains(of), *of);
    while next.len() > wanted {
        let least = next.iter().copied().min_by_key(|of| keeps_last(of))?;
        next.remove(&least);
    }
    next.extend(heirs.into_iter().take(wanted.saturating_sub(next.len())));
    if next != voters && !next.is_empty() {
        if !next.contains(&node) {
            let to = next.iter().copied().find(|of| voters.contains(of) && caught_up(of))?;
            return Some(Step::TransferLeader { partition, to });
        }
        // Whoever goes without somebody in its place leaves no smaller a quorum.
        let live = next.iter().filter(|of| !nodes.gone.contains_key(of)).count();
        if live * 2 > next.len() {
            return Some(Step::ChangeVoters { partition, voters: next.into_iter().collect() });
        }
    }
    let members: BTreeSet<NodeId> = voters.union(&learners).copied().collect();
    let live = nodes.present.union(&nodes.draining);
    if let Some(node) = live.into_iter().find(|of| !members.contains(of)).copied() {
        return Some(Step::AddLearner { partition, node });
    }
    let node = learners.iter().copied().find(lost)?;
    Some(Step::RemoveLearner { partition, node })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(nodes: &[u128]) -> Vec<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn group(voters: &[u128], learners: &[u128]) -> Group {
        let all = ids(voters).into_iter().chain(ids(learners));
        Group {
            partition: 64,
            term: 1,
            leads: true,
            voters: ids(voters),
            deciding: vec![ids(voters)],
            learners: ids(learners),
            is_changing: false,
            last: 10,
            last_term: 1,
            committed: 10,
            matched: all.map(|node| (node, 10)).collect(),
        }
    }

    fn nodes(present: &[u128], draining: &[u128], gone: &[(u128, bool)]) -> Nodes {
        Nodes {
            present: ids(present).into_iter().collect(),
            draining: ids(draining).into_iter().collect(),
            gone: gone.iter().map(|(node, past)| (NodeId(*node), *past)).collect(),
            full: BTreeSet::new(),
        }
    }

    fn next(group: &Group, nodes: &Nodes) -> Option<Step> {
        next_step(group, NodeId(1), nodes, 3)
    }

    fn change(voters: &[u128]) -> Option<Step> {
        Some(Step::ChangeVoters { partition: 64, voters: ids(voters) })
    }

    #[test]
    fn it_grows_to_all_nodes_and_three_votes() {
        let all = nodes(&[1, 2, 3, 4], &[], &[]);
        let add = |node| Some(Step::AddLearner { partition: 64, node: NodeId(node) });
        assert_eq!(next(&group(&[1], &[]), &all), add(2));
        assert_eq!(next(&group(&[1], &[2]), &all), change(&[1, 2]));
        assert_eq!(next(&group(&[1, 2], &[]), &all), add(3));
        assert_eq!(next(&group(&[1, 2], &[3]), &all), change(&[1, 2, 3]));
        assert_eq!(next(&group(&[1, 2, 3], &[]), &all), add(4));
        assert_eq!(next(&group(&[1, 2, 3], &[4]), &all), None);
    }

    #[test]
    fn who_has_no_room_hands_over_if_anybody_has() {
        let three = group(&[1, 2, 3], &[]);
        let mut full = nodes(&[1, 2, 3], &[], &[]);
        full.full = ids(&[1, 2]).into_iter().collect();
        let step = next(&three, &full);
        assert_eq!(step, Some(Step::TransferLeader { partition: 64, to: NodeId(3) }));
        full.full = ids(&[1, 2, 3]).into_iter().collect();
        assert_eq!(next(&three, &full), None);
        full.full = ids(&[2]).into_iter().collect();
        assert_eq!(next(&three, &full), None);
    }

    #[test]
    fn who_is_not_caught_up_gets_no_vote() {
        let mut behind = group(&[1], &[2]);
        behind.last = 1_000;
        behind.matched = vec![(NodeId(1), 1_000), (NodeId(2), 10)];
        assert_eq!(next(&behind, &nodes(&[1, 2], &[], &[])), None);
    }

    #[test]
    fn a_voter_that_is_lost_is_replaced_after_the_grace_period() {
        let three = group(&[1, 2, 3], &[4]);
        assert_eq!(next(&three, &nodes(&[1, 2, 4], &[], &[(3, false)])), None);
        assert_eq!(next(&three, &nodes(&[1, 2, 4], &[], &[(3, true)])), change(&[1, 2, 4]));
        let learner = group(&[1, 2, 3], &[4]);
        let lost = nodes(&[1, 2, 3], &[], &[(4, true)]);
        let gives_up = Some(Step::RemoveLearner { partition: 64, node: NodeId(4) });
        assert_eq!(next(&learner, &lost), gives_up);
    }

    #[test]
    fn a_leader_that_is_drained_hands_over_first() {
        let drained = nodes(&[2, 3, 4], &[1], &[]);
        let step = next(&group(&[1, 2, 3], &[4]), &drained);
        assert_eq!(step, Some(Step::TransferLeader { partition: 64, to: NodeId(2) }));
        let mut led_by_two = group(&[1, 2, 3], &[4]);
        led_by_two.partition = 64;
        assert_eq!(next_step(&led_by_two, NodeId(2), &drained, 3), change(&[2, 3, 4]));
    }

    #[test]
    fn nothing_is_done_while_a_change_is_under_way() {
        let mut changing = group(&[1, 2], &[3]);
        changing.is_changing = true;
        assert_eq!(next(&changing, &nodes(&[1, 2, 3], &[], &[])), None);
    }
}
