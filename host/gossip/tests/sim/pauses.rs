//! A node that was stopped and goes on: as a target, and as an observer.

use std::time::Duration;

use stead_gossip::{Config, Notice};
use stead_model::NodeId;

use crate::random::Random;
use crate::world::{Told, World};

/// Stops node 0 for `pause`, lets it go on, and returns what was told of the others
/// from then on.
fn wake_up(seed: u64, count: usize, pause: Duration, config: Config) -> (World, Vec<Told>) {
    let mut world = World::formed_with(seed, count, config);
    let mut random = Random::new(seed);
    world.run_for(random.between(Duration::ZERO, Duration::from_secs(1)));
    world.pause(0);
    world.run_for(pause);
    world.log.clear();
    world.resume(0);
    world.run_for(Duration::from_secs(4));
    let news = world.told(|told| matches!(&told.notice, Notice::Down(id) if id.node != NodeId(1)));
    (world, news)
}

#[test]
fn an_observer_that_was_stopped_spreads_no_false_news() {
    for (count, seeds) in [(2, 60), (3, 100), (5, 60), (20, 5)] {
        for seed in 0..seeds {
            let pause = Duration::from_millis(600 + seed * 137);
            let (mut world, news) = wake_up(seed, count, pause, Config::default());
            assert_eq!(news, [], "seed {seed}, {count} nodes, stopped for {pause:?}");
            let paused = world.told(|told| matches!(told.notice, Notice::Paused { .. }));
            assert_eq!(paused.len(), 1, "it noticed, once");
            assert_eq!(paused[0].node, 0);
            world.run_until_agreed(Duration::from_secs(10));
        }
    }
}

#[test]
fn short_stops_spread_no_false_news() {
    for seed in 0..200 {
        let pause = Duration::from_millis(50 + seed * 3);
        let (mut world, news) = wake_up(seed, 3, pause, Config::default());
        assert_eq!(news, [], "seed {seed}, stopped for {pause:?}");
        world.run_until_agreed(Duration::from_secs(10));
    }
}

/// Stops node 0 when it has just suspected node 1, which objects while it can't hear,
/// and then lets it look at its timers before its socket. Returns how many were held
/// to be gone, and how many were suspect, after that.
fn wake_up_suspicious(seed: u64, config: Config) -> (usize, usize) {
    let mut world = World::formed_with(seed, 3, config);
    world.split(&[1]);
    let suspects = |told: &Told| told.node == 0 && matches!(told.notice, Notice::Suspect(_));
    while world.told(suspects).is_empty() {
        world.run_for(Duration::from_millis(5));
    }
    world.pause(0);
    world.heal();
    world.run_for(Duration::from_millis(700 + seed * 31));
    world.log.clear();
    world.resume_timers_first(0);
    world.run_for(Duration::from_secs(3));
    let gone = |told: &Told| matches!(&told.notice, Notice::Down(id) if id.node != NodeId(1));
    (world.told(gone).len(), world.told(suspects).len())
}

/// The story: an observer suspects a node and is stopped. The node objects, which the
/// observer doesn't hear. It wakes, finds that the time to object is over, and tells
/// everyone that the node is gone. With a core that never notices a pause, it happens
/// here; that shows that the harness can find it.
#[test]
fn a_suspect_gets_its_whole_time_to_object_to_one_that_was_stopped() {
    let blind = Config { pause: Duration::from_secs(3_600), ..Config::default() };
    let mut condemned_by_blind = 0;
    for seed in 0..60 {
        condemned_by_blind += wake_up_suspicious(seed, blind.clone()).0;
        let (condemned, _) = wake_up_suspicious(seed, Config::default());
        assert_eq!(condemned, 0, "seed {seed}");
    }
    println!("{condemned_by_blind} condemned by observers that don't notice, of 60 runs");
    assert!(condemned_by_blind > 0, "the harness must be able to find it");
}

/// The story: a probe's answer is lost, and before the probe is over the observer is stopped.
/// When it goes on, the probe's time is long over; it was never the other's fault.
#[test]
fn a_probe_that_a_stop_cut_short_accuses_nobody() {
    for seed in 0..100 {
        let mut world = World::formed(seed, 3);
        world.run_for(Duration::from_millis(seed * 7));
        world.cut(1, 0);
        world.cut(2, 0);
        world.run_for(Duration::from_millis(150));
        world.pause(0);
        world.heal();
        // Not so long that it is missed itself and begins anew.
        world.run_for(Duration::from_millis(620));
        world.log.clear();
        world.resume_timers_first(0);
        world.run_for(Duration::from_secs(2));
        let accused =
            world.told(|told| told.node == 0 && matches!(told.notice, Notice::Suspect(_)));
        assert_eq!(accused, [], "seed {seed}");
    }
}

#[test]
fn a_node_that_was_stopped_for_long_is_missed_and_comes_back() {
    for seed in 0..60 {
        let mut world = World::formed(seed, 4);
        world.pause(0);
        world.run_for(Duration::from_secs(5));
        let downs = world.downs_of(NodeId(1));
        assert_eq!(downs.len(), 3, "seed {seed}: all miss it");
        world.log.clear();
        world.resume(0);
        let took = world.run_until_agreed(Duration::from_secs(5));
        assert!(took <= Duration::from_secs(2), "seed {seed}: {took:?}");
        let renewed = world.told(|told| matches!(told.notice, Notice::Renewed(_)));
        assert!(!renewed.is_empty() && renewed.iter().all(|told| told.node == 0));
        let returned =
            world.told(|told| matches!(&told.notice, Notice::Returned(id) if id.node == NodeId(1)));
        assert!(returned.len() >= 3, "seed {seed}: all see its new life");
        assert!(world.own(0).epoch > 1_000);
    }
}

#[test]
fn two_that_were_stopped_together_come_back() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 5);
        world.pause(0);
        world.pause(1);
        world.run_for(Duration::from_secs(7));
        world.log.clear();
        world.resume(0);
        world.run_for(Duration::from_millis(seed * 20));
        world.resume(1);
        world.run_until_agreed(Duration::from_secs(15));
        let others =
            world.told(|told| matches!(&told.notice, Notice::Down(id) if id.node.get() > 2));
        assert_eq!(others, [], "seed {seed}");
    }
}

#[test]
fn a_whole_cluster_that_was_stopped_goes_on_as_it_was() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 5);
        (0..5).for_each(|node| world.pause(node));
        world.run_for(Duration::from_secs(30));
        (0..5).for_each(|node| world.resume(node));
        world.run_for(Duration::from_secs(10));
        let downs = world.told(|told| matches!(told.notice, Notice::Down(_)));
        assert_eq!(downs, [], "seed {seed}");
        assert!(world.disagreement().is_none());
    }
}
