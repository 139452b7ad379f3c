//! Clusters form, and stay as they are when nothing fails.

use std::time::Duration;

use stead_gossip::{Input, Notice, Zone};

use crate::world::{CLUSTER, Weather, World, address, identity};

#[test]
fn clusters_of_all_sizes_form_from_one_address() {
    for (count, seed) in [(2, 1), (3, 2), (5, 3), (20, 4), (50, 5)] {
        let mut world = World::new(seed);
        for node in 0..count {
            world.start(identity(node as u128 + 1, node, 1), Some(CLUSTER));
            world.input(node, Input::Join { addresses: &[address(0)] });
        }
        let took = world.run_until_agreed(Duration::from_secs(20));
        println!("{count} nodes knew each other after {took:?}");
    }
}

#[test]
fn fifty_nodes_with_the_longest_identities_fit() {
    let mut world = World::new(9);
    for node in 0..50 {
        let mut who = identity(u128::MAX - node as u128, node, u64::MAX / 4);
        who.zone = Zone::new(&"z".repeat(32)).expect("a zone");
        who.peer = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().expect("an address");
        who.ingress = who.peer;
        world.start(who, Some(CLUSTER));
        world.input(node, Input::Join { addresses: &[address(0)] });
    }
    world.run_until_agreed(Duration::from_secs(20));
    world.kill(7);
    world.run_until_agreed(Duration::from_secs(3));
}

#[test]
fn nodes_that_start_before_the_address_to_join_at_find_it_later() {
    let mut world = World::new(1);
    world.start(identity(1, 0, 1), Some(CLUSTER));
    world.kill(0);
    for node in 1..4 {
        world.start(identity(node as u128 + 1, node, 1), Some(CLUSTER));
        world.input(node, Input::Join { addresses: &[address(0)] });
    }
    world.run_for(Duration::from_secs(20));
    world.start(identity(1, 0, 2), Some(CLUSTER));
    world.run_until_agreed(Duration::from_secs(10));
}

#[test]
fn nobody_is_missed_where_nothing_fails() {
    for (count, seeds) in [(3, 20), (10, 5), (50, 1)] {
        for seed in 0..seeds {
            let mut world = World::formed(seed, count);
            world.run_for(Duration::from_secs(60));
            assert_eq!(world.log, [], "seed {seed}, {count} nodes");
            assert!(world.disagreement().is_none());
        }
    }
}

#[test]
fn nobody_is_held_to_be_gone_for_a_lost_datagram() {
    let mut suspicions = 0;
    for seed in 0..20 {
        let mut world = World::formed(seed, 5);
        world.weather = Weather {
            loss_per_mille: 50,
            duplicates_per_mille: 50,
            delay_least: Duration::from_micros(100),
            delay_most: Duration::from_millis(30),
        };
        world.run_for(Duration::from_secs(60));
        assert!(world.lost > 0 && world.duplicated > 0, "nothing was lost");
        let downs = world.told(|told| matches!(told.notice, Notice::Down(_)));
        assert_eq!(downs, [], "seed {seed}");
        suspicions += world.told(|told| matches!(told.notice, Notice::Suspect(_))).len();
    }
    println!("{suspicions} suspicions, all refuted, in 20 minutes of 5 nodes with 5 % loss");
}

#[test]
fn an_idle_cluster_says_little() {
    let mut world = World::formed(1, 3);
    let before = world.datagrams;
    world.run_for(Duration::from_secs(60));
    let each = (world.datagrams - before) as f64 / 60.0 / 3.0;
    println!("{each:.1} datagrams a second and node");
    assert!(each < 20.0, "{each}");
}
