//! Clusters that live through joins, deaths, returns and drains, planned for all
//! the while: each plan keeps the rules, and when the faults end everything comes
//! to rest as it should be.

use std::num::NonZeroU16;

use crate::sim::{Cluster, Random};
use proptest::prelude::*;
use stead_model::PartitionCount;
use stead_placement::{Replicas, Settings, Standing};

fn settings(replicas: Replicas, partitions: u16) -> Settings {
    Settings {
        replicas,
        partitions: PartitionCount::new(partitions).expect("a count"),
        ..Settings::default()
    }
}

/// How many ticks a cluster may take to come to rest. A replica takes at most some
/// ten ticks with its steps, and some are lost.
fn patience(cluster: &Cluster) -> usize {
    let replicas = cluster.groups.len() * cluster.settings.replicas.get();
    let at_once = usize::from(cluster.settings.moves_per_node_max.get());
    200 + 40 * replicas / at_once
}

#[derive(Debug, Default)]
struct Faults {
    died: u32,
    returned: u32,
    replaced: u32,
    drained: u32,
    stayed: u32,
    joined: u32,
}

/// One thing that happens to a cluster.
fn happen(cluster: &mut Cluster, dice: &mut Random, faults: &mut Faults) {
    let present = cluster.with(|standing| standing == Standing::Present);
    let gone = cluster.with(|standing| matches!(standing, Standing::Gone { .. }));
    let draining = cluster.with(|standing| standing == Standing::Draining);
    let zone = ["a", "b", "c"][dice.below(3) as usize];
    match dice.below(12) {
        0..=2 => {
            if let Some(node) = dice.pick(&present) {
                cluster.kill(node);
                faults.died += 1;
            }
        }
        3..=6 => {
            if let Some(node) = dice.pick(&gone) {
                cluster.set(node, Standing::Present);
                faults.returned += 1;
            }
        }
        // Lost with its disk, and another comes: only while all others are there.
        7 => {
            let whole = cluster.can_lose_a_disk();
            if let Some(node) = dice.pick(&present).filter(|_| whole) {
                cluster.set(node, Standing::Removed);
                cluster.join(Some(zone));
                faults.replaced += 1;
            }
        }
        8 => {
            if let Some(node) = dice.pick(&present).filter(|_| present.len() > 1) {
                cluster.set(node, Standing::Draining);
                faults.drained += 1;
            }
        }
        9 => {
            if let Some(node) = dice.pick(&draining) {
                cluster.set(node, Standing::Present);
                faults.stayed += 1;
            }
        }
        _ => {
            if present.len() < 8 {
                cluster.join(Some(zone));
                faults.joined += 1;
            }
        }
    }
}

fn live_through(seed: u64, forgetful: bool) -> (Cluster, Faults) {
    let mut dice = Random::new(seed ^ 0x5eed);
    let replicas = [Replicas::One, Replicas::Three, Replicas::Three, Replicas::Five];
    let replicas = replicas[dice.below(4) as usize];
    let mut cluster = Cluster::new(settings(replicas, 1 + dice.below(24) as u16), seed);
    cluster.forgetful = forgetful;
    let mut faults = Faults::default();
    for _ in 0..dice.below(6) {
        cluster.join(None);
    }
    cluster.unreliable = true;
    for _ in 0..200 {
        if dice.percent(15) {
            happen(&mut cluster, &mut dice, &mut faults);
        }
        // A leader of the cluster's facts that has just come to lead remembers
        // nothing.
        if dice.percent(3) {
            cluster.target = None;
        }
        cluster.tick();
    }
    for node in cluster.with(|standing| matches!(standing, Standing::Gone { .. })) {
        cluster.set(node, Standing::Present);
    }
    if cluster.with(|standing| standing == Standing::Present).is_empty() {
        cluster.join(None);
    }
    cluster.settle(patience(&cluster));
    cluster.must_be_even();
    for node in cluster.with(|standing| standing == Standing::Draining) {
        assert_eq!(cluster.voters_on(node), 0, "a drained node is empty");
    }
    (cluster, faults)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn clusters_live_through_faults_and_come_to_rest(seed: u64) {
        live_through(seed, false);
    }

    #[test]
    fn clusters_come_to_rest_though_no_target_is_remembered(seed: u64) {
        live_through(seed, true);
    }
}

#[test]
fn faults_of_each_kind_are_injected() {
    let mut sum = [0; 6];
    for seed in 0..40 {
        let faults = live_through(seed, false).1;
        let Faults { died, returned, replaced, drained, stayed, joined } = faults;
        for (sum, count) in sum.iter_mut().zip([died, returned, replaced, drained, stayed, joined])
        {
            *sum += count;
        }
    }
    assert!(sum.iter().all(|&count| count >= 5), "{sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        let [one, other] = [(); 2].map(|()| format!("{:?}", live_through(seed, false).0));
        assert_eq!(one, other);
    }
}

#[test]
fn moves_are_bounded_as_set() {
    let mut settings = settings(Replicas::Three, 32);
    settings.moves_max = NonZeroU16::new(1).expect("one");
    settings.moves_per_node_max = NonZeroU16::new(1).expect("one");
    let mut cluster = Cluster::new(settings, 1);
    (0..4).for_each(|_| _ = cluster.join(None));
    cluster.settle(5_000);
    cluster.must_be_even();
}
