//! That a cluster forms, when, and when not.

use stead_founding::Waits;
use stead_model::ClusterId;

use crate::{
    seeds,
    world::{Faults, World},
};

/// How long a majority waits for the rest.
const GRACE_MS: u64 = 30_000;

const QUIET: Faults = Faults {
    loss_percent: 0,
    delay_ms: 10,
    crash_permille: 0,
    grace_ms: GRACE_MS,
    unlucky: false,
    forgets: false,
};

#[test]
fn all_that_start_at_once_are_one_cluster_long_before_the_grace_is_over() {
    for seed in seeds(50) {
        for count in [1, 2, 3, 4, 5, 7] {
            let mut world = World::new(seed, count, QUIET);
            for id in world.ids() {
                world.start(id);
            }
            world.run(GRACE_MS / 2);
            assert!(world.ids().iter().all(|id| world.disk(*id).charter.is_some()), "seed {seed}");
            assert_eq!(world.founded.len(), 1, "seed {seed}, {count} nodes");
        }
    }
}

#[test]
fn those_that_come_one_after_the_other_wait_for_the_last() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3, QUIET);
        let ids = world.ids();
        world.start(ids[1]);
        world.run(3 * GRACE_MS);
        assert!(matches!(world.waits(ids[1]), Some(Waits::ForMajority(1))));
        world.start(ids[2]);
        world.run(GRACE_MS / 2);
        assert!(world.founded.is_empty(), "the grace begins with the majority");
        assert!(matches!(world.waits(ids[1]), Some(Waits::ForTheRest(2, _))));
        world.start(ids[0]);
        world.run(GRACE_MS / 2);
        assert_eq!(world.founded.len(), 1, "seed {seed}");
        assert!(ids.iter().all(|id| world.disk(*id).charter.is_some()), "seed {seed}");
    }
}

#[test]
fn a_majority_goes_without_the_rest_after_the_grace_and_a_minority_never() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 5, QUIET);
        let ids = world.ids();
        for id in &ids[..2] {
            world.start(*id);
        }
        world.run(10 * GRACE_MS);
        assert!(world.founded.is_empty(), "seed {seed}: two of five");
        world.start(ids[4]);
        world.run(2 * GRACE_MS);
        assert_eq!(world.founded.len(), 1, "seed {seed}: three of five");
        for id in &ids[2..4] {
            world.start(*id);
        }
        world.run(5_000);
        assert!(ids.iter().all(|id| world.disk(*id).charter.is_some()), "seed {seed}");
    }
}

#[test]
fn two_empty_nodes_found_nothing_beside_one_with_data_that_is_seen_in_time() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3, QUIET);
        let ids = world.ids();
        let old = ClusterId(77);
        world.enrol(ids[1], old);
        for other in [ids[0], ids[2]] {
            world.cut.extend([(ids[1], other), (other, ids[1])]);
            world.start(other);
        }
        world.start(ids[1]);
        world.run(GRACE_MS - 2_000);
        assert!(world.founded.is_empty(), "seed {seed}");
        world.cut.clear();
        world.run(GRACE_MS);
        assert!(world.founded.is_empty(), "seed {seed}");
        assert!(ids.iter().all(|id| world.disk(*id).charter == Some(old)), "seed {seed}");
    }
}

#[test]
fn those_that_only_enter_found_nothing_however_long_and_enter_what_is_there() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3, QUIET);
        let ids = world.ids();
        for id in &ids {
            world.only_enters(*id);
            world.start(*id);
        }
        world.run(20 * GRACE_MS);
        assert!(world.founded.is_empty(), "seed {seed}");
        assert_eq!(world.waits(ids[0]), Some(Waits::ToEnter));
        // One that may found alone among them has no majority, and isn't given one.
        world.stop(ids[0]);
        let mut mixed = World::new(seed, 3, QUIET);
        let ids = mixed.ids();
        for id in &ids[..2] {
            mixed.only_enters(*id);
        }
        for id in &ids {
            mixed.start(*id);
        }
        mixed.run(20 * GRACE_MS);
        assert!(mixed.founded.is_empty(), "seed {seed}");
        mixed.stop(ids[2]);
        mixed.enrol(ids[2], ClusterId(5));
        mixed.start(ids[2]);
        mixed.run(5_000);
        assert!(ids.iter().all(|id| mixed.disk(*id).charter == Some(ClusterId(5))));
    }
}

#[test]
fn those_that_expect_different_numbers_found_nothing_and_say_so() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3, QUIET);
        let ids = world.ids();
        world.expects(ids[1], 5);
        world.expects(ids[2], 4);
        for id in &ids {
            world.start(*id);
        }
        world.run(5 * GRACE_MS);
        assert!(world.founded.is_empty(), "seed {seed}");
        assert!(
            ids.iter().any(|id| matches!(world.waits(*id), Some(Waits::ForOneSize(..)))),
            "seed {seed}"
        );
    }
}

#[test]
fn a_founder_that_died_before_it_founded_does_when_it_is_back_and_is_waited_for() {
    let mut seen = 0;
    for seed in seeds(400) {
        let faults = Faults { crash_permille: 120, ..QUIET };
        let mut world = World::new(seed, 3, faults);
        let ids = world.ids();
        for id in &ids {
            world.start(*id);
        }
        world.run(5_000);
        let favoured: Vec<_> =
            ids.iter().filter_map(|id| world.disk(*id).kept.favoured.map(|(_, c)| c)).collect();
        let Some(choice) = favoured.first().copied() else { continue };
        let chosen = favoured.iter().filter(|favoured| **favoured == choice).count() >= 2;
        if !chosen || !world.founded.is_empty() || world.runs(choice.founder) {
            continue;
        }
        seen += 1;
        world.faults = QUIET;
        for id in ids.iter().filter(|id| **id != choice.founder) {
            if !world.runs(*id) {
                world.start(*id);
            }
        }
        world.run(20 * GRACE_MS);
        assert!(world.founded.is_empty(), "seed {seed}: it may have founded, for all they know");
        let waits: Vec<_> = ids.iter().filter_map(|id| world.waits(*id)).collect();
        assert!(waits.contains(&Waits::ForFounder(choice.founder)), "seed {seed}: {waits:?}");
        world.start(choice.founder);
        world.run(30_000);
        assert_eq!(world.founded.first(), Some(&(choice.cluster, choice.founder)), "seed {seed}");
        assert!(ids.iter().all(|id| world.disk(*id).charter == Some(choice.cluster)));
    }
    assert!(seen > 0 || std::env::var("STEAD_SEED").is_ok(), "no seed shows it");
}
