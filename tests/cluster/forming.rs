//! How a cluster comes about, and what every node of it answers.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};
use stead_tests::{
    cluster::Cluster,
    node::{Node, binary},
};

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
    shows_itself(&cluster, names[0].as_str().unwrap_or_default());
}

/// What `stead` says of it to people and to programs.
fn shows_itself(cluster: &Cluster, name: &str) {
    let say = |arguments: &[&str]| {
        let admin = format!("http://{}", cluster.node(1).admin);
        let said = Command::new(binary()).args(arguments).args(["--admin", &admin]).output();
        let said = said.expect("it runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("it is text")
    };
    let status = say(&["cluster", "status"]);
    assert!(status.contains(name), "{status}");
    assert_eq!(status.matches("present").count(), 3, "{status}");
    assert_eq!(say(&["partitions"]).matches("settled").count(), 9, "eight and the cluster's own");
    let why = say(&["why", "ledger/3"]);
    assert!(why.contains("elected in term") && why.matches("has all").count() == 3, "{why}");
    let place: Value = serde_json::from_str(&say(&["why", "ledger/3", "--json"])).expect("JSON");
    assert_eq!(place["cluster"], name);
    assert_eq!(place["partition"]["voters"].as_array().map(Vec::len), Some(3), "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_alone_does_not_enter_and_what_has_a_cluster_is_not_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let partitions = ("STEAD_NODE_PARTITIONS", "4");
    let data = directory.path().join("alone");
    let mut alone = Node::start(&data, &[partitions]).await;
    alone.deploy(&stead_test_support::guest("ledger"), &json!({"type": "ledger"})).await;
    let said = json!({"serial": "before"});
    assert_eq!(alone.call("ledger/1", "record", &said).await.status, 200);
    assert!(alone.stop().success());

    let mut cluster = Cluster::start(directory.path(), 1, &[partitions]).await;
    let stranger = cluster.stranger(&data);
    stranger
        .until("it says that it can't enter", async || {
            let asked = stranger.client.get(stranger.admin, "/readyz").await;
            asked.is_ok_and(|answer| {
                answer.status == 503 && answer.text().contains("by a node that was alone")
            })
        })
        .await;
    let known = cluster.status(0).await.expect("an answer");
    assert_eq!(known["leaderless"], 0, "{known}");
    assert!(known["partitions"].as_array().is_some_and(|all| {
        all.iter().all(|place| place["voters"].as_array().map(Vec::len) == Some(1))
    }));
    drop(stranger);
    // It lost nothing by that.
    let mut alone = Node::start(&data, &[partitions]).await;
    assert_eq!(alone.events("ledger/1").await.len(), 1);
    assert!(alone.stop().success());

    cluster.stop(0);
    let mut alone = Node::spawn(&cluster.data(0), &[partitions]);
    assert!(!alone.wait().success());
    assert!(alone.log_tail().contains("can't be alone"), "{}", alone.log_tail());
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
