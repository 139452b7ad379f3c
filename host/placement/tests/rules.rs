//! One rule each, on a partition or two.

use std::collections::{BTreeMap, BTreeSet};

use stead_model::{NodeId, PartitionCount, PartitionId, Term, TimestampMs};
use stead_placement::{
    Change, Doing, Hold, NodeView, Observed, PartitionView, Plan, Progress, Replicas, Seat,
    Settings, Standing, Step, Urgency, plan,
};

const NOW: u64 = 1_000_000;
const P: PartitionId = PartitionId(0);

const PRESENT: Standing = Standing::Present;
const DRAINING: Standing = Standing::Draining;
const REMOVED: Standing = Standing::Removed;
const AWAY: Standing = Standing::Gone { since: TimestampMs(NOW - 9_999) };
const LOST: Standing = Standing::Gone { since: TimestampMs(NOW - 10_000) };

fn node(number: u128) -> NodeId {
    NodeId(number << 96)
}

fn nodes(numbers: &[u128]) -> BTreeSet<NodeId> {
    numbers.iter().copied().map(node).collect()
}

fn settings(replicas: u8) -> Settings {
    Settings {
        replicas: Replicas::try_from(replicas).expect("a number of replicas"),
        partitions: PartitionCount::new(1).expect("a count"),
        ..Settings::default()
    }
}

/// Nodes 1, 2, … with these standings, and one partition that node 1 leads.
fn observed(standings: &[Standing], voters: &[u128], learners: &[(u128, u64)]) -> Observed {
    let view = |standing: &Standing| NodeView::new(*standing, None);
    let partition = PartitionView {
        voters: voters.iter().map(|&voter| (node(voter), Progress::Behind(0))).collect(),
        learners: learners
            .iter()
            .map(|&(node_, lag)| (node(node_), Progress::Behind(lag)))
            .collect(),
        leader: voters.first().copied().map(node),
        term: Term(3),
        change: None,
        has_quorum: true,
    };
    Observed {
        nodes: (1..).map(node).zip(standings.iter().map(view)).collect(),
        partitions: [(P, partition)].into(),
        now: TimestampMs(NOW),
    }
}

fn of(observed: &mut Observed) -> &mut PartitionView {
    observed.partitions.get_mut(&P).expect("the partition")
}

fn planned(replicas: u8, observed: &Observed) -> Plan {
    plan(&settings(replicas), observed, None)
}

fn doing(replicas: u8, observed: &Observed) -> Doing {
    planned(replicas, observed).why(P).expect("the partition").doing.clone()
}

fn adds(number: u128) -> Doing {
    Doing::Step(Step::AddLearner { partition: P, node: node(number) })
}

fn changes(numbers: &[u128]) -> Doing {
    Doing::Step(Step::ChangeVoters { partition: P, voters: nodes(numbers) })
}

fn hands(from: u128, to: u128) -> Doing {
    Doing::Step(Step::TransferLeader { partition: P, from: node(from), to: node(to) })
}

#[test]
fn one_that_is_as_it_should_be_is_left_alone() {
    let observed = observed(&[PRESENT; 3], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &observed), Doing::Settled);
    assert!(planned(3, &observed).steps.is_empty());
}

#[test]
fn two_nodes_hold_two_voters() {
    assert_eq!(doing(3, &observed(&[PRESENT; 2], &[1], &[])), adds(2));
    assert_eq!(doing(3, &observed(&[PRESENT; 2], &[1], &[(2, 0)])), changes(&[1, 2]));
    assert_eq!(doing(3, &observed(&[PRESENT; 2], &[1, 2], &[])), Doing::Settled);
}

#[test]
fn the_third_node_makes_three() {
    assert_eq!(doing(3, &observed(&[PRESENT; 3], &[1, 2], &[])), adds(3));
}

#[test]
fn a_learner_votes_once_it_has_caught_up() {
    let far = observed(&[PRESENT; 3], &[1, 2], &[(3, 1_001)]);
    assert_eq!(doing(3, &far), Doing::Copying(nodes(&[3])));
    let near = observed(&[PRESENT; 3], &[1, 2], &[(3, 1_000)]);
    assert_eq!(doing(3, &near), changes(&[1, 2, 3]));
    let mut unknown = near;
    of(&mut unknown).learners = [(node(3), Progress::Unknown)].into();
    assert_eq!(doing(3, &unknown), Doing::Copying(nodes(&[3])));
}

#[test]
fn a_full_disk_leads_nothing_that_another_can_lead_and_gets_nothing() {
    let mut full = observed(&[PRESENT; 3], &[1, 2, 3], &[]);
    let room = |observed: &mut Observed, number: u128, has: bool| {
        observed.nodes.get_mut(&node(number)).expect("it").has_room = has;
    };
    room(&mut full, 1, false);
    room(&mut full, 2, false);
    assert_eq!(doing(3, &full), hands(1, 3));
    // Its replica stays where it is.
    assert_eq!(planned(3, &full).target.replicas(P).map(<[_]>::len), Some(3));
    room(&mut full, 3, false);
    assert_eq!(doing(3, &full), Doing::Held(Hold::NoHeir));
    let mut target = observed(&[PRESENT; 3], &[1, 2], &[]);
    room(&mut target, 3, false);
    assert_eq!(doing(3, &target), Doing::Held(Hold::MovesMax), "it waits for room there");
    room(&mut target, 3, true);
    assert_eq!(doing(3, &target), adds(3));
}

#[test]
fn nothing_is_made_again_within_the_grace_period() {
    let away = observed(&[PRESENT, PRESENT, AWAY, PRESENT], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &away), Doing::Settled);
    let lost = observed(&[PRESENT, PRESENT, LOST, PRESENT], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &lost), adds(4));
    assert_eq!(planned(3, &lost).why(P).expect("it").urgency, Some(Urgency::Repair));
}

#[test]
fn a_clock_that_jumped_back_ends_no_grace_period() {
    let gone = Standing::Gone { since: TimestampMs(NOW + 60_000) };
    let away = observed(&[PRESENT, PRESENT, gone, PRESENT], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &away), Doing::Settled);
}

#[test]
fn the_new_replica_and_the_lost_one_change_in_one_step() {
    let ready = observed(&[PRESENT, PRESENT, LOST, PRESENT], &[1, 2, 3], &[(4, 0)]);
    assert_eq!(doing(3, &ready), changes(&[1, 2, 4]));
    let removed = observed(&[PRESENT, PRESENT, REMOVED, PRESENT], &[1, 2, 3], &[(4, 0)]);
    assert_eq!(doing(3, &removed), changes(&[1, 2, 4]));
}

#[test]
fn an_unknown_node_counts_as_removed() {
    let unknown = observed(&[PRESENT; 2], &[1, 2, 9], &[]);
    assert_eq!(doing(3, &unknown), changes(&[1, 2]));
}

#[test]
fn a_lost_voter_goes_without_replacement_only_if_that_helps() {
    let kept = observed(&[PRESENT, PRESENT, LOST], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &kept), Doing::Settled);
    let removed = observed(&[PRESENT, PRESENT, REMOVED], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &removed), changes(&[1, 2]));
    let two = observed(&[PRESENT, PRESENT, PRESENT, LOST, LOST], &[1, 2, 3, 4, 5], &[]);
    assert_eq!(doing(5, &two), changes(&[1, 2, 3]));
    let not_wanted = observed(&[PRESENT, PRESENT, PRESENT, LOST], &[1, 2, 3, 4], &[]);
    assert_eq!(doing(3, &not_wanted), changes(&[1, 2, 3]));
}

#[test]
fn nothing_is_done_without_a_quorum() {
    let gone = observed(&[PRESENT, LOST, LOST, PRESENT, PRESENT], &[1, 2, 3], &[(4, 0)]);
    assert_eq!(doing(3, &gone), Doing::Held(Hold::LostQuorum));
    let plan = planned(3, &gone);
    let lost = plan.status.lost_quorum.first().expect("one");
    assert_eq!((lost.needed, lost.is_for_good()), (1, false));
    assert_eq!(lost.waits_for, [node(2), node(3)]);
    assert_eq!(
        lost.to_string(),
        "partition 0 has lost its quorum; it waits for 1 of: 00000002, 00000003"
    );

    let mut unheard = observed(&[PRESENT; 4], &[1, 2], &[(3, 0)]);
    of(&mut unheard).has_quorum = false;
    assert_eq!(doing(3, &unheard), Doing::Held(Hold::NoLeader));
    let mut leaderless = observed(&[PRESENT; 4], &[1, 2], &[(3, 0)]);
    of(&mut leaderless).leader = None;
    assert_eq!(doing(3, &leaderless), Doing::Held(Hold::NoLeader));
    assert_eq!(planned(3, &leaderless).status.leaderless, [P]);
}

#[test]
fn a_quorum_that_was_removed_is_lost_for_good() {
    let gone = observed(&[PRESENT, REMOVED, REMOVED], &[1, 2, 3], &[]);
    let plan = planned(3, &gone);
    let lost = plan.status.lost_quorum.first().expect("one");
    assert!(lost.is_for_good());
    assert_eq!(
        lost.to_string(),
        "partition 0 has lost its quorum; too many of its nodes were removed: 00000002, 00000003"
    );
}

#[test]
fn nothing_is_done_amid_a_change() {
    let mut changing = observed(&[PRESENT, PRESENT, DRAINING, PRESENT], &[3, 1, 2], &[(4, 0)]);
    of(&mut changing).change = Some(Change::Members);
    assert_eq!(doing(3, &changing), Doing::Changing);
}

#[test]
fn a_draining_node_hands_over_first() {
    let leads = observed(&[DRAINING, PRESENT, PRESENT, PRESENT], &[1, 2, 3], &[(4, 0)]);
    let Doing::Step(Step::TransferLeader { from, to, .. }) = doing(3, &leads) else {
        panic!("{:?}", doing(3, &leads));
    };
    assert_eq!(from, node(1));
    assert!(nodes(&[2, 3]).contains(&to));
}

#[test]
fn only_a_caught_up_voter_on_an_open_node_is_handed_the_lead() {
    let mut leads = observed(&[DRAINING, PRESENT, PRESENT, AWAY, DRAINING], &[1, 2, 3, 4, 5], &[]);
    of(&mut leads).voters.insert(node(2), Progress::Behind(1_001));
    assert_eq!(doing(5, &leads), hands(1, 3));
    of(&mut leads).voters.insert(node(3), Progress::Unknown);
    assert_eq!(doing(5, &leads), Doing::Held(Hold::TooFewLive));
}

#[test]
fn a_drained_replica_is_replaced_before_it_goes() {
    let standings = [PRESENT, PRESENT, DRAINING, PRESENT];
    assert_eq!(doing(3, &observed(&standings, &[1, 2, 3], &[])), adds(4));
    let copying = observed(&standings, &[1, 2, 3], &[(4, 5_000)]);
    assert_eq!(doing(3, &copying), Doing::Copying(nodes(&[4])));
    assert_eq!(doing(3, &observed(&standings, &[1, 2, 3], &[(4, 0)])), changes(&[1, 2, 4]));
    let why = planned(3, &copying).why(P).expect("it").clone();
    assert_eq!(why.urgency, Some(Urgency::Drain));
}

#[test]
fn two_lost_voters_go_when_the_first_replacement_comes() {
    let standings = [PRESENT, PRESENT, PRESENT, LOST, LOST, PRESENT, PRESENT];
    let one = observed(&standings, &[1, 2, 3, 4, 5], &[(6, 0), (7, 9_000)]);
    assert_eq!(doing(5, &one), changes(&[1, 2, 3, 6]));
}

#[test]
fn one_with_too_few_replicas_lets_go_of_none_that_lives() {
    let standings = [PRESENT, DRAINING, PRESENT, PRESENT, PRESENT];
    let few = observed(&standings, &[1, 2], &[(3, 0), (4, 9_000), (5, 9_000)]);
    assert_eq!(doing(5, &few), changes(&[1, 2, 3]));
    let enough = observed(&standings, &[1, 2], &[(3, 0), (4, 9_000)]);
    assert_eq!(doing(3, &enough), changes(&[1, 2, 3]));
    let more = observed(&standings, &[1, 2, 3], &[(4, 0)]);
    assert_eq!(doing(3, &more), changes(&[1, 3, 4]));
}

#[test]
fn a_node_drains_though_none_can_replace_it() {
    let drained = observed(&[PRESENT, PRESENT, DRAINING], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &drained), changes(&[1, 2]));
}

#[test]
fn a_drain_waits_for_one_that_may_return() {
    let fragile = observed(&[PRESENT, AWAY, DRAINING], &[1, 2, 3], &[]);
    assert_eq!(doing(3, &fragile), Doing::Held(Hold::TooFewLive));
    let alone = observed(&[PRESENT, AWAY, DRAINING], &[1, 3], &[]);
    assert_eq!(doing(3, &alone), Doing::Held(Hold::TooFewLive));
}

#[test]
fn the_last_node_stays_where_it_is_though_it_drains() {
    let last = observed(&[DRAINING], &[1], &[]);
    assert_eq!(doing(3, &last), Doing::Held(Hold::NoNode));
}

/// With one replica the new one votes beside the old, takes the lead, and then the
/// old one goes: never is there none.
#[test]
fn a_sole_replica_moves_by_way_of_two() {
    let standings = [DRAINING, PRESENT];
    assert_eq!(doing(1, &observed(&standings, &[1], &[])), adds(2));
    assert_eq!(doing(1, &observed(&standings, &[1], &[(2, 0)])), changes(&[1, 2]));
    assert_eq!(doing(1, &observed(&standings, &[1, 2], &[])), hands(1, 2));
    assert_eq!(doing(1, &observed(&standings, &[2, 1], &[])), changes(&[2]));
    assert_eq!(doing(1, &observed(&standings, &[2], &[])), Doing::Settled);
}

#[test]
fn a_learner_that_is_not_wanted_is_given_up() {
    let gives_up = Doing::Step(Step::RemoveLearner { partition: P, node: node(4) });
    let lost = observed(&[PRESENT, PRESENT, PRESENT, LOST], &[1, 2, 3], &[(4, 0)]);
    assert_eq!(doing(3, &lost), gives_up);
    let draining = observed(&[PRESENT, PRESENT, PRESENT, DRAINING], &[1, 2, 3], &[(4, 0)]);
    assert_eq!(doing(3, &draining), gives_up);
}

#[test]
fn balance_waits_for_all_voters() {
    // Nodes 1 and 2 have a partition more than they should; 3 is away from one.
    let mut cluster = observed(&[PRESENT, PRESENT, AWAY, PRESENT], &[1, 2, 3], &[]);
    for partition in 1..6 {
        let view = of(&mut cluster).clone();
        cluster.partitions.insert(PartitionId(partition), view);
    }
    let plan = planned(3, &cluster);
    assert!(plan.steps.iter().all(|step| !matches!(step, Step::AddLearner { .. })));
    assert!(plan.whys().any(|why| why.doing == Doing::Held(Hold::VoterMissing)));
}

/// Partitions for which all is well, with 1, 2 and 3 as voters.
fn several(standings: &[Standing], count: u16) -> Observed {
    let mut cluster = observed(standings, &[1, 2, 3], &[]);
    for partition in 1..count {
        let view = of(&mut cluster).clone();
        cluster.partitions.insert(PartitionId(partition), view);
    }
    cluster
}

#[test]
fn leaders_are_spread_a_few_at_a_time() {
    let cluster = several(&[PRESENT; 3], 60);
    let steps = planned(3, &cluster).steps;
    assert_eq!(steps.len(), 8, "{steps:?}");
    assert!(steps.iter().all(|step| matches!(step, Step::TransferLeader { .. })));
}

/// A hand-over takes longer than the time between two plans.
#[test]
fn a_lead_on_its_way_counts_where_it_goes() {
    let mut cluster = several(&[PRESENT; 3], 3);
    let (one, other) = (PartitionId(1), PartitionId(2));
    let handed = |cluster: &mut Observed, partition, to| {
        let view = cluster.partitions.get_mut(&partition).expect("it");
        view.change = Some(Change::Leader { to });
    };
    handed(&mut cluster, one, node(2));
    handed(&mut cluster, other, node(3));
    assert_eq!(planned(3, &cluster).steps, []);
    handed(&mut cluster, one, node(1));
    handed(&mut cluster, other, node(1));
    let steps = planned(3, &cluster).steps;
    assert!(matches!(steps[..], [Step::TransferLeader { partition: P, .. }]), "{steps:?}");
}

#[test]
fn leaders_leave_a_draining_node_all_at_once_and_evenly() {
    let cluster = several(&[DRAINING, PRESENT, PRESENT], 60);
    let mut heirs: BTreeMap<NodeId, u32> = BTreeMap::new();
    for step in planned(3, &cluster).steps {
        let Step::TransferLeader { to, .. } = step else { panic!("{step}") };
        *heirs.entry(to).or_default() += 1;
    }
    assert_eq!(heirs, [(node(2), 30), (node(3), 30)].into());
}

#[test]
fn repair_comes_before_draining_before_balance() {
    let standings = [PRESENT, PRESENT, PRESENT, DRAINING, LOST, PRESENT, PRESENT];
    let mut cluster = observed(&standings, &[1, 2, 3], &[]);
    for partition in 0..30 {
        let mut view = of(&mut cluster).clone();
        let third = match partition % 3 {
            0 => node(3),
            1 => node(4),
            _ => node(5),
        };
        view.voters = [node(1), node(2), third].map(|node| (node, Progress::Behind(0))).into();
        cluster.partitions.insert(PartitionId(100 + partition), view);
    }
    cluster.partitions.remove(&P);
    let urgencies = |settings: &Settings| {
        let plan = plan(settings, &cluster, None);
        let adds = plan.steps.iter().filter(|step| matches!(step, Step::AddLearner { .. }));
        adds.map(|step| plan.why(step.partition()).expect("it").urgency.expect("one"))
            .collect::<Vec<_>>()
    };
    assert_eq!(urgencies(&settings(3)), [Urgency::Repair; 4]);
    let many = Settings {
        moves_max: 25.try_into().expect("a number"),
        moves_per_node_max: 25.try_into().expect("a number"),
        ..settings(3)
    };
    let found = urgencies(&many);
    assert!(found.is_sorted(), "{found:?}");
    let count = |urgency| found.iter().filter(|&&other| other == urgency).count();
    assert_eq!((count(Urgency::Repair), count(Urgency::Drain)), (10, 10));
    assert_eq!(count(Urgency::Balance), 5);
}

#[test]
fn moves_under_way_count() {
    let mut cluster = several(&[PRESENT, PRESENT, PRESENT, DRAINING, PRESENT, PRESENT], 20);
    for (at, view) in cluster.partitions.values_mut().enumerate() {
        view.voters.remove(&node(3));
        view.voters.insert(node(4), Progress::Behind(0));
        if at < 3 {
            view.learners.insert(node(5 + u128::from(at == 0)), Progress::Behind(9_000));
        }
    }
    let adds: Vec<_> = planned(3, &cluster)
        .steps
        .into_iter()
        .filter(|step| matches!(step, Step::AddLearner { .. }))
        .collect();
    // Four in all, and two to a node: 6 has one on its way, 5 has two.
    assert_eq!(adds.len(), 1, "{adds:?}");
    assert!(!matches!(adds[0], Step::AddLearner { node: to, .. } if to == node(5)));
}

#[test]
fn a_move_that_is_stuck_without_a_quorum_does_not_count() {
    let mut cluster = several(&[PRESENT, PRESENT, DRAINING, PRESENT, PRESENT], 20);
    for (at, view) in cluster.partitions.values_mut().enumerate() {
        if at < 10 {
            view.learners.insert(node(4), Progress::Behind(9_000));
            view.has_quorum = false;
        }
    }
    let steps = planned(3, &cluster).steps;
    assert!(steps.iter().any(|step| matches!(step, Step::AddLearner { .. })), "{steps:?}");
}

#[test]
fn it_says_why() {
    let mut cluster = observed(&[PRESENT, PRESENT, LOST, PRESENT], &[1, 2, 3], &[(4, 5_000)]);
    of(&mut cluster).voters.insert(node(2), Progress::Behind(1));
    of(&mut cluster).voters.insert(node(3), Progress::Unknown);
    let plan = planned(3, &cluster);
    let why = plan.why(P).expect("it");
    assert_eq!(
        why.to_string(),
        "partition 0: node 00000001 leads in term 3
  node 00000001: leader, present, has all entries
  node 00000002: voter, present, 1 entry behind
  node 00000003: voter, lost, to go
  node 00000004: learner, present, 5000 entries behind
  changing because it has fewer replicas than it should
  node 00000004 is catching up"
    );
    let under = plan.status.under_replicated.first().expect("it");
    assert_eq!(under.to_string(), "partition 0 has 2 of 3 replicas; missing: 00000003");
    let moving = plan.status.moves.first().expect("a move");
    assert_eq!((moving.to, moving.progress), (node(4), Progress::Behind(5_000)));
    assert_eq!(
        moving.to_string(),
        "partition 0 to node 00000004, because it has fewer replicas than it should"
    );
    let load = plan.status.nodes.get(&node(3)).expect("the node");
    assert_eq!((load.seat, load.voters, load.target), (Seat::Lost, 1, 0));
    assert!(plan.why(PartitionId(1)).is_none());
}
