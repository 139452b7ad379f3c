//! How much moves when nodes come and go: no more than must.

use crate::sim::Cluster;
use stead_model::{NodeId, PartitionCount};
use stead_placement::{Doing, Replicas, Settings, Standing};

/// A cluster at rest with nodes that hold alike.
fn at_rest(nodes: usize, partitions: u16, replicas: Replicas) -> Cluster {
    let partitions = PartitionCount::new(partitions).expect("a count");
    let mut cluster = Cluster::new(Settings { replicas, partitions, ..Settings::default() }, 7);
    (1..nodes).for_each(|_| _ = cluster.join(None));
    rest(&mut cluster);
    cluster
}

fn rest(cluster: &mut Cluster) {
    cluster.settle(20_000);
    cluster.must_be_even();
    cluster.copies = 0;
    cluster.transfers = 0;
}

/// A node dies, and the grace period passes.
fn lose(cluster: &mut Cluster, node: NodeId) {
    cluster.kill(node);
    (0..12).for_each(|_| _ = cluster.tick());
}

fn first(cluster: &Cluster) -> NodeId {
    cluster.with(Standing::is_live).first().copied().expect("a node")
}

const SIZES: [(usize, u16, Replicas); 8] = [
    (4, 64, Replicas::Three),
    (5, 64, Replicas::Three),
    (6, 64, Replicas::Three),
    (8, 128, Replicas::Three),
    (10, 100, Replicas::Three),
    (4, 64, Replicas::One),
    (6, 64, Replicas::Five),
    (9, 64, Replicas::Five),
];

#[test]
fn a_node_that_comes_gets_its_share_and_nothing_else_moves() {
    for (nodes, partitions, replicas) in SIZES {
        let mut cluster = at_rest(nodes, partitions, replicas);
        let node = cluster.join(None);
        cluster.settle(20_000);
        cluster.must_be_even();
        let share = cluster.groups.len() * cluster.settings.replicas.get() / (nodes + 1);
        assert_eq!(cluster.copies, share, "{nodes} nodes, {partitions} partitions");
        assert_eq!(cluster.voters_on(node), share);
    }
}

#[test]
fn when_a_node_is_lost_what_it_held_is_made_again_and_nothing_else_moves() {
    for (nodes, partitions, replicas) in SIZES {
        if replicas == Replicas::One {
            continue;
        }
        let mut cluster = at_rest(nodes, partitions, replicas);
        let node = first(&cluster);
        let held = cluster.voters_on(node);
        lose(&mut cluster, node);
        cluster.settle(20_000);
        cluster.must_be_even();
        assert_eq!(cluster.copies, held, "{nodes} nodes, {partitions} partitions");
    }
}

#[test]
fn when_a_node_is_drained_what_it_held_goes_and_nothing_else() {
    for (nodes, partitions, replicas) in SIZES {
        let mut cluster = at_rest(nodes, partitions, replicas);
        let node = first(&cluster);
        let held = cluster.voters_on(node);
        cluster.set(node, Standing::Draining);
        let plan = cluster.tick();
        if replicas != Replicas::One {
            cluster.tick();
            assert_eq!(cluster.led_by(node), 0, "leaders go at once");
        }
        let draining = plan.status.draining.first().expect("a node that is emptied");
        assert_eq!((draining.node, draining.replicas), (node, held));
        cluster.settle(20_000);
        cluster.must_be_even();
        assert_eq!(cluster.voters_on(node), 0);
        assert_eq!(cluster.copies, held, "{nodes} nodes, {partitions} partitions");
    }
}

#[test]
fn when_a_node_returns_in_time_nothing_moves() {
    let mut cluster = at_rest(5, 64, Replicas::Three);
    let before: Vec<_> = cluster.groups.values().map(|group| group.voters.clone()).collect();
    let node = first(&cluster);
    cluster.kill(node);
    (0..9).for_each(|_| _ = cluster.tick());
    cluster.set(node, Standing::Present);
    rest(&mut cluster);
    let after: Vec<_> = cluster.groups.values().map(|group| group.voters.clone()).collect();
    assert_eq!(before, after);
}

/// The grace period was a little too short: copies had begun. Those are given up,
/// or finished if they are there; none is begun.
#[test]
fn when_a_node_returns_late_no_more_copies_are_begun() {
    let mut cluster = at_rest(5, 64, Replicas::Three);
    let node = first(&cluster);
    cluster.kill(node);
    while cluster.copies == 0 {
        cluster.tick();
    }
    cluster.set(node, Standing::Present);
    let begun = cluster.copies;
    cluster.settle(20_000);
    cluster.must_be_even();
    assert_eq!(cluster.copies, begun);
}

#[test]
fn a_cluster_grows_and_shrinks_with_its_nodes() {
    for replicas in [Replicas::Three, Replicas::Five] {
        let mut cluster = at_rest(1, 64, replicas);
        for nodes in 2..=5 {
            cluster.join(None);
            rest(&mut cluster);
            assert!(
                cluster
                    .groups
                    .values()
                    .all(|group| { group.voters.len() == nodes.min(replicas.get()) })
            );
        }
        for nodes in (1..5).rev() {
            let node = first(&cluster);
            cluster.set(node, Standing::Draining);
            rest(&mut cluster);
            assert_eq!(cluster.voters_on(node), 0);
            cluster.set(node, Standing::Removed);
            rest(&mut cluster);
            assert!(
                cluster
                    .groups
                    .values()
                    .all(|group| { group.voters.len() == nodes.min(replicas.get()) })
            );
        }
    }
}

#[test]
fn what_was_begun_for_balance_is_finished_while_a_node_is_away() {
    let mut cluster = at_rest(4, 64, Replicas::Three);
    let node = first(&cluster);
    cluster.join(None);
    cluster.tick();
    let share = cluster.groups.len() * 3 / 5;
    cluster.kill(node);
    (0..5).for_each(|_| _ = cluster.tick());
    cluster.set(node, Standing::Present);
    cluster.settle(20_000);
    cluster.must_be_even();
    assert!(cluster.copies <= share + 1, "{} copies for {share}", cluster.copies);
}

#[test]
fn fewer_replicas_wanted_are_let_go_without_copies() {
    let mut cluster = at_rest(7, 64, Replicas::Five);
    cluster.settings.replicas = Replicas::Three;
    cluster.settle(20_000);
    cluster.must_be_even();
    assert_eq!(cluster.copies, 0);
}

/// Four nodes for five replicas, one of them lost for good but not said to be: its
/// vote is kept, as four voters bear no more than five with one gone.
#[test]
fn a_lost_voter_that_nobody_can_replace_is_kept_while_it_does_no_harm() {
    let mut cluster = at_rest(5, 8, Replicas::Five);
    let nodes = cluster.with(Standing::is_live);
    lose(&mut cluster, nodes[0]);
    cluster.settle(1_000);
    assert!(cluster.groups.values().all(|group| group.voters.len() == 5));
    // With a second one gone the other three decide by two instead of three.
    lose(&mut cluster, nodes[1]);
    cluster.settle(1_000);
    assert!(cluster.groups.values().all(|group| group.voters.len() == 3));
    // One of the two returns, and is copied to again.
    cluster.set(nodes[1], Standing::Present);
    cluster.settle(1_000);
    assert!(cluster.groups.values().all(|group| group.voters.len() == 4));
    cluster.set(nodes[0], Standing::Removed);
    cluster.join(None);
    cluster.settle(1_000);
    cluster.must_be_even();
}

#[test]
fn a_partition_that_has_lost_its_quorum_does_not_hold_up_the_others() {
    let mut cluster = at_rest(6, 32, Replicas::Three);
    let nodes = cluster.with(Standing::is_live);
    // Two nodes at once: some partitions have a majority on them.
    cluster.kill(nodes[0]);
    cluster.kill(nodes[1]);
    for _ in 0..400 {
        cluster.tick();
    }
    let plan = cluster.tick();
    let lost = &plan.status.lost_quorum;
    assert!(!lost.is_empty(), "none was hit");
    for lost in lost {
        assert_eq!(lost.waits_for, nodes[..2]);
        assert_eq!((lost.needed, lost.is_for_good()), (1, false));
        assert!(lost.to_string().contains("waits for 1 of"), "{lost}");
    }
    assert_eq!(plan.status.under_replicated.len(), lost.len());
    let held = plan.whys().filter(|why| why.doing != Doing::Settled).count();
    assert_eq!(held, lost.len());
    // One that returns saves them all.
    cluster.set(nodes[0], Standing::Present);
    rest(&mut cluster);
}
