//! Replicas that were away: by the log while it is kept, and by whole stores, which go
//! on where they were interrupted.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use stead_consensus::{MembersChange, TransferLimits};
use stead_journal::JournalOptions;
use stead_model::{NodeId, PartitionId};

use crate::house::{House, PATIENCE, options, partitions};

/// Writes for as long as several checkpoints take.
fn write_over_checkpoints(house: &mut House, rounds: u64, each: u64) {
    for _ in 0..rounds {
        for partition in partitions() {
            house.write(partition, each);
        }
        std::thread::sleep(Duration::from_millis(120));
    }
}

#[test]
fn a_node_that_comes_back_after_checkpoints_catches_up_by_the_log() {
    let mut house = House::of_three();
    write_over_checkpoints(&mut house, 3, 50);
    house.settle();
    let before = house.transfers().begun;
    for round in 0..3 {
        let node = house.nodes()[round % 3];
        let disk = house.kill(node);
        write_over_checkpoints(&mut house, 6, 50);
        // So that the log would have been let go by now.
        std::thread::sleep(Duration::from_millis(1_500));
        house.start(disk);
        house.settle();
    }
    assert_eq!(house.transfers().begun, before, "nobody was sent a store");
}

/// Grows the log well beyond what is kept while a node is away.
fn is_sent_stores(options: JournalOptions) -> bool {
    let mut house = House::with(options, 3, 3);
    write_over_checkpoints(&mut house, 2, 20);
    house.settle();
    let node = house.nodes()[1];
    let disk = house.kill(node);
    let until = Instant::now() + PATIENCE;
    for _ in 0..6 {
        write_over_checkpoints(&mut house, 2, 150);
        std::thread::sleep(Duration::from_millis(1_100));
        assert!(Instant::now() < until + PATIENCE, "it takes too long");
    }
    house.start(disk);
    house.settle();
    house.transfers().begun > 0
}

#[test]
fn no_more_log_is_kept_than_is_allowed_and_no_longer() {
    let little = JournalOptions { log_keep_bytes: 128 << 10, ..options() };
    assert!(is_sent_stores(little), "it was kept beyond its size");
    let short = JournalOptions { log_keep_ms: 500, ..options() };
    assert!(is_sent_stores(short), "it was kept beyond its age");
    assert!(!is_sent_stores(options()), "it was not kept");
}

/// A partition with a store of many chunks, on one of the nodes.
fn large() -> (House, PartitionId, NodeId) {
    let mut house = House::of(2, 1);
    let partition = PartitionId(1);
    house.write(partition, 12_000);
    // The log that led there is gone: what comes now needs the store.
    std::thread::sleep(Duration::from_millis(1_500));
    let (leader, _) = house.leader(partition);
    let other = house.nodes().into_iter().find(|node| *node != leader).expect("there are two");
    (house, partition, other)
}

fn join(house: &House, partition: PartitionId, node: NodeId) {
    let (leader, _) = house.leader(partition);
    let leader = house.node(leader);
    let added = leader.change(partition, MembersChange::AddLearner(node));
    futures::executor::block_on(added).expect("it is added");
}

fn wait_for_all(house: &House, partition: PartitionId, node: NodeId) {
    let until = Instant::now() + 2 * PATIENCE;
    let wanted = house.committed[&partition];
    while house.events(node, partition) < wanted {
        assert!(Instant::now() < until, "{:?}{}", house.transfers(), house.shown(partition));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_store_goes_on_where_its_connection_broke() {
    let (house, partition, other) = large();
    // Every third message is lost, or its answer.
    house.net.bulk_passes.store(2, Ordering::Relaxed);
    join(&house, partition, other);
    wait_for_all(&house, partition, other);
    // The sender may not have heard yet that all is there.
    let until = Instant::now() + PATIENCE;
    while house.transfers().finished == 0 {
        assert!(Instant::now() < until, "{:?}", house.transfers());
        std::thread::sleep(Duration::from_millis(10));
    }
    let totals = house.transfers();
    let lost = house.net.bulk_lost.load(Ordering::Relaxed);
    assert_eq!((totals.begun, totals.finished), (1, 1), "it was not begun anew: {totals:?}");
    assert!(totals.resumed >= 2 && lost >= 2, "{totals:?}, {lost} lost");
    // Each chunk once, and again only where it was lost before it arrived.
    let chunks = totals.bytes / (600 << 10);
    assert!(chunks >= 4, "{totals:?}");
    assert!(totals.chunks <= 2 * totals.bytes.div_ceil(512 << 10) + lost, "{totals:?}");
}

#[test]
fn a_store_goes_on_after_a_long_silence() {
    let (house, partition, other) = large();
    let (leader, _) = house.leader(partition);
    house
        .node(leader)
        .limit_transfers(TransferLimits { bytes_per_second: 1 << 20, ..TransferLimits::default() });
    join(&house, partition, other);
    let until = Instant::now() + PATIENCE;
    loop {
        let sent: Vec<_> = house.node(leader).transfers();
        if let [transfer] = &sent[..]
            && transfer.sent_bytes > 0
        {
            assert_eq!((transfer.partition, transfer.to), (partition, other));
            assert!(!transfer.waits && transfer.total_bytes > transfer.sent_bytes, "{transfer:?}");
            break;
        }
        assert!(Instant::now() < until, "{sent:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    house.cut(other, true);
    // Longer than a chunk was tried for once.
    std::thread::sleep(Duration::from_secs(5));
    house.heal();
    house.node(leader).limit_transfers(TransferLimits::default());
    wait_for_all(&house, partition, other);
    let totals = house.transfers();
    assert_eq!(totals.begun, 1, "{totals:?}");
    assert!(totals.resumed >= 1, "{totals:?}");
    assert!(house.node(leader).transfers().is_empty());
}

#[test]
fn a_receiver_that_has_forgotten_is_sent_the_store_anew() {
    let (mut house, partition, other) = large();
    let (leader, _) = house.leader(partition);
    house
        .node(leader)
        .limit_transfers(TransferLimits { bytes_per_second: 1 << 20, ..TransferLimits::default() });
    join(&house, partition, other);
    let until = Instant::now() + PATIENCE;
    while house.transfers().bytes == 0 {
        assert!(Instant::now() < until, "nothing is sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    let disk = house.kill(other);
    house.start(disk);
    house.node(leader).limit_transfers(TransferLimits::default());
    wait_for_all(&house, partition, other);
    let until = Instant::now() + PATIENCE;
    while house.transfers().finished == 0 {
        assert!(Instant::now() < until, "{:?}", house.transfers());
        std::thread::sleep(Duration::from_millis(10));
    }
    let totals = house.transfers();
    assert!(totals.begun >= 2 && totals.finished == 1, "{totals:?}");
}

/// A node of the version before doesn't say what it has; it is sent a store all the
/// same.
#[test]
fn a_node_of_the_version_before_is_asked_nothing_that_it_does_not_know() {
    let (house, partition, other) = large();
    house.net.version.store(1, Ordering::Relaxed);
    house.net.bulk_passes.store(4, Ordering::Relaxed);
    join(&house, partition, other);
    wait_for_all(&house, partition, other);
    assert_eq!(house.transfers().resumed, 0);
}
