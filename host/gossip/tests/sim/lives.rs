//! Nodes that end and begin again, as themselves or as others.

use std::time::Duration;

use stead_gossip::{Health, Input, Notice};
use stead_model::NodeId;

use crate::world::{CLUSTER, Told, World, address, identity};

const JOIN: Input<'static> = Input::Join { addresses: &[] };

fn join(world: &mut World, node: usize) {
    world.input(node, Input::Join { addresses: &[address(0), address(1)] });
}

#[test]
fn a_quick_restart_is_a_return_and_no_loss() {
    for seed in 0..50 {
        let mut world = World::formed(seed, 3);
        world.kill(2);
        world.run_for(Duration::from_millis(100));
        world.start(identity(3, 2, 2_000), Some(CLUSTER));
        join(&mut world, 2);
        world.run_until_agreed(Duration::from_secs(3));
        world.run_for(Duration::from_secs(3));
        assert_eq!(world.own(2).epoch, 2_000, "seed {seed}: its first life is taken");
        let returned = world.told(|told| {
            matches!(&told.notice, Notice::Returned(id)
            if id.epoch == 2_000 && id.node == NodeId(3))
        });
        assert_eq!(returned.len(), 2, "seed {seed}: once to each");
        let downs = world.told(|told| told.node != 2 && matches!(told.notice, Notice::Down(_)));
        assert_eq!(downs, [], "seed {seed}");
    }
}

#[test]
fn a_restart_after_it_was_missed_is_a_return() {
    for seed in 0..50 {
        let mut world = World::formed(seed, 3);
        world.kill(2);
        world.run_for(Duration::from_secs(4));
        assert_eq!(world.downs_of(NodeId(3)).len(), 2);
        world.start(identity(3, 2, 2_000), Some(CLUSTER));
        join(&mut world, 2);
        let took = world.run_until_agreed(Duration::from_secs(3));
        assert!(took < Duration::from_secs(1), "seed {seed}: {took:?}");
        let returned = world.told(|told| matches!(told.notice, Notice::Returned(_)));
        assert_eq!(returned.len(), 2);
    }
}

#[test]
fn a_restart_with_the_same_or_an_older_epoch_raises_it() {
    for (seed, epoch) in (0..20).flat_map(|seed| [(seed, 1_000), (seed, 3)]) {
        let mut world = World::formed(seed, 3);
        world.kill(2);
        world.run_for(Duration::from_secs(4));
        world.start(identity(3, 2, epoch), Some(CLUSTER));
        join(&mut world, 2);
        world.run_until_agreed(Duration::from_secs(5));
        assert!(world.own(2).epoch > 1_000, "seed {seed}");
    }
}

#[test]
fn another_node_takes_the_address_of_one_that_is_gone_or_not_yet_missed() {
    for (seed, wait) in (0..20).flat_map(|seed| [(seed, 10), (seed, 5_000)]) {
        for epoch in [1, 5_000] {
            let mut world = World::formed(seed, 4);
            world.kill(3);
            world.run_for(Duration::from_millis(wait));
            world.start(identity(77, 3, epoch), Some(CLUSTER));
            join(&mut world, 3);
            world.run_until_agreed(Duration::from_secs(5));
            world.run_for(Duration::from_secs(3));
            assert!(world.disagreement().is_none());
            let downs = world.downs_of(NodeId(4));
            assert_eq!(downs.len(), 3, "seed {seed}: the old one is gone, told once to each");
            let ups = world.told(|told| {
                told.node != 3
                    && matches!(&told.notice, Notice::Up(id)
                if id.node == NodeId(77))
            });
            assert_eq!(ups.len(), 3, "seed {seed}, {wait} ms, epoch {epoch}");
        }
    }
}

#[test]
fn a_node_that_moved_to_another_address_is_the_same_node() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 3);
        world.kill(2);
        world.start(identity(3, 3, 2_000), Some(CLUSTER));
        join(&mut world, 3);
        world.run_until_agreed(Duration::from_secs(3));
        world.run_for(Duration::from_secs(5));
        let downs = world.told(|told| matches!(told.notice, Notice::Down(_)));
        assert_eq!(downs, [], "seed {seed}: its life at the old address is nobody's loss");
        let returned = world.told(|told| matches!(told.notice, Notice::Returned(_)));
        assert_eq!(returned.len(), 2, "seed {seed}");
    }
}

#[test]
fn two_processes_with_one_id_are_told_of_each_other() {
    let mut world = World::formed(1, 3);
    world.start(identity(2, 3, 1_000), Some(CLUSTER));
    join(&mut world, 3);
    world.run_for(Duration::from_secs(5));
    let twins = world.told(|told| matches!(&told.notice, Notice::Twin(id) if id.node == NodeId(2)));
    let told: Vec<_> = twins.iter().map(|told| told.node).collect();
    assert!(told.contains(&1) && told.contains(&3), "{told:?}");
    assert!(!told.contains(&0) && !told.contains(&2), "nobody else is meant: {told:?}");
    assert!(told.len() <= 2, "once a minute: {told:?}");
}

#[test]
fn who_outlives_another_process_with_its_id_is_there_again() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 3);
        world.start(identity(2, 3, 1_000), Some(CLUSTER));
        join(&mut world, 3);
        world.run_for(Duration::from_secs(5));
        let renewed = |told: &Told| matches!(&told.notice, Notice::Renewed(_));
        assert!(world.told(renewed).is_empty(), "seed {seed}: they don't outbid each other");
        world.kill(3);
        world.run_for(Duration::from_secs(10));
        for other in [0, 2] {
            let snapshot = world.nodes[other].core.snapshot();
            let mut members = snapshot.members.iter();
            let member = members.find(|member| member.identity.node == NodeId(2));
            let member = member.expect("it is known");
            assert_eq!(member.health, Health::Alive, "seed {seed}: {other}");
            assert_eq!(member.identity.gossip, identity(2, 1, 0).gossip, "seed {seed}: {other}");
        }
        assert_eq!(world.told(renewed).len(), 1, "seed {seed}");
    }
}

#[test]
fn who_leaves_is_gone_at_once_and_stays_away() {
    for (seed, count) in (0..20).flat_map(|seed| [(seed, 2), (seed, 3), (seed, 10)]) {
        let mut world = World::formed(seed, count);
        let start = world.now;
        world.input(1, Input::Leave);
        world.run_for(Duration::from_secs(10));
        let left = world.told(|told| matches!(told.notice, Notice::Left));
        assert_eq!(left.len(), 1);
        assert!(left[0].at - start < Duration::from_millis(200));
        let downs = world.downs_of(NodeId(2));
        assert_eq!(downs.len(), count - 1, "seed {seed}");
        let last = downs[downs.len() - 1].at - start;
        assert!(last < Duration::from_millis(600), "seed {seed}, {count} nodes: {last:?}");
        let back = world.told(|told| matches!(told.notice, Notice::Up(_) | Notice::Returned(_)));
        assert_eq!(back, [], "seed {seed}: it doesn't come back by itself");
        assert_eq!(world.nodes[1].core.next_deadline(), None, "it waits for nothing");
    }
}

#[test]
fn who_is_alone_or_nowhere_leaves_at_once() {
    for cluster in [None, Some(CLUSTER)] {
        let mut world = World::new(1);
        world.start(identity(1, 0, 1), cluster);
        world.input(0, JOIN);
        world.input(0, Input::Leave);
        assert_eq!(world.log.last().map(|told| &told.notice), Some(&Notice::Left));
        world.input(0, Input::Ask { address: address(1) });
        let unanswered = Notice::Unanswered { asked: address(1) };
        assert_eq!(world.log.last().map(|told| &told.notice), Some(&unanswered));
    }
}

#[test]
fn what_is_remembered_stays_bounded_however_often_a_node_comes_and_goes() {
    let mut world = World::formed(1, 3);
    for life in 0..100 {
        world.kill(2);
        world.run_for(Duration::from_millis(1_500));
        world.start(identity(3 + life, 2, 2_000 + life as u64), Some(CLUSTER));
        join(&mut world, 2);
        world.run_for(Duration::from_millis(1_500));
    }
    world.run_until_agreed(Duration::from_secs(5));
    let gone = world.told(|told| told.node == 0 && matches!(told.notice, Notice::Down(_)));
    assert!(gone.len() > 90, "it was missed nearly each time: {}", gone.len());
    for node in &world.nodes {
        assert!(node.core.timers() < 30, "{}", node.core.timers());
        assert!(node.core.snapshot().members.len() < 10);
        assert_eq!(node.core.counters().internal, 0);
    }
}
