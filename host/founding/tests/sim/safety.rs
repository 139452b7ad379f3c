//! Never two clusters, whatever is lost, late, cut off or restarted, as long as
//! disks keep what they were given.

use rand::RngExt;
use stead_founding::Letter;

use crate::{
    seeds,
    world::{Faults, World},
};

/// A minute or so in which nodes come, die, return, and lose sight of each other.
fn storm(seed: u64, faults: Faults) -> World {
    let mut world = World::new(seed, 1 + u128::from(seed % 7), faults);
    let ids = world.ids();
    for _ in 0..120 {
        let one = ids[world.random.random_range(0..ids.len())];
        match world.random.random_range(0..9) {
            0..4 if !world.runs(one) => world.start(one),
            4 if world.runs(one) => {
                world.crashes += 1;
                world.stop(one);
            }
            5 => {
                let other = ids[world.random.random_range(0..ids.len())];
                if other != one {
                    world.cut.insert((one, other));
                }
            }
            6 => world.isolate(one),
            7 => world.cut.clear(),
            _ => {}
        }
        let pause = world.random.random_range(0..2_000);
        world.run(pause);
    }
    world
}

/// Everything is mended, and everyone comes back.
fn mend(world: &mut World) {
    world.faults =
        Faults { loss_percent: 0, crash_permille: 0, delay_ms: 20, unlucky: false, ..world.faults };
    world.cut.clear();
    for id in world.ids() {
        if !world.runs(id) {
            world.start(id);
        }
    }
    world.run(240_000);
}

fn faults(seed: u64) -> Faults {
    Faults {
        loss_percent: [0, 5, 30, 60][(seed / 7 % 4) as usize],
        delay_ms: [5, 200, 3_000][(seed / 28 % 3) as usize],
        crash_permille: [0, 10, 60][(seed / 84 % 3) as usize],
        // Mostly none, so that many bid at the same time.
        grace_ms: [0, 0, 10_000][(seed / 252 % 3) as usize],
        unlucky: seed.is_multiple_of(2),
        forgets: false,
    }
}

#[test]
fn never_two_clusters_and_in_the_end_everyone_is_in_the_one() {
    let (mut crashes, mut lost, mut words) = (0, 0, 0);
    for seed in seeds(3_000) {
        let mut world = storm(seed, faults(seed));
        assert!(world.clusters().len() <= 1, "seed {seed}: {:?}", world.founded);
        crashes += world.crashes;
        lost += world.lost;
        words += world.trace.len();
        mend(&mut world);
        assert!(world.founded.len() <= 1, "seed {seed}: {:?}", world.founded);
        for id in world.ids() {
            let charter = world.disk(id).charter;
            assert!(charter.is_some(), "seed {seed}: {id} waits: {:?}", world.waits(id));
            assert_eq!(charter, world.clusters().first().copied(), "seed {seed}");
        }
    }
    if std::env::var("STEAD_SEED").is_err() {
        assert!(crashes > 1_000 && lost > 1_000 && words > 1_000, "{crashes} {lost} {words}");
    }
}

/// The same storms find what a node that forgets its promises does: the test can
/// fail.
#[test]
fn a_node_that_forgets_its_promises_is_found_out() {
    let founds_two = |seed: &u64| {
        let mut world = storm(*seed, Faults { forgets: true, ..faults(*seed) });
        mend(&mut world);
        world.founded.len() > 1
    };
    let found = (0..1_000).filter(founds_two).count();
    assert!(found > 0, "no storm shows it");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in seeds(40) {
        let trace = |world: World| -> Vec<(u64, Letter)> { world.trace };
        assert_eq!(trace(storm(seed, faults(seed))), trace(storm(seed, faults(seed))), "{seed}");
    }
}
