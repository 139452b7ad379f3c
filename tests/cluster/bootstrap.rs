//! Where nodes find each other, who founds a cluster, and who doesn't.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use stead_tests::node::{Node, free_port};

/// A place for a node: where its data is, and where others reach it.
struct Place {
    data: std::path::PathBuf,
    peers: SocketAddr,
}

impl Place {
    fn new(directory: &Path, name: &str) -> Self {
        Self { data: directory.join(name), peers: free_port() }
    }

    fn spawn(&self, seeds: &str, settings: &[(&str, &str)]) -> Node {
        let listen = self.peers.to_string();
        let common = [
            ("STEAD_NODE_PARTITIONS", "4"),
            ("STEAD_CLUSTER_ENABLED", "true"),
            ("STEAD_CLUSTER_LISTEN", listen.as_str()),
            ("STEAD_CLUSTER_SEEDS", seeds),
        ];
        Node::spawn(&self.data, &[&common[..], settings].concat())
    }
}

async fn cluster_of(node: &Node) -> Value {
    node.client.get(node.admin, "/cluster").await.expect("an answer").json()
}

async fn is_ready(node: &Node) -> bool {
    node.client.get(node.admin, "/readyz").await.is_ok_and(|answer| answer.status == 200)
}

/// The nodes that a node knows to be present.
async fn present(node: &Node) -> usize {
    let status = cluster_of(node).await;
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().filter(|node| node["health"] == "present").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_only_join_found_nothing_and_enter_what_is_there_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let founder = Place::new(directory.path(), "founder");
    let joiners = [Place::new(directory.path(), "a"), Place::new(directory.path(), "b")];
    // By the file of hosts, beside a name that stands for nothing.
    let ports = [&founder, &joiners[0], &joiners[1]].map(|place| place.peers.port());
    let seeds: Vec<String> = ports.iter().map(|port| format!("localhost:{port}")).collect();
    let seeds = format!("{},nobody.invalid:1", seeds.join(","));
    let join = [("STEAD_CLUSTER_BOOTSTRAP", "join"), ("STEAD_CLUSTER_EXPECTED_NODES", "2")];
    let waiting: Vec<Node> = joiners.iter().map(|place| place.spawn(&seeds, &join)).collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    for node in &waiting {
        let says = |what: &str| node.log_text().contains(what);
        let why = async || says("cluster.bootstrap=join") && says("nobody.invalid:1");
        node.until("it says why it waits", why).await;
        assert!(!is_ready(node).await, "{}", node.log_tail());
    }
    let founder = founder.spawn(&seeds, &[("STEAD_CLUSTER_EXPECTED_NODES", "1")]);
    // It is alone in what it expects, but not in what it sees: those that only join
    // give it no majority.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!is_ready(&founder).await);
    drop(founder);
    let own = format!("127.0.0.1:{}", ports[0]);
    let founder = Place { data: directory.path().join("founder"), peers: own.parse().expect("ok") };
    let founder = founder.spawn("", &[]).ready().await;
    let name = cluster_of(&founder).await["cluster"].clone();
    // Those that are there already stay: they may be needed to let the next one in.
    let mut entered = Vec::new();
    for node in waiting {
        let node = node.ready().await;
        assert_eq!(cluster_of(&node).await["cluster"], name);
        entered.push(node);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let places = [Place::new(directory.path(), "one"), Place::new(directory.path(), "two")];
    let one = places[0].spawn("", &[]).ready().await;
    let mut two = places[1].spawn("", &[]).ready().await;
    let names =
        [cluster_of(&one).await["cluster"].clone(), cluster_of(&two).await["cluster"].clone()];
    assert!(names[0].is_string() && names[0] != names[1], "{names:?}");
    assert!(two.stop().success());
    let two = places[1].spawn(&places[0].peers.to_string(), &[]).ready().await;
    two.until("it says whom it met", async || two.log_text().contains("belongs to cluster")).await;
    assert_eq!(cluster_of(&two).await["cluster"], names[1], "it stays in its own");
    for node in [&one, &two] {
        assert_eq!(present(node).await, 1);
    }
    // An empty node that finds both enters one, and only its nodes are there.
    let third = Place::new(directory.path(), "three");
    let seeds = format!("{},{}", places[0].peers, places[1].peers);
    let third = third.spawn(&seeds, &[("STEAD_CLUSTER_EXPECTED_NODES", "3")]).ready().await;
    let entered = cluster_of(&third).await["cluster"].clone();
    assert!(names.contains(&entered), "{entered}");
    third.until("it sees one other", async || present(&third).await == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_waits_for_the_rest_as_long_as_it_is_told_and_keeps_its_promises() {
    let directory = tempfile::tempdir().expect("a directory");
    let places = ["a", "b", "c"].map(|name| Place::new(directory.path(), name));
    let seeds: Vec<String> = places.iter().map(|place| place.peers.to_string()).collect();
    let seeds = seeds.join(",");
    let three = ("STEAD_CLUSTER_EXPECTED_NODES", "3");
    let waiting: Vec<Node> =
        places[..2].iter().map(|place| place.spawn(&seeds, &[three])).collect();
    tokio::time::sleep(Duration::from_secs(6)).await;
    for node in &waiting {
        assert!(!is_ready(node).await, "the third may have data");
    }
    drop(waiting);
    let short = [three, ("STEAD_CLUSTER_BOOTSTRAP_GRACE", "1s")];
    let nodes = places[..2].iter().map(|place| place.spawn(&seeds, &short).ready());
    let nodes = futures::future::join_all(nodes).await;
    let name = cluster_of(&nodes[0]).await["cluster"].clone();
    assert_eq!(cluster_of(&nodes[1]).await["cluster"], name);
    let promises = std::fs::read(places[0].data.join("founding.json")).expect("they are kept");
    let promises: Value = serde_json::from_slice(&promises).expect("JSON");
    assert_eq!(promises["favoured"][1]["cluster"], name, "{promises}");
    let third = places[2].spawn(&seeds, &[three]).ready().await;
    assert_eq!(cluster_of(&third).await["cluster"], name);
}

/// A node of the release before, and those of this one, before and after it is
/// upgraded.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_upgraded_node_by_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let places = ["a", "b", "c"].map(|name| Place::new(directory.path(), name));
    let seeds: Vec<String> = places.iter().map(|place| place.peers.to_string()).collect();
    let seeds = seeds.join(",");
    let three = ("STEAD_CLUSTER_EXPECTED_NODES", "3");
    let old = [three, ("TEST_STEAD_PROTOCOL_MAX", "1")];
    let begun = places.iter().map(|place| place.spawn(&seeds, &old).ready());
    let mut nodes = futures::future::join_all(begun).await;
    nodes[0].deploy(&stead_test_support::guest("ledger"), &json!({"type": "ledger"})).await;
    let mut count = 0;
    for upgraded in 0..=3 {
        for node in &nodes {
            for entity in 0..4 {
                let said = json!({"serial": format!("{upgraded} {count}")});
                let answer = node.call(&format!("ledger/{entity}"), "record", &said).await;
                assert_eq!(answer.status, 200, "{}\n{}", answer.text(), node.log_tail());
                count += 1;
            }
        }
        let Some(place) = places.get(upgraded) else { break };
        let mut node = nodes.remove(upgraded);
        assert!(node.stop().success(), "{}", node.log_tail());
        let node = place.spawn(&seeds, &[three]).ready().await;
        node.until("it sees the others", async || present(&node).await == 3).await;
        nodes.insert(upgraded, node);
    }
    let mut events = 0;
    for entity in 0..4 {
        events += nodes[2].events(&format!("ledger/{entity}")).await.len();
    }
    assert_eq!(events, count);
}
