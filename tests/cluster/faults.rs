//! Faults under load: nothing acknowledged is lost, nothing is done twice.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::json;
use stead_tests::{cluster::Cluster, ledger, random::Random};

use crate::clients::Clients;

const CLIENTS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    Stop,
    Freeze,
    LoseDisk,
}

const KINDS: [Fault; 4] = [Fault::Kill, Fault::Stop, Fault::Freeze, Fault::LoseDisk];

#[tokio::test(flavor = "multi_thread")]
async fn faults_lose_nothing_and_double_nothing() {
    let rounds = setting("STEAD_CLUSTER_ROUNDS", KINDS.len());
    let mut random = Random::from_environment("cluster");
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [
        ("STEAD_NODE_PARTITIONS", "16"),
        ("STEAD_JOURNAL_CHECKPOINT_AGE", "2s"),
        ("STEAD_CLUSTER_GRACE", "5s"),
    ];
    let mut cluster = Cluster::start(directory.path(), 3, &settings).await;
    let manifest = json!({"type": "ledger", "snapshot": {"every-events": 50}});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let servers = |cluster: &Cluster| cluster.running().map(|node| node.ingress).collect();
    let clients = Clients::start(CLIENTS, servers(&cluster), &mut random);

    let mut pauses: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    let mut healing = Duration::ZERO;
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(500 + random.below(1_000))).await;
        let fault = KINDS[round % KINDS.len()];
        let at = random.below(3) as usize;
        // Callers go to the others, as behind a load balancer that has noticed.
        let others = (0..3).filter(|other| *other != at);
        clients.call(others.map(|other| cluster.node(other).ingress).collect());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begun = Instant::now();
        match fault {
            Fault::Kill | Fault::LoseDisk => cluster.kill(at),
            Fault::Stop => cluster.stop(at),
            Fault::Freeze => cluster.signal(at, "STOP"),
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        pauses.entry(fault).or_default().push(clients.longest_since(begun));
        match fault {
            Fault::Kill | Fault::Stop => cluster.restart(at).await,
            Fault::Freeze => cluster.signal(at, "CONT"),
            Fault::LoseDisk => {
                cluster.lose_disk(at);
                cluster.restart(at).await;
            }
        }
        healing = healing.max(cluster.settled().await);
        clients.call(servers(&cluster));
    }
    let history = clients.finish().await;
    for at in 0..3 {
        ledger::retry_some(cluster.node(at), &history, 100, &mut random).await;
    }
    for (fault, pauses) in &pauses {
        println!("{fault:?}: {} times, longest waits {pauses:?}", pauses.len());
    }
    for at in 0..3 {
        let verdict = ledger::verdict(cluster.node(at), &history).await;
        println!(
            "node {at}: acknowledged {}, unknown {} (of which done {}), events {}, violations {}, \
             longest healing {healing:?}",
            verdict.acknowledged,
            verdict.unknown,
            verdict.unknown_done,
            verdict.events,
            verdict.violations.len(),
        );
        assert_eq!(verdict.violations, Vec::<String>::new());
        assert!(verdict.acknowledged > 100 * rounds as u64, "too little happened");
    }
    assert_eq!(pauses.values().map(Vec::len).sum::<usize>(), rounds, "every fault was injected");
}

/// A number that the environment may set.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
