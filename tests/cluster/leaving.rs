//! Nodes that come and go in order: nobody who calls the others notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use stead_tests::{client::Client, cluster::Cluster};

const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_is_seen_by_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(directory.path(), 3, &[("STEAD_NODE_PARTITIONS", "16")]).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    for at in 0..3 {
        // Clients that never retry, of the two nodes that stay.
        let servers: Vec<_> =
            (0..3).filter(|other| *other != at).map(|other| cluster.node(other).ingress).collect();
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (server, stop) = (servers[number % servers.len()], Arc::clone(&stop));
                let done = Arc::clone(&done);
                tokio::spawn(async move {
                    let client = Client::new(Duration::from_secs(12));
                    let mut errors = Vec::new();
                    for command in 0_u64.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let path = format!("/entities/ledger/{number}-{}/record", command % 7);
                        let body = json!({"serial": format!("{at} {command}")});
                        match client.post(server, &path, &[], &body).await {
                            Ok(answer) if answer.status == 200 => {
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(answer) => errors.push(answer.text()),
                            Err(error) => errors.push(error),
                        }
                    }
                    errors
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.stop(at);
        cluster.restart(at).await;
        cluster.settled().await;
        stop.store(true, Ordering::Relaxed);
        let mut errors = Vec::new();
        for client in clients {
            errors.extend(client.await.expect("a client ends"));
        }
        let done = done.load(Ordering::Relaxed);
        println!("node {at} restarted: {done} answers, {} errors", errors.len());
        assert_eq!(errors, Vec::<String>::new(), "of {done}");
        assert!(done > 500, "too little happened: {done}");
    }
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
