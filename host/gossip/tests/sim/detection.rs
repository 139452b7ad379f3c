//! A node that fails is found, soon.

use std::time::Duration;

use stead_gossip::{Input, Notice};
use stead_model::NodeId;

use crate::random::Random;
use crate::world::World;

fn quantile(sorted: &[Duration], per_cent: usize) -> Duration {
    sorted[(sorted.len() * per_cent / 100).min(sorted.len() - 1)]
}

fn report(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let (p50, p99) = (quantile(&times, 50), quantile(&times, 99));
    println!("{what}: p50 {p50:?}, p99 {p99:?}, max {:?}", times.last().expect("runs"));
    p99
}

#[test]
fn a_node_that_dies_is_found_by_all_within_two_seconds() {
    for (count, seeds) in [(2, 40), (3, 120), (5, 60), (10, 30), (50, 3)] {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for seed in 0..seeds {
            let mut world = World::formed(seed, count);
            let mut random = Random::new(seed);
            world.run_for(random.between(Duration::ZERO, Duration::from_secs(2)));
            let victim = random.below(count);
            let start = world.now;
            world.kill(victim);
            world.run_for(Duration::from_secs(6));
            let downs = world.downs_of(NodeId(victim as u128 + 1));
            assert_eq!(downs.len(), count - 1, "seed {seed}: each survivor hears of it once");
            let all = world.told(|told| matches!(told.notice, Notice::Down(_)));
            assert_eq!(all.len(), downs.len(), "seed {seed}: nobody else is held to be gone");
            first.push(downs[0].at - start);
            last.push(downs[downs.len() - 1].at - start);
        }
        report(&format!("{count} nodes, known to the first"), first);
        let p99 = report(&format!("{count} nodes, known to all"), last);
        assert!(p99 < Duration::from_millis(1_500), "{count} nodes: {p99:?}");
    }
}

#[test]
fn a_broken_connection_finds_a_dead_node_sooner() {
    for count in [2, 3, 5] {
        let mut times = Vec::new();
        for seed in 0..100 {
            let mut world = World::formed(seed, count);
            world.run_for(Duration::from_millis(seed * 17));
            let start = world.now;
            world.kill(1);
            world.run_for(Duration::from_millis(1));
            world.input(0, Input::Hint { node: NodeId(2) });
            world.run_for(Duration::from_secs(4));
            let downs = world.downs_of(NodeId(2));
            assert_eq!(downs.len(), count - 1, "seed {seed}");
            let all = world.told(|told| matches!(told.notice, Notice::Down(_)));
            assert_eq!(all.len(), downs.len(), "seed {seed}");
            times.push(downs[downs.len() - 1].at - start);
        }
        let p99 = report(&format!("{count} nodes, with a hint to one, known to all"), times);
        assert!(p99 < Duration::from_millis(700), "{p99:?}");
    }
}

#[test]
fn a_hint_about_a_node_that_lives_does_it_no_harm() {
    for seed in 0..50 {
        let mut world = World::formed(seed, 4);
        let sent = world.datagrams;
        for _ in 0..1_000 {
            world.input(0, Input::Hint { node: NodeId(2) });
            world.input(0, Input::Hint { node: NodeId(99) });
            world.input(0, Input::Hint { node: NodeId(1) });
            world.run_for(Duration::from_millis(2));
        }
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.log, [], "seed {seed}");
        let hints = world.nodes[0].core.counters().hints;
        assert!((5..=20).contains(&hints), "hints are followed, not each of a storm: {hints}");
        assert!(world.datagrams - sent < 600, "{}", world.datagrams - sent);
    }
}

#[test]
fn a_hint_does_not_condemn_a_node_that_only_one_can_not_reach() {
    for seed in 0..50 {
        let mut world = World::formed(seed, 4);
        world.cut(0, 1);
        world.cut(1, 0);
        world.input(0, Input::Hint { node: NodeId(2) });
        world.run_for(Duration::from_secs(5));
        let downs = world.told(|told| matches!(told.notice, Notice::Down(_)));
        assert_eq!(downs, [], "seed {seed}: the others can reach it");
    }
}
