//! Nodes that come and go in order: nobody who calls the others notices.

use std::time::Duration;

use serde_json::json;
use stead_tests::{cluster::Cluster, ledger};

use crate::{faults::setting, steady::Steady};

const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_is_seen_by_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(directory.path(), 3, &[("STEAD_NODE_PARTITIONS", "16")]).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let (mut answers, mut failed) = (0, Vec::new());
    let rounds = setting("STEAD_CLUSTER_ROUNDS", 1);
    for (round, at) in (0..rounds).flat_map(|round| (0..3).map(move |at| (round, at))) {
        // Clients that never retry, of the two nodes that stay.
        let others = (0..3).filter(|other| *other != at);
        let servers = others.map(|other| cluster.node(other).ingress).collect();
        let clients = Steady::start(CLIENTS, &format!("{round}-{at}"), servers, Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.stop(at);
        cluster.restart(at).await;
        cluster.settled().await;
        let done = clients.done();
        let (history, errors) = clients.finish().await;
        println!("round {round}, node {at} restarted: {done} answers, {} errors", errors.len());
        assert!(done > 500, "too little happened: {done}");
        let verdict = ledger::verdict(cluster.node(at), &history).await;
        assert_eq!(verdict.violations, Vec::<String>::new());
        answers += done;
        failed.extend(errors);
    }
    println!(
        "{rounds} rolling restarts, {CLIENTS} clients: {answers} answers, {} errors",
        failed.len()
    );
    assert_eq!(failed, Vec::<String>::new(), "of {answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_grows_from_one_node_to_three_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(directory.path(), 1, &[("STEAD_NODE_PARTITIONS", "8")]).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    for entity in 0..20 {
        for serial in 0..10 {
            let said = json!({"serial": serial.to_string()});
            let answer = cluster.node(0).call(&format!("ledger/{entity}"), "record", &said).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    for _ in 0..2 {
        let at = cluster.grow().await;
        println!("node {at} took part after {:?}", cluster.settled().await);
    }
    // The first may go now.
    cluster.kill(0);
    for entity in 0..20 {
        let events = cluster.node(2).events(&format!("ledger/{entity}")).await;
        assert_eq!(events.len(), 10, "ledger/{entity}");
    }
}
