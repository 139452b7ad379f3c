//! A node that is lost with its disk, and an empty one in its place.

use std::time::{Duration, Instant};

use serde_json::json;
use stead_tests::{cluster::Cluster, ledger, random::Random};

use crate::clients::Clients;

const CLIENTS: usize = 8;

/// With the settings that a node has when nobody sets any.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_node_takes_the_place_of_one_that_is_lost_with_its_disk() {
    let mut random = Random::from_environment("replaced");
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(directory.path(), 3, &[]).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let servers = |cluster: &Cluster| cluster.running().map(|node| node.ingress).collect();
    let clients = Clients::start(CLIENTS, servers(&cluster), &mut random);
    tokio::time::sleep(Duration::from_secs(3)).await;

    let at = random.below(3) as usize;
    let before = cluster.status(at).await.expect("an answer");
    let lost = own_id(&before);
    let others = (0..3).filter(|other| *other != at);
    clients.call(others.map(|other| cluster.node(other).ingress).collect());
    let began = Instant::now();
    cluster.kill(at);
    cluster.lose_disk(at);
    cluster.restart(at).await;
    let ready = began.elapsed();
    cluster.settled().await;
    println!(
        "node {at} and its disk lost, at default settings under load: an empty one was ready \
         after {ready:.1?}, and every partition fully replicated after {:.1?}",
        began.elapsed()
    );
    clients.call(servers(&cluster));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let history = clients.finish().await;

    // It is another node, and nothing of the lost one is left.
    let after = cluster.status(at).await.expect("an answer");
    assert_ne!(own_id(&after), lost);
    let partitions = after["partitions"].as_array().expect("partitions");
    assert_eq!(partitions.len(), 65, "64, and the cluster's own");
    for place in partitions {
        let voters = place["voters"].as_array().expect("voters");
        assert_eq!(voters.len(), 3, "{place}");
        assert!(!voters.contains(&json!(lost)), "{place}");
        assert!(voters.contains(&json!(own_id(&after))), "{place}");
    }
    for at in 0..3 {
        ledger::retry_some(cluster.node(at), &history, 100, &mut random).await;
        let verdict = ledger::verdict(cluster.node(at), &history).await;
        assert_eq!(verdict.violations, Vec::<String>::new());
        assert!(verdict.acknowledged > 100, "too little happened");
    }
}

/// The identity of the node that was asked.
fn own_id(status: &serde_json::Value) -> String {
    let nodes = status["nodes"].as_array().expect("nodes");
    let own = nodes.iter().find(|node| node["asked"] == true).expect("it is among them");
    own["node"].as_str().expect("an identity").to_owned()
}
