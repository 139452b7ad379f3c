//! Everything at once, by a seed; then all faults end, and all must agree.

use std::time::Duration;

use stead_gossip::Input;

use crate::random::Random;
use crate::world::{CLUSTER, Weather, World, address, identity};

/// How many faults of each kind a run had.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Faults {
    kills: u32,
    restarts: u32,
    replacements: u32,
    pauses: u32,
    splits: u32,
    one_way_cuts: u32,
    bad_weather: u32,
    heals: u32,
    hints: u32,
}

struct Run {
    world: World,
    faults: Faults,
    healed_in: Duration,
}

fn run(seed: u64, count: usize, actions: usize) -> Run {
    let mut world = World::formed(seed, count);
    let mut random = Random::new(!seed);
    let mut faults = Faults::default();
    let mut lives = 10_000;
    for _ in 0..actions {
        act(&mut world, &mut random, &mut faults, &mut lives);
        world.run_for(random.between(Duration::from_millis(1), Duration::from_secs(2)));
    }
    world.heal();
    for node in 0..count {
        if !world.is_alive(node) {
            lives += 1;
            revive(&mut world, node, lives);
        } else if world.is_paused(node) {
            world.resume(node);
        }
    }
    let healed_in = world.run_until_agreed(Duration::from_secs(30));
    world.run_for(Duration::from_secs(5));
    world.log.clear();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.log, [], "seed {seed}: calm follows");
    for node in &world.nodes {
        assert_eq!(node.core.counters().internal, 0, "seed {seed}: foca did not understand");
        assert!(node.core.timers() < 20 + 4 * count, "seed {seed}: {}", node.core.timers());
    }
    Run { world, faults, healed_in }
}

fn revive(world: &mut World, node: usize, life: u64) {
    let id = world.own(node).node.get();
    world.start(identity(id, node, life), Some(CLUSTER));
    world.input(node, Input::Join { addresses: &[address(0), address(1)] });
}

fn act(world: &mut World, random: &mut Random, faults: &mut Faults, lives: &mut u64) {
    let count = world.nodes.len();
    let node = random.below(count);
    let other = random.below(count);
    *lives += 1;
    match random.below(10) {
        0 if world.is_alive(node) => {
            faults.kills += 1;
            world.kill(node);
        }
        1 if !world.is_alive(node) => {
            faults.restarts += 1;
            revive(world, node, *lives);
        }
        2 if !world.is_alive(node) => {
            // It lost its directory, and counts its lives from 1.
            faults.replacements += 1;
            world.start(identity(u128::from(*lives), node, 1), Some(CLUSTER));
            world.input(node, Input::Join { addresses: &[address(0), address(1)] });
        }
        3 if world.is_alive(node) && !world.is_paused(node) => {
            faults.pauses += 1;
            world.pause(node);
        }
        4 if world.is_paused(node) => world.resume(node),
        5 => {
            faults.splits += 1;
            let side: Vec<_> = (0..count).filter(|_| random.chance(400)).collect();
            world.split(&side);
        }
        6 if node != other => {
            faults.one_way_cuts += 1;
            world.cut(node, other);
        }
        7 => {
            faults.bad_weather += 1;
            world.weather = Weather {
                loss_per_mille: random.below(400) as u64,
                duplicates_per_mille: random.below(300) as u64,
                delay_least: Duration::from_micros(50),
                delay_most: Duration::from_millis(1 + random.below(400) as u64),
            };
        }
        8 => {
            faults.heals += 1;
            world.heal();
        }
        9 if world.is_alive(node) && !world.is_paused(node) => {
            faults.hints += 1;
            let missed = world.own(other).node;
            world.input(node, Input::Hint { node: missed });
        }
        _ => {}
    }
}

#[test]
fn whatever_happened_all_agree_after_it() {
    // More by `STEAD_SEEDS=1000`.
    let seeds = std::env::var("STEAD_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds: u64 = seeds.unwrap_or(90);
    let (mut slowest, mut total, mut span) = (Duration::ZERO, Faults::default(), Duration::ZERO);
    for seed in 0..seeds {
        let count = [2, 3, 3, 5, 7, 12][seed as usize % 6];
        let Run { world, faults, healed_in } = run(seed, count, 40);
        assert_ne!(faults, Faults::default(), "seed {seed}: nothing was done to it");
        slowest = slowest.max(healed_in);
        span += world.now;
        total.kills += faults.kills;
        total.restarts += faults.restarts;
        total.replacements += faults.replacements;
        total.pauses += faults.pauses;
        total.splits += faults.splits;
        total.one_way_cuts += faults.one_way_cuts;
        total.bad_weather += faults.bad_weather;
        total.heals += faults.heals;
        total.hints += faults.hints;
    }
    println!("{seeds} seeds, {span:?} of virtual time, healed within {slowest:?}; {total:?}");
    let Faults { kills, restarts, replacements, pauses, splits, one_way_cuts, .. } = total;
    for faults in [kills, restarts, replacements, pauses, splits, one_way_cuts] {
        assert!(faults > 0, "each kind was there: {total:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_byte() {
    for seed in 0..6 {
        let once = run(seed, 5, 30);
        let again = run(seed, 5, 30);
        assert_eq!(once.world.digest, again.world.digest, "seed {seed}");
        assert_eq!(once.world.datagrams, again.world.datagrams);
        assert_eq!(once.faults, again.faults);
        assert_ne!(once.world.digest, run(seed + 100, 5, 30).world.digest);
    }
}
