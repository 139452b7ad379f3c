//! The rules' checker catches plans that break them: good plans, each with one
//! mistake put in.

use crate::sim::{Cluster, check};
use stead_model::{NodeId, PartitionCount, PartitionId};
use stead_placement::{Change, Observed, Progress, Settings, Standing, Step};

const P: PartitionId = PartitionId(0);

fn settled() -> (Settings, Observed) {
    let partitions = PartitionCount::new(8).expect("a count");
    let mut cluster = Cluster::new(Settings { partitions, ..Settings::default() }, 3);
    (1..5).for_each(|_| _ = cluster.join(None));
    cluster.settle(2_000);
    (cluster.settings.clone(), cluster.observed())
}

struct Places {
    leader: NodeId,
    follower: NodeId,
    spare: NodeId,
}

fn places(observed: &Observed) -> Places {
    let view = &observed.partitions[&P];
    let leader = view.leader.expect("a leader");
    let follower = view.voters.keys().copied().find(|&voter| voter != leader);
    let spare = observed.nodes.keys().copied().find(|node| !view.voters.contains_key(node));
    Places { leader, follower: follower.expect("one"), spare: spare.expect("one") }
}

fn mistake(change: impl FnOnce(&mut Observed, &Places) -> Vec<Step>, found: &str) {
    let (settings, mut observed) = settled();
    let places = places(&observed);
    let steps = change(&mut observed, &places);
    let error = check(&settings, &observed, &steps).expect_err("the mistake is found");
    assert!(error.starts_with(found), "{error}");
}

fn add(node: NodeId) -> Step {
    Step::AddLearner { partition: P, node }
}

fn swap(observed: &Observed, out: NodeId, into: NodeId) -> Step {
    let mut voters: std::collections::BTreeSet<_> =
        observed.partitions[&P].voters.keys().copied().collect();
    voters.remove(&out);
    voters.insert(into);
    Step::ChangeVoters { partition: P, voters }
}

fn gone(observed: &mut Observed, node: NodeId) {
    let since = observed.now;
    observed.nodes.get_mut(&node).expect("it").standing = Standing::Gone { since };
}

#[test]
fn a_good_step_passes() {
    let (settings, observed) = settled();
    let step = add(places(&observed).spare);
    check(&settings, &observed, &[step]).expect("it keeps the rules");
}

#[test]
fn a_voter_that_has_not_caught_up() {
    mistake(
        |observed, places| {
            let view = observed.partitions.get_mut(&P).expect("it");
            view.learners.insert(places.spare, Progress::Behind(5_000));
            vec![swap(observed, places.follower, places.spare)]
        },
        "a voter that hasn't caught up",
    );
}

#[test]
fn the_old_replica_goes_first() {
    mistake(
        |observed, places| {
            let step = swap(observed, places.follower, places.leader);
            vec![step]
        },
        "less redundancy",
    );
}

#[test]
fn the_leader_is_removed() {
    mistake(
        |observed, places| {
            let view = observed.partitions.get_mut(&P).expect("it");
            view.learners.insert(places.spare, Progress::Behind(0));
            vec![swap(observed, places.leader, places.spare)]
        },
        "the leader is put out",
    );
}

#[test]
fn the_rest_can_not_decide() {
    mistake(
        |observed, places| {
            gone(observed, places.follower);
            let third = observed.partitions[&P]
                .voters
                .keys()
                .copied()
                .find(|&voter| voter != places.leader && voter != places.follower);
            vec![swap(observed, third.expect("one"), places.leader)]
        },
        "a majority that isn't live",
    );
}

#[test]
fn a_step_without_a_quorum() {
    mistake(
        |observed, places| {
            let voters: Vec<_> = observed.partitions[&P].voters.keys().copied().collect();
            voters.into_iter().for_each(|voter| gone(observed, voter));
            vec![add(places.spare)]
        },
        "a step without a quorum",
    );
}

#[test]
fn a_step_amid_a_change() {
    mistake(
        |observed, places| {
            observed.partitions.get_mut(&P).expect("it").change = Some(Change::Members);
            vec![add(places.spare)]
        },
        "a step amid a change",
    );
}

#[test]
fn two_steps_at_once() {
    mistake(|_, places| vec![add(places.spare), add(places.spare)], "two steps");
}

#[test]
fn a_replica_for_a_draining_node() {
    mistake(
        |observed, places| {
            observed.nodes.get_mut(&places.spare).expect("it").standing = Standing::Draining;
            vec![add(places.spare)]
        },
        "a replica for a node that takes none",
    );
}

#[test]
fn a_leader_that_is_behind() {
    mistake(
        |observed, places| {
            let view = observed.partitions.get_mut(&P).expect("it");
            view.voters.insert(places.follower, Progress::Behind(1_001));
            let (from, to) = (places.leader, places.follower);
            vec![Step::TransferLeader { partition: P, from, to }]
        },
        "a leader that isn't a caught-up voter",
    );
}

#[test]
fn a_leader_that_has_no_vote() {
    mistake(
        |_, places| {
            let (from, to) = (places.leader, places.spare);
            vec![Step::TransferLeader { partition: P, from, to }]
        },
        "a leader that isn't a caught-up voter",
    );
}

#[test]
fn too_many_moves() {
    mistake(
        |observed, _| {
            let spare = |(&partition, view): (&PartitionId, &stead_placement::PartitionView)| {
                let free = observed.nodes.keys().find(|node| !view.voters.contains_key(node));
                Step::AddLearner { partition, node: *free.expect("one") }
            };
            observed.partitions.iter().map(spare).collect()
        },
        "too many moves",
    );
}
