//! Targets: even, spread over zones, and at rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
};

use proptest::prelude::*;
use stead_model::{NodeId, PartitionCount, PartitionId, TimestampMs};
use stead_placement::{
    NodeView, Observed, PartitionView, Progress, Replicas, Settings, Standing, Target, plan,
};

fn node(number: usize) -> NodeId {
    NodeId((number as u128 + 1) << 96)
}

fn settings(replicas: Replicas, partitions: u16) -> Settings {
    let partitions = PartitionCount::new(partitions).expect("a count");
    Settings { replicas, partitions, ..Settings::default() }
}

/// Present nodes, in zones that are numbered; 0 stands for none.
fn cluster(zones: &[u8]) -> Observed {
    let view = |zone: &u8| NodeView::new(Standing::Present, (*zone > 0).then(|| zone.to_string()));
    Observed {
        nodes: zones.iter().enumerate().map(|(at, zone)| (node(at), view(zone))).collect(),
        partitions: BTreeMap::new(),
        now: TimestampMs(1_000_000),
    }
}

/// The partitions as they are when the target has been reached.
fn reach(observed: &mut Observed, target: &Target) {
    let leaders = target.first_leaders();
    observed.partitions = target
        .iter()
        .map(|(partition, nodes)| {
            let view = PartitionView {
                voters: nodes.iter().map(|&node| (node, Progress::Behind(0))).collect(),
                leader: leaders.get(&partition).copied(),
                has_quorum: true,
                ..PartitionView::default()
            };
            (partition, view)
        })
        .collect();
}

fn spread_of(counts: impl IntoIterator<Item = NodeId>, observed: &Observed) -> usize {
    let mut loads: BTreeMap<_, usize> = observed.nodes.keys().map(|&node| (node, 0)).collect();
    for node in counts {
        *loads.entry(node).or_default() += 1;
    }
    loads.values().max().unwrap_or(&0) - loads.values().min().unwrap_or(&0)
}

/// How many partitions have two replicas in one zone.
fn crowded(target: &Target, observed: &Observed) -> usize {
    target
        .iter()
        .filter(|(_, nodes)| {
            let zones: BTreeSet<_> =
                nodes.iter().filter_map(|node| observed.nodes.get(node)?.zone.as_ref()).collect();
            zones.len() < nodes.len()
        })
        .count()
}

fn replicas() -> impl Strategy<Value = Replicas> {
    prop_oneof![Just(Replicas::One), Just(Replicas::Three), Just(Replicas::Five)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_first_target_is_even_and_at_rest(
        replicas in replicas(),
        partitions in 1_u16..100,
        zones in prop::collection::vec(0_u8..4, 1..12),
    ) {
        let settings = settings(replicas, partitions);
        let mut observed = cluster(&zones);
        let target = Target::initial(&settings, &observed);
        let wanted = replicas.get().min(zones.len());
        for (partition, nodes) in target.iter() {
            let distinct: BTreeSet<_> = nodes.iter().collect();
            prop_assert_eq!(distinct.len(), wanted, "{}", partition);
        }
        let all = target.iter().flat_map(|(_, nodes)| nodes.iter().copied());
        prop_assert!(spread_of(all, &observed) <= 1);
        prop_assert!(spread_of(target.first_leaders().into_values(), &observed) <= 1);

        reach(&mut observed, &target);
        let plan = plan(&settings, &observed, None);
        prop_assert_eq!(&plan.steps, &[]);
        prop_assert_eq!(plan.target, target);
    }

    /// From any placement at all.
    #[test]
    fn a_target_is_even_and_at_rest_wherever_it_starts(
        replicas in replicas(),
        zones in prop::collection::vec(0_u8..4, 1..10),
        places in prop::collection::vec(prop::collection::btree_set(0_usize..10, 1..6), 1..60),
    ) {
        let settings = settings(replicas, 60);
        let mut observed = cluster(&zones);
        for (partition, nodes) in (0..).zip(&places) {
            let view = PartitionView {
                voters: nodes.iter().map(|&at| (node(at), Progress::Behind(0))).collect(),
                ..PartitionView::default()
            };
            observed.partitions.insert(PartitionId(partition), view);
        }
        let target = Target::from_observed(&settings, &observed, None);
        let all = target.iter().flat_map(|(_, nodes)| nodes.iter().copied());
        prop_assert!(spread_of(all, &observed) <= 1);

        let again = Target::from_observed(&settings, &observed, Some(&target));
        prop_assert_eq!(&again, &target);
        reach(&mut observed, &target);
        let plan = plan(&settings, &observed, None);
        prop_assert_eq!(&plan.target, &target);
        prop_assert_eq!(plan.steps, []);
    }
}

#[test]
fn replicas_are_in_different_zones_where_zones_are_alike() {
    for zones in [&[1, 1, 2, 2, 3, 3][..], &[1, 2, 3], &[1, 2, 3, 1, 2, 3, 1, 2, 3], &[1, 2, 3, 4]]
    {
        let observed = cluster(zones);
        let target = Target::initial(&settings(Replicas::Three, 64), &observed);
        assert_eq!(crowded(&target, &observed), 0, "{zones:?}");
    }
}

/// Replicas that were placed before nodes had zones are spread later.
#[test]
fn replicas_are_spread_when_zones_become_known() {
    let settings = settings(Replicas::Three, 64);
    let mut observed = cluster(&[0; 6]);
    let before = Target::initial(&settings, &observed);
    reach(&mut observed, &before);
    observed.nodes = cluster(&[1, 1, 2, 2, 3, 3]).nodes;
    assert!(crowded(&before, &observed) > 20, "there is something to do");
    let after = Target::from_observed(&settings, &observed, Some(&before));
    assert_eq!(crowded(&after, &observed), 0);
    let all = after.iter().flat_map(|(_, nodes)| nodes.iter().copied());
    assert!(spread_of(all, &observed) <= 1);
}

/// Zone 1 has one node of four: it can't have one replica of each partition and
/// hold no more than others.
#[test]
fn balance_comes_before_zones() {
    let observed = cluster(&[1, 2, 2, 2]);
    let target = Target::initial(&settings(Replicas::Three, 64), &observed);
    let all = target.iter().flat_map(|(_, nodes)| nodes.iter().copied());
    assert!(spread_of(all, &observed) <= 1);
    let all_in_one = target.iter().filter(|(_, nodes)| !nodes.contains(&node(0))).count();
    assert_eq!(all_in_one, 16);
}

#[test]
fn a_target_reads_what_it_writes() {
    let observed = cluster(&[1, 2, 3, 0]);
    let target = Target::initial(&settings(Replicas::Three, 16), &observed);
    let bytes = postcard::to_allocvec(&target).expect("bytes");
    assert_eq!(postcard::from_bytes::<Target>(&bytes).expect("a target"), target);
}

#[test]
fn the_largest_cluster_is_planned() {
    let mut settings = settings(Replicas::Three, PartitionCount::MAX);
    settings.moves_max = NonZeroU16::MAX;
    settings.moves_per_node_max = NonZeroU16::MAX;
    let zones: Vec<_> = (0..60).map(|at| 1 + at % 3).collect();
    let mut observed = cluster(&zones);
    let target = Target::initial(&settings, &observed);
    assert_eq!(crowded(&target, &observed), 0);
    reach(&mut observed, &target);
    observed.nodes.insert(node(60), NodeView::new(Standing::Present, Some("1".to_owned())));
    let planned = plan(&settings, &observed, Some(&target));
    assert_eq!(planned.steps.len(), 4096 * 3 / 61);
    let again = plan(&settings, &observed, Some(&planned.target));
    assert_eq!(planned, again);
}
