//! Nodes in one process, with disks and a network that fail on demand.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod house;
mod members;
mod stores;

use std::{
    collections::BTreeSet,
    sync::{atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use stead_journal::disk::sim::SimDisk;
use stead_model::{NodeId, PartitionId};

use crate::house::{House, PATIENCE, partitions};

#[test]
fn what_is_committed_is_on_every_replica() {
    let mut house = House::of_three();
    for partition in partitions() {
        house.write(partition, 200);
    }
    house.settle();
}

#[test]
fn another_leads_when_the_leader_is_gone_and_nothing_is_lost() {
    let mut house = House::of_three();
    for round in 0..4 {
        for partition in partitions() {
            house.write(partition, 25);
        }
        let (leader, _) = house.leader(PartitionId(round));
        let begun = Instant::now();
        let disk = house.kill(leader);
        for partition in partitions() {
            house.write(partition, 25);
        }
        println!("round {round}: written to again after {:?}", begun.elapsed());
        house.start(disk);
        house.settle();
    }
}

/// That a node is there is said several times a second. When it is no news, nobody is
/// told anything again for it.
#[test]
fn who_is_said_to_be_there_again_is_not_told_everything_again() {
    let mut house = House::of_three();
    for partition in partitions() {
        house.write(partition, 1);
    }
    house.settle();
    let nodes = house.nodes();
    let say = || {
        for node in &nodes {
            let others = nodes.iter().filter(|other| *other != node);
            others.for_each(|other| house.node(*node).presence(*other, true));
        }
    };
    say();
    let (begun, before) = (Instant::now(), house.net.carried.load(Ordering::Relaxed));
    for _ in 0..100 {
        say();
        std::thread::sleep(Duration::from_millis(10));
    }
    let carried = house.net.carried.load(Ordering::Relaxed) - before;
    // Each node says four times a second what it leads; what is committed is told at once,
    // and again more and more seldom.
    let seconds = begun.elapsed().as_secs() + 1;
    assert!(carried < 100 + 50 * seconds, "{carried} messages in {seconds} s");
}

#[test]
fn survivors_share_what_a_dead_node_led() {
    let mut house = House::of_three();
    for partition in partitions() {
        house.write(partition, 1);
    }
    let (leader, _) = house.leader(PartitionId(0));
    house.kill(leader);
    for partition in partitions() {
        house.write(partition, 1);
    }
    let leaders: BTreeSet<NodeId> = partitions().map(|p| house.leader(p).0).collect();
    assert!(!leaders.contains(&leader));
}

#[test]
fn a_leader_that_is_cut_off_commits_nothing_and_follows_when_it_is_back() {
    for both in [true, false] {
        let mut house = House::of_three();
        let partition = PartitionId(1);
        house.write(partition, 10);
        house.settle();
        let (old, term) = house.leader(partition);
        house.cut(old, both);
        let lost = house.propose(old, partition, term, 11);
        let (tell, told) = mpsc::channel();
        house.node(old).confirm(partition, move |leads| {
            let _ = tell.send(leads);
        });
        for other in house.nodes() {
            if other != old {
                house.node(other).presence(old, false);
            }
        }
        // The others go on without it.
        let until = Instant::now() + PATIENCE;
        while house.leader(partition).0 == old {
            assert!(Instant::now() < until, "nobody else leads");
            std::thread::sleep(Duration::from_millis(5));
        }
        house.write(partition, 20);
        assert!(!matches!(lost.try_recv(), Ok(Ok(_))), "it was committed by a minority");
        house.heal();
        for other in house.nodes() {
            house.node(other).presence(old, true);
        }
        house.settle();
        assert_ne!(told.recv_timeout(PATIENCE), Ok(true), "it was told that it leads");
        assert!(!matches!(lost.recv_timeout(PATIENCE), Ok(Ok(_))));
        house.write(partition, 1);
        house.settle();
    }
}

#[test]
fn nobody_leads_without_a_quorum() {
    let mut house = House::of_three();
    let partition = PartitionId(2);
    house.write(partition, 5);
    house.settle();
    let nodes = house.nodes();
    let disks: Vec<SimDisk> = nodes[..2].iter().map(|node| house.kill(*node)).collect();
    std::thread::sleep(Duration::from_millis(1_500));
    let last = nodes[2];
    let led = house.ears[&last].0.lock().expect("unpoisoned").get(&partition).copied();
    if let Some(term) = led {
        // It led before; it can't commit, and knows that it doesn't know.
        let lost = house.propose(last, partition, term, 6);
        let (tell, told) = mpsc::channel();
        house.node(last).confirm(partition, move |leads| {
            let _ = tell.send(leads);
        });
        assert_ne!(told.recv_timeout(Duration::from_secs(2)), Ok(true));
        assert!(!matches!(lost.try_recv(), Ok(Ok(_))));
        // What it proposed may yet be committed.
        house.committed.insert(partition, 5);
    }
    for disk in disks {
        house.start(disk);
    }
    for node in &nodes {
        house.node(last).presence(*node, true);
    }
    let (node, _) = house.leader(partition);
    let until = Instant::now() + PATIENCE;
    while house.events(node, partition) < 5 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn leadership_is_handed_over() {
    let mut house = House::of_three();
    let partition = PartitionId(3);
    house.write(partition, 10);
    house.settle();
    let (old, _) = house.leader(partition);
    let next = house.nodes().into_iter().find(|node| *node != old).expect("there are three");
    house.hand_over(partition, next);
    house.write(partition, 10);
    house.settle();
}
