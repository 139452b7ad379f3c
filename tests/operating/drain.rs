//! Emptying nodes: nobody who calls notices, and what was decided is kept.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use stead_tests::{cluster::Cluster, ledger};

use crate::{cli::stead, steady::Steady};

/// The id of the node at a place.
pub async fn id(cluster: &Cluster, at: usize) -> String {
    let status = cluster.status(at).await.expect("an answer");
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let own = nodes.iter().find(|node| node["asked"] == true).expect("it knows itself");
    own["node"].as_str().expect("text").to_owned()
}

/// How many partitions each node leads, but for the cluster's own.
fn led(status: &Value) -> BTreeMap<String, usize> {
    let mut led = BTreeMap::new();
    let partitions = status["partitions"].as_array().expect("a list");
    for place in partitions.iter().take(partitions.len() - 1) {
        *led.entry(place["leader"].as_str().expect("a leader").to_owned()).or_default() += 1;
    }
    led
}

/// Waits until something holds that a node says of the cluster.
pub async fn until(
    cluster: &Cluster,
    at: usize,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    for _ in 0..1_200 {
        last = cluster.status(at).await.unwrap_or_default();
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within two minutes: {what}: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_five_nodes_are_emptied_and_stopped_and_no_request_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "16"), ("STEAD_CLUSTER_GRACE", "60s")];
    let mut cluster = Cluster::start(directory.path(), 5, &settings).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let all: Vec<_> = (0..5).map(|at| cluster.node(at).ingress).collect();
    let callers = Steady::start(16, all.clone());
    for leaving in [4, 3] {
        let name = id(&cluster, leaving).await;
        // It is named by the beginning of its id, and then by its address.
        let known = cluster.status(0).await.expect("an answer");
        let nodes = known["nodes"].as_array().expect("a list").clone();
        let address = nodes.iter().find(|node| node["node"] == name.as_str());
        let address = address.and_then(|node| node["address"].as_str()).expect("an address");
        let named = if leaving == 4 { &name[..10] } else { address };
        let said = stead(cluster.node(0), &["node", "drain", named, "--json"]).await.json();
        assert_eq!((&said["draining"], &said["holds"]), (&json!(true), &json!(0)), "{said}");
        let status = cluster.status(1).await.expect("an answer");
        for place in status["partitions"].as_array().expect("a list") {
            let voters = place["voters"].as_array().expect("a list");
            assert!(!voters.contains(&json!(name)), "{place}");
            assert_eq!(voters.len(), 3, "{place}");
        }
        // It serves until it is stopped, though it has nothing.
        tokio::time::sleep(Duration::from_millis(300)).await;
        callers.call(all[..leaving].to_vec()).await;
        cluster.stop(leaving);
        // It is forgotten long before its grace is over.
        until(&cluster, 0, "it is forgotten", |status| {
            status["nodes"].as_array().is_some_and(|nodes| nodes.len() == leaving)
        })
        .await;
    }
    cluster.settled().await;
    let (history, errors) = callers.finish().await;
    assert_eq!(errors, Vec::<String>::new());
    let verdict = ledger::verdict(cluster.node(1), &history).await;
    println!("{} commands, {} events", verdict.acknowledged, verdict.events);
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert!(verdict.acknowledged > 200, "too little happened");
    assert_eq!(verdict.events, verdict.acknowledged);
    let led = led(&cluster.status(0).await.expect("an answer"));
    let (most, least) = (led.values().max(), led.values().min());
    assert_eq!(led.len(), 3, "{led:?}");
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{led:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_not_emptied_if_too_few_would_stay_unless_that_is_wanted() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "4"), ("STEAD_CLUSTER_GRACE", "60s")];
    let mut cluster = Cluster::start(directory.path(), 3, &settings).await;
    let (name, other) = (id(&cluster, 2).await, id(&cluster, 1).await);

    let refused = stead(cluster.node(0), &["node", "drain", &name, "--json"]).await;
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.error.contains("2 nodes would stay"), "{refused:?}");
    assert!(refused.error.contains("--force"), "{refused:?}");
    let unknown = stead(cluster.node(0), &["node", "drain", "nobody"]).await;
    assert_eq!(unknown.exit, 5, "{unknown:?}");
    assert!(unknown.error.contains(&name[..8]), "it names those that there are: {unknown:?}");

    let forced = stead(cluster.node(0), &["node", "drain", &name, "--force"]).await;
    assert_eq!(forced.exit, 0, "{forced:?}");
    assert!(forced.error.contains("2 replicas instead of 3"), "{forced:?}");
    assert!(forced.out.contains("is empty"), "{forced:?}");
    let shown = stead(cluster.node(1), &["cluster", "status"]).await;
    assert!(shown.out.contains("present, empty"), "{shown:?}");

    // It is a fact of the cluster: it outlives whoever heard it.
    for at in 0..3 {
        cluster.kill(at);
    }
    // At once: a node whose last change of the facts' members isn't known to be
    // committed is ready when a majority is there.
    for at in 0..3 {
        cluster.begin(at);
    }
    for at in 0..3 {
        cluster.ready(at).await;
    }
    until(&cluster, 2, "all are there", |status| {
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes.len() == 3 && nodes.iter().all(|node| node["health"] == "present")
    })
    .await;
    let status = until(&cluster, 0, "who leads the facts knows", |status| {
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        status["leaderless"] == 0 && nodes.iter().any(|node| node["draining"] == true)
    })
    .await;
    let drained = status["nodes"].as_array().expect("a list").iter().find(|n| n["node"] == name);
    assert_eq!(drained.map(|node| &node["draining"]), Some(&json!(true)), "{status}");
    assert_eq!(drained.map(|node| &node["holds"]), Some(&json!(0)), "{status}");

    // With it gone nobody could take what another has.
    let last = stead(cluster.node(0), &["node", "drain", &other, "--force", "--no-wait"]).await;
    assert_eq!(last.exit, 0, "one stays: {last:?}");
    let own = id(&cluster, 0).await;
    let refused = stead(cluster.node(0), &["node", "drain", &own, "--force"]).await;
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.error.contains("no other node would stay"), "{refused:?}");

    for node in [&name, &other] {
        let stays = stead(cluster.node(0), &["node", "drain", node, "--undo"]).await;
        assert_eq!(stays.exit, 0, "{stays:?}");
    }
    cluster.settled().await;
}
