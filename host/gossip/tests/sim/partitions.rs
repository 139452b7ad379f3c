//! Partitions of all shapes heal.

use std::time::Duration;

use stead_gossip::Notice;

use crate::world::World;

const LONG: Duration = Duration::from_secs(12);
const HEALING: Duration = Duration::from_secs(15);

#[test]
fn two_halves_find_each_other_again() {
    for (count, seeds) in [(2, 20), (3, 30), (4, 20), (5, 20), (10, 10), (50, 2)] {
        let mut slowest = Duration::ZERO;
        for seed in 0..seeds {
            let mut world = World::formed(seed, count);
            let side: Vec<_> = (0..count / 2).collect();
            world.split(&side);
            world.run_for(LONG);
            for node in 0..count {
                let seen = world.nodes[node].core.snapshot().present().count();
                let mates = if node < count / 2 { count / 2 } else { count - count / 2 } - 1;
                assert_eq!(seen, mates, "seed {seed}: node {node} sees its own half only");
            }
            world.heal();
            slowest = slowest.max(world.run_until_agreed(HEALING));
            world.run_for(Duration::from_secs(3));
            world.log.clear();
            world.run_for(Duration::from_secs(5));
            assert_eq!(world.log, [], "seed {seed}: calm follows");
        }
        println!("{count} nodes in two halves: healed within {slowest:?}");
    }
}

#[test]
fn one_that_everyone_lost_comes_back() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 5);
        world.split(&[4]);
        world.run_for(LONG);
        assert_eq!(world.nodes[4].core.snapshot().present().count(), 0);
        world.heal();
        world.run_until_agreed(HEALING);
    }
}

#[test]
fn one_that_hears_but_is_not_heard_comes_back() {
    for (seed, deaf) in (0..30).flat_map(|seed| [(seed, true), (seed, false)]) {
        let mut world = World::formed(seed, 4);
        for other in 0..3 {
            if deaf {
                world.cut(other, 3);
            } else {
                world.cut(3, other);
            }
        }
        world.run_for(LONG);
        let gone = world.told(|t| t.node != 3 && matches!(t.notice, Notice::Down(_)));
        assert!(!gone.is_empty(), "seed {seed}: it was missed");
        world.heal();
        world.run_until_agreed(HEALING);
        world.run_for(Duration::from_secs(3));
        world.log.clear();
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.log, [], "seed {seed}: calm follows");
    }
}

#[test]
fn two_that_lost_only_each_other_stay() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 4);
        world.cut(0, 1);
        world.run_for(LONG);
        let downs = world.told(|told| matches!(told.notice, Notice::Down(_)));
        assert_eq!(downs, [], "seed {seed}: the others vouch for them");
    }
}
