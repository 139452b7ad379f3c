//! How a cluster comes about, and what every node of it answers.

use std::time::Duration;

use serde_json::json;
use stead_tests::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_that_start_at_once_are_one_cluster_and_each_takes_any_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(directory.path(), 3, &[("STEAD_NODE_PARTITIONS", "8")]).await;
    // What is deployed to one is served by all.
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    for entity in 0..12 {
        for at in 0..3 {
            let node = cluster.node(at);
            let said = json!({"serial": format!("{at}")});
            let answer = node.call(&format!("ledger/{entity}"), "record", &said).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let shown = node.ask(&format!("/entities/ledger/{entity}/totals")).await;
            assert_eq!(shown["count"], at as u64 + 1, "it reads what was written: {shown}");
        }
    }
    for at in 0..3 {
        for entity in 0..12 {
            let events = cluster.node(at).events(&format!("ledger/{entity}")).await;
            assert_eq!(events.len(), 3);
        }
        let listed = cluster.node(at).admin_ask("/types/ledger/entities?limit=100").await;
        assert_eq!(listed["entities"].as_array().map(Vec::len), Some(12), "{listed}");
    }
    // They say the same of which cluster it is.
    let mut names = Vec::new();
    for at in 0..3 {
        names.push(cluster.status(at).await.expect("an answer")["cluster"].clone());
    }
    assert!(names[0].is_string());
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_takes_nothing_and_reads_nothing_and_follows_when_it_is_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(directory.path(), 3, &[("STEAD_NODE_PARTITIONS", "4")]).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let said = json!({"serial": "before"});
    for entity in 0..8 {
        let answer = cluster.node(0).call(&format!("ledger/{entity}"), "record", &said).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    cluster.kill(1);
    cluster.kill(2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let alone = cluster.node(0);
    let calls = (0..8).map(|entity| async move {
        let (address, said) = (format!("ledger/{entity}"), json!({"serial": "no"}));
        let written = alone.call(&address, "record", &said);
        let path = format!("/entities/ledger/{entity}/totals");
        let read = alone.client.get(alone.ingress, &path);
        (written.await, read.await.expect("an answer"))
    });
    for (written, read) in futures::future::join_all(calls).await {
        // One that was in the log before the others were gone may yet be committed.
        assert!([503, 504].contains(&written.status.as_u16()), "{}", written.text());
        assert_eq!(read.status, 503, "{}", read.text());
        assert!(read.header("retry-after").parse::<u64>().is_ok_and(|s| s >= 1));
    }
    cluster.restart(1).await;
    cluster.restart(2).await;
    cluster.settled().await;
    for entity in 0..8 {
        for at in 0..3 {
            let said = json!({"serial": format!("after {at}")});
            let answer = cluster.node(at).call(&format!("ledger/{entity}"), "record", &said).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let events = cluster.node(0).events(&format!("ledger/{entity}")).await;
        let serials: Vec<_> = events.iter().map(|event| event["body"]["serial"].clone()).collect();
        assert_eq!(serials.iter().filter(|serial| **serial == "before").count(), 1);
        assert!((4..=5).contains(&serials.len()), "{serials:?}");
    }
}
