//! Replicas whose storage fails, or contradicts itself.

use std::time::{Duration, Instant};

use stead_model::PartitionId;

use crate::house::{House, PATIENCE, partitions};

/// Waits until something holds.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Its groups stop, and with them what it says that it leads: others stand at once.
#[test]
fn a_leader_whose_disk_fails_leads_no_more_and_others_go_on() {
    let mut house = House::of_three();
    for partition in partitions() {
        house.write(partition, 10);
    }
    let (failing, _) = house.leader(PartitionId(0));
    for partition in partitions() {
        house.hand_over(partition, failing);
    }
    house.disk(failing).fail_sync_after(0, "log");
    // The first finds out; the others hear of it without a write.
    house.write(PartitionId(0), 10);
    wait_until("it says that it leads nothing", || {
        partitions().all(|partition| house.node(failing).leads(partition).borrow().is_none())
    });
    for partition in partitions() {
        house.write(partition, 10);
        let (leader, _) = house.leader(partition);
        assert_ne!(leader, failing, "it can write nothing");
    }
    // Also those that nothing was written to.
    wait_until("its groups have ended", || {
        house.node(failing).halted().len() > usize::from(crate::house::PARTITIONS)
    });
}

/// Only the partition whose entries contradict each other is lost, on nodes that run
/// and on nodes that are started anew.
#[test]
fn a_partition_that_contradicts_itself_takes_no_other_with_it() {
    let mut house = House::of_three();
    for partition in partitions() {
        house.write(partition, 10);
    }
    house.settle();
    let contradicts = PartitionId(2);
    let others = || partitions().filter(move |partition| *partition != contradicts);
    // An engine with a defect numbers an event wrongly: each replica finds it.
    let (leader, term) = house.leader(contradicts);
    let committed = house.propose(leader, contradicts, term, 99);
    committed.recv_timeout(PATIENCE).expect("an answer").expect("it is committed");
    let has_stopped = |house: &House| {
        house.nodes().iter().all(|node| house.node(*node).stopped().contains(&contradicts))
    };
    wait_until("all replicas find it", || has_stopped(&house));
    for partition in others() {
        house.write(partition, 10);
    }
    for node in house.nodes() {
        let disk = house.kill(node);
        for partition in others() {
            house.write(partition, 10);
        }
        let node = house.start(disk);
        assert_eq!(house.node(node).stopped(), [contradicts].into());
        // What it has of it is told still, so that it isn't taken for none.
        let view = futures::executor::block_on(house.node(node).view(contradicts));
        assert_eq!((view.voters.len(), view.leader), (3, None));
    }
    for partition in others() {
        house.write(partition, 10);
        house.settle_one(partition);
    }
    assert!(has_stopped(&house));
    // Who proposes is told, and doesn't wait.
    let refused = house.propose(leader, contradicts, term, 11).recv_timeout(PATIENCE);
    refused.expect("an answer").expect_err("it is not taken");
}

/// With most replicas stopped nothing can be committed: the leader knows it, though all
/// nodes are there.
#[test]
fn a_leader_whose_followers_have_stopped_knows_that_it_has_no_quorum() {
    let mut house = House::of_three();
    let partition = PartitionId(1);
    house.write(partition, 10);
    let (leader, term) = house.leader(partition);
    let followers: Vec<_> = house.nodes().into_iter().filter(|node| *node != leader).collect();
    assert!(house.node(leader).has_quorum(partition));
    for node in &followers {
        house.disk(*node).fail_sync_after(0, "log");
    }
    let waits = house.propose(leader, partition, term, 11);
    wait_until("it finds out", || !house.node(leader).has_quorum(partition));
    // That they are there is said again and again, and changes nothing.
    for _ in 0..40 {
        followers.iter().for_each(|node| house.node(leader).presence(*node, true));
        std::thread::sleep(Duration::from_millis(10));
        assert!(!house.node(leader).has_quorum(partition));
    }
    assert_eq!(house.node(leader).leader(partition), None);
    // One of them is mended, and that is enough.
    let disk = house.kill(followers[0]);
    disk.heal();
    house.start(disk);
    wait_until("it has one again", || house.node(leader).has_quorum(partition));
    waits.recv_timeout(PATIENCE).expect("an answer").expect("it is committed");
}
