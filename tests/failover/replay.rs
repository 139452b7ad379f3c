//! How much of a failover's pause is the replay of an entity's events.
//!
//! For each length of journal, with and without a snapshot, the node that leads the
//! entity is killed. Beside the entity another one of its partition is called,
//! which has hardly any events: what the entity's pause is longer than that one's
//! is its replay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stead_tests::{cluster::Cluster, node::Node};
use tokio::sync::watch;

use crate::caller::{Acknowledged, call, first_after};

/// The most events in one outcome.
const AT_ONCE: u64 = 1_000;
/// How long after the fault everything must have been answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kills the leader of each entity so many times, and prints a table.
pub async fn measure(each: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_GUESTS_REPLAY_TIMEOUT", "60s"), ("STEAD_NODE_PARTITIONS", "16")];
    let mut cluster = Cluster::start(directory.path(), 3, &settings).await;
    let manifest = json!({"type": "ledger", "snapshot": {"every-events": 0, "every-bytes": 0}});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    println!("| events | snapshot | kills | entity, p50 | max | without events, p50 | replay |");
    println!("|---|---|---|---|---|---|---|");
    for events in [100, 10_000, 1_000_000] {
        for snapshot in [false, true] {
            let entity = format!("ledger/{events}-{snapshot}");
            fill(cluster.node(0), &entity, events, snapshot).await;
            let beside = one_beside(cluster.node(0), &entity).await;
            let (mut own, mut others) = (Vec::new(), Vec::new());
            for _ in 0..each {
                let pauses = kill_leader_of(&mut cluster, &entity, &beside).await;
                own.push(pauses.0);
                others.push(pauses.1);
            }
            own.sort_unstable();
            others.sort_unstable();
            let (median, greatest) = (own[own.len() / 2], own[own.len() - 1]);
            let other = others[others.len() / 2];
            let replay = median.saturating_sub(other);
            println!(
                "| {events} | {} | {each} | {} ms | {} ms | {} ms | {} ms, {:.0} % |",
                if snapshot { "at the last event" } else { "none" },
                median.as_millis(),
                greatest.as_millis(),
                other.as_millis(),
                replay.as_millis(),
                replay.as_secs_f64() / median.as_secs_f64() * 100.0,
            );
        }
    }
}

async fn fill(node: &Node, entity: &str, events: u64, snapshot: bool) {
    let mut left = events;
    while left > 0 {
        let times = left.min(AT_ONCE);
        let body = json!({"serial": "a serial of thirty-two bytes ...", "times": times});
        let answer = node.call(entity, "record-many", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        left -= times;
    }
    if snapshot {
        let path = format!("/entities/{entity}/snapshot");
        let taken = node.client.post(node.admin, &path, &[], &json!(null)).await;
        let taken = taken.expect("an answer");
        assert_eq!(taken.status, 200, "{}", taken.text());
    }
}

/// An entity of the same partition that has one event.
async fn one_beside(node: &Node, entity: &str) -> String {
    let partition = partition_of(node, entity).await;
    for nth in 0_u32.. {
        let beside = format!("ledger/beside-{nth}");
        if partition_of(node, &beside).await == partition {
            let answer = node.call(&beside, "record", &json!({"serial": "first"})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            return beside;
        }
    }
    unreachable!("some id hashes to each partition")
}

async fn partition_of(node: &Node, entity: &str) -> u64 {
    let shown: Value = node.admin_ask(&format!("/entities/{entity}")).await;
    shown["partition"].as_u64().expect("a partition")
}

async fn kill_leader_of(cluster: &mut Cluster, entity: &str, beside: &str) -> (Duration, Duration) {
    let partition = partition_of(cluster.node(0), entity).await;
    let mut leader = None;
    for at in 0..cluster.len() {
        if crate::led_by(cluster, at).await.contains(&partition) {
            leader = Some(at);
        }
    }
    let leader = leader.expect("somebody leads it");
    let servers = watch::Sender::new(crate::ingresses(cluster, Some(leader)));
    let stop = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = [entity, beside]
        .into_iter()
        .map(|entity| {
            let acknowledged = Acknowledged::default();
            let (servers, stop) = (servers.subscribe(), Arc::clone(&stop));
            let (known, refused) = (Arc::clone(&acknowledged), Arc::clone(&refused));
            let entity = entity.to_owned();
            (acknowledged, tokio::spawn(call(entity, known, servers, stop, refused)))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let begun = Instant::now();
    cluster.kill(leader);
    let answered =
        || callers.iter().map(|(acknowledged, _)| first_after(acknowledged, begun)).collect();
    let pauses: Vec<Option<Duration>> = loop {
        let pauses: Vec<_> = answered();
        if pauses.iter().all(Option::is_some) || begun.elapsed() > PATIENCE {
            break pauses;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    stop.store(true, Ordering::Relaxed);
    for (_, caller) in callers {
        caller.await.expect("a caller ends");
    }
    cluster.restart(leader).await;
    cluster.settled().await;
    let pause = |at: usize| pauses.get(at).copied().flatten().expect("answered in time");
    (pause(0), pause(1))
}
