//! When the majority is lost for good: it is said plainly, and there is a way out.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stead_tests::{cluster::Cluster, node::Node};

use crate::{
    cli::stead,
    drain::{id, until},
};

const ENTITIES: usize = 24;

async fn record_all(node: &Node, serial: &str) {
    for entity in 0..ENTITIES {
        let said = json!({"serial": serial});
        let answer = node.call(&format!("ledger/{entity}"), "record", &said).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Each entity has recorded these, in this order, and nothing else.
async fn all_have(node: &Node, serials: &[&str]) {
    for entity in 0..ENTITIES {
        let events = node.events(&format!("ledger/{entity}")).await;
        let found: Vec<_> =
            events.iter().map(|event| event["body"]["serial"].as_str().expect("text")).collect();
        assert_eq!(found, serials, "ledger/{entity}");
    }
}

/// The partitions that have lost their majority, as a node says.
fn lost(status: &Value) -> BTreeSet<u64> {
    let lost = status["lost"].as_array().cloned().unwrap_or_default();
    lost.iter().filter_map(|lost| lost["partition"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_majority_is_said_plainly_and_nothing_is_given_up_by_accident() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "8"), ("STEAD_CLUSTER_GRACE", "2s")];
    let mut cluster = Cluster::start(directory.path(), 3, &settings).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    record_all(cluster.node(0), "before").await;
    let ids = [id(&cluster, 0).await, id(&cluster, 1).await, id(&cluster, 2).await];
    let both = format!("{},{}", &ids[1][..12], &ids[2][..12]);
    // What was acknowledged on two may take a moment to be on the third.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    cluster.kill(1);
    cluster.kill(2);
    cluster.lose_disk(1);

    // It is said plainly, to who operates it and to who calls.
    let status = until(&cluster, 0, "all are lost", |status| lost(status).len() == 9).await;
    for lost in status["lost"].as_array().expect("a list") {
        assert_eq!(lost["missing"].as_array().map(Vec::len), Some(2), "{lost}");
        assert_eq!(lost["needed"], 1, "{lost}");
        assert!(lost["since"].as_u64().is_some_and(|since| since > 0), "{lost}");
    }
    let shown = stead(cluster.node(0), &["cluster", "status"]).await;
    assert!(shown.error.contains("9 partitions"), "{shown:?}");
    assert!(shown.error.contains("have lost the majority"), "{shown:?}");
    assert!(shown.error.contains(&ids[2][..8]), "{shown:?}");
    assert!(shown.error.contains("cluster recover"), "{shown:?}");
    let refused = cluster.node(0).call("ledger/1", "record", &json!({"serial": "no"})).await;
    assert!([503, 504].contains(&refused.status.as_u16()), "{}", refused.text());
    assert!(refused.text().contains("has lost its majority"), "{}", refused.text());

    // Nothing is done by accident.
    let named = ["cluster", "recover", "--lost", both.as_str()];
    let told = stead(cluster.node(0), &named).await;
    assert_eq!(told.exit, 1, "{told:?}");
    assert!(told.out.contains("nothing was changed"), "{told:?}");
    assert!(told.error.contains("--i-accept-data-loss"), "{told:?}");
    let dry = stead(cluster.node(0), &[&named[..], &["--dry-run", "--json"]].concat()).await.json();
    assert_eq!(dry["done"], false);
    let recovered = dry["recovered"].as_array().expect("a list");
    assert_eq!(recovered.len(), 9, "{dry}");
    assert!(recovered.iter().all(|place| place["with"] == ids[0].as_str()), "{dry}");
    let there = ["cluster", "recover", "--i-accept-data-loss", "--lost", ids[0].as_str()];
    let refused = stead(cluster.node(0), &there).await;
    assert!(refused.exit != 0 && refused.error.contains("is there"), "{refused:?}");
    let one = ["cluster", "recover", "--json", "--lost", ids[1].as_str()];
    let waits = stead(cluster.node(0), &one).await.json();
    assert_eq!(waits["recovered"], json!([]), "the other may come back: {waits}");
    assert_eq!(waits["waiting"].as_array().map(Vec::len), Some(9), "{waits}");
    let one = [&one[..], &["--i-accept-data-loss"]].concat();
    let refused = stead(cluster.node(0), &one).await;
    assert!(refused.exit != 0 && refused.error.contains("waits for node"), "{refused:?}");

    // And the other does: nothing was lost at all.
    cluster.restart(2).await;
    until(&cluster, 0, "all go on", |status| status["leaderless"] == 0).await;
    record_all(cluster.node(0), "after").await;
    for entity in 0..ENTITIES {
        let events = cluster.node(2).events(&format!("ledger/{entity}")).await;
        let serials: Vec<_> = events.iter().map(|event| &event["body"]["serial"]).collect();
        assert_eq!((serials[0], serials[serials.len() - 1]), (&json!("before"), &json!("after")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_given_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "8"), ("STEAD_CLUSTER_GRACE", "2s")];
    let mut cluster = Cluster::start(directory.path(), 3, &settings).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    record_all(cluster.node(0), "before").await;
    let (first, second) = (id(&cluster, 1).await, id(&cluster, 2).await);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    cluster.kill(1);
    cluster.kill(2);
    cluster.lose_disk(1);
    until(&cluster, 0, "all are lost", |status| lost(status).len() == 9).await;
    let both = format!("{first},{second}");
    let words = ["cluster", "recover", "--lost", &both, "--i-accept-data-loss", "--json"];
    let done = stead(cluster.node(0), &words).await.json();
    assert_eq!(done["done"], true, "{done}");
    assert_eq!(done["recovered"].as_array().map(Vec::len), Some(9), "{done}");
    all_have(cluster.node(0), &["before"]).await;
    record_all(cluster.node(0), "alone").await;

    // One that had not lost its data comes back with it, and is refused.
    let data = cluster.data(2);
    let back = cluster.stranger(&data);
    back.until("it says that it was given up", async || {
        let asked = back.client.get(back.admin, "/readyz").await;
        asked.is_ok_and(|answer| {
            answer.status == 503 && answer.text().contains("start it with an empty data directory")
        })
    })
    .await;
    let read = back.client.get(back.ingress, "/entities/ledger/1/totals").await;
    assert!(read.is_ok_and(|answer| answer.status == 503), "it answers nothing");
    record_all(cluster.node(0), "still alone").await;
    drop(back);

    // With an empty directory it is a new node, and replicas are made again.
    cluster.lose_disk(2);
    cluster.restart(1).await;
    cluster.restart(2).await;
    cluster.settled().await;
    let serials = ["before", "alone", "still alone"];
    for at in 0..3 {
        all_have(cluster.node(at), &serials).await;
    }
    // And now any one may go again.
    cluster.kill(0);
    record_all(cluster.node(1), "after").await;
    all_have(cluster.node(2), &["before", "alone", "still alone", "after"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_lost_its_majority_is_touched() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "16"), ("STEAD_CLUSTER_GRACE", "3s")];
    let mut cluster = Cluster::start(directory.path(), 5, &settings).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    record_all(cluster.node(0), "before").await;
    let both = [id(&cluster, 3).await, id(&cluster, 4).await];
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    cluster.kill(3);
    cluster.kill(4);
    cluster.lose_disk(3);
    cluster.lose_disk(4);
    let status = until(&cluster, 0, "some are lost", |status| {
        // The others have leaders by then.
        let lost = lost(status).len() as u64;
        lost > 0 && status["leaderless"].as_u64() == Some(lost)
    })
    .await;
    let touched = lost(&status);
    println!("{} of 17 partitions have lost their majority", touched.len());
    let lost = both.join(",");
    let words = ["cluster", "recover", "--lost", &lost, "--i-accept-data-loss", "--json"];
    let done = stead(cluster.node(1), &words).await.json();
    let recovered = done["recovered"].as_array().expect("a list").iter();
    let recovered: BTreeSet<u64> =
        recovered.filter_map(|place| place["partition"].as_u64()).collect();
    assert_eq!(recovered, touched, "{done}");
    assert_eq!(done["waiting"], json!([]), "{done}");
    cluster.settled().await;
    record_all(cluster.node(2), "after").await;
    for at in 0..3 {
        all_have(cluster.node(at), &["before", "after"]).await;
    }
    let status = cluster.status(0).await.expect("an answer");
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(3), "they are forgotten: {status}");
}
