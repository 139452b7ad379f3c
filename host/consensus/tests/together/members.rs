//! Groups that come to other nodes, and go.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use stead_consensus::{Consensus, GroupView, MembersChange};
use stead_model::{NodeId, PartitionId};

use crate::house::{House, PATIENCE, partitions};

fn view(consensus: &Consensus, partition: PartitionId) -> GroupView {
    futures::executor::block_on(consensus.view(partition))
}

/// Makes a change, on whichever node leads, until it is made.
fn change(house: &House, partition: PartitionId, change: &MembersChange) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (leader, _) = house.leader(partition);
        let node = house.node(leader);
        let made = node.change(partition, change.clone());
        match futures::executor::block_on(made) {
            Ok(()) => return,
            Err(error) => assert!(Instant::now() < until, "{change:?}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_caught_up(house: &House, partition: PartitionId, node: NodeId) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (leader, _) = house.leader(partition);
        let view = view(&house.node(leader), partition);
        if view.matched.get(&node).is_some_and(|matched| *matched >= view.committed) {
            return;
        }
        assert!(Instant::now() < until, "{node} doesn't catch up: {view:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn voters(nodes: &[NodeId]) -> MembersChange {
    MembersChange::Voters(nodes.iter().copied().collect())
}

#[test]
fn a_group_moves_from_one_node_to_three_others_while_it_is_written_to() {
    let mut house = House::of(4, 1);
    let all: Vec<NodeId> = {
        let (first, _) = house.leader(PartitionId(0));
        let others = house.nodes().into_iter().filter(|node| *node != first);
        std::iter::once(first).chain(others).collect()
    };
    for partition in partitions() {
        house.write(partition, 300);
    }
    let partition = PartitionId(1);
    for node in &all[1..] {
        change(&house, partition, &MembersChange::AddLearner(*node));
        house.write(partition, 30);
        wait_caught_up(&house, partition, *node);
    }
    change(&house, partition, &voters(&all));
    house.write(partition, 30);
    let seen = view(&house.node(all[0]), partition);
    assert_eq!(seen.voters, all.iter().copied().collect::<BTreeSet<_>>());
    assert!(!seen.is_changing && seen.learners.is_empty());
    // The first goes: another leads before.
    house.hand_over(partition, all[1]);
    change(&house, partition, &voters(&all[1..]));
    house.write(partition, 30);
    house.kill(all[0]);
    house.write(partition, 30);
    for node in &all[1..] {
        let until = Instant::now() + PATIENCE;
        while house.events(*node, partition) < 480 {
            assert!(Instant::now() < until, "{node} has {}", house.events(*node, partition));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(house.events(*node, partition), 480);
    }
}

#[test]
fn a_change_needs_the_leader_and_learners_do_not_count() {
    let mut house = House::of(3, 1);
    let partition = PartitionId(2);
    house.write(partition, 10);
    let (leader, _) = house.leader(partition);
    let others: Vec<NodeId> = house.nodes().into_iter().filter(|node| *node != leader).collect();
    let node = house.node(others[0]);
    let refused = node.change(partition, MembersChange::AddLearner(others[1]));
    assert!(futures::executor::block_on(refused).is_err(), "it doesn't lead");
    change(&house, partition, &MembersChange::AddLearner(others[0]));
    wait_caught_up(&house, partition, others[0]);
    // A learner that is gone holds nothing up, and doesn't lead.
    house.kill(others[0]);
    house.write(partition, 10);
    change(&house, partition, &MembersChange::RemoveLearner(others[0]));
    assert!(view(&house.node(leader), partition).learners.is_empty());
    house.write(partition, 10);
}

#[test]
fn leadership_goes_round_under_load_and_nothing_is_lost_or_refused_for_long() {
    let mut house = House::of_three();
    let partition = PartitionId(0);
    house.write(partition, 5);
    let stop = Arc::new(AtomicBool::new(false));
    let nodes: Vec<Consensus> = house.nodes().iter().map(|node| house.node(*node)).collect();
    let mover = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut moved = 0;
            let mut last = None;
            for next in (0..nodes.len()).cycle() {
                if stop.load(Ordering::Relaxed) {
                    return moved;
                }
                let to = nodes[next].node();
                for node in &nodes {
                    node.transfer(partition, to);
                }
                std::thread::sleep(Duration::from_millis(50));
                let leads = nodes.iter().find(|node| node.leads(partition).borrow().is_some());
                let leads = leads.map(Consensus::node);
                moved += usize::from(leads.is_some() && leads != last);
                last = leads.or(last);
            }
            moved
        }
    });
    for _ in 0..40 {
        house.write(partition, 50);
    }
    stop.store(true, Ordering::Relaxed);
    let moved = mover.join().expect("it ends");
    assert!(moved >= 3, "leadership moved {moved} times");
    house.settle();
}

#[test]
fn a_leader_goes_on_when_the_other_does_not_come_to_lead() {
    let mut house = House::of_three();
    let partition = PartitionId(3);
    house.write(partition, 10);
    house.settle();
    let (leader, term) = house.leader(partition);
    let other = house.nodes().into_iter().find(|node| *node != leader).expect("there are three");
    house.cut(other, true);
    house.node(leader).transfer(partition, other);
    house.write(partition, 10);
    assert_eq!(house.leader(partition), (leader, term));
    house.heal();
    house.write(partition, 10);
    house.settle();
}
