//! Nodes that know no more of each other than a name, and a name server.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use serde_json::json;
use stead_tests::{cluster::Cluster, network::Network, node::Node};
use tempfile::TempDir;

use crate::{
    alone,
    name_server::{NAME, NameServer, Records, SERVICE},
};

const NODES: usize = 3;
/// How long nodes are watched that are not to do anything.
const WHILE: Duration = Duration::from_secs(3);
/// How long nodes may take to do what they are to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// Places for three nodes and more that ask a name server, and the server, which
/// doesn't run yet.
struct House {
    directory: TempDir,
    cluster: Cluster,
    server: NameServer,
}

impl House {
    fn new(network: Network, seeds: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = [
            ("STEAD_NODE_PARTITIONS", "4"),
            ("STEAD_CLUSTER_SEEDS", seeds),
            ("STEAD_CLUSTER_BOOTSTRAP_GRACE", "1s"),
        ];
        let mut cluster = Cluster::of_places(Some(network), directory.path(), NODES, &settings);
        let mut spare = Vec::new();
        for _ in 0..2 {
            spare.push(cluster.add_place());
        }
        let server = NameServer::new(cluster.network_mut(), directory.path());
        let house = Self { directory, cluster, server };
        for at in 0..house.cluster.len() {
            let network = house.cluster.network();
            network.resolve_by(at, house.server.address(network));
        }
        house
    }

    fn addresses(&self, these: &[usize]) -> Vec<IpAddr> {
        these.iter().map(|at| self.cluster.network().address(*at)).collect()
    }

    async fn serve(&mut self, records: &Records) {
        self.server.serve(self.cluster.network(), records).await;
    }

    /// The name stands for these.
    async fn name(&mut self, these: &[usize]) {
        let addresses = self.addresses(these);
        self.serve(&Records { addresses, ..Records::default() }).await;
    }

    /// Nodes find no cluster and found none.
    async fn wait_for_each_other(&self, these: &[usize]) {
        let until = Instant::now() + WHILE;
        while Instant::now() < until {
            for at in these {
                assert_eq!(cluster_of(self.cluster.node(*at)).await, None, "node {at}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// These come to be in one cluster, and each answers.
    async fn are_one(&mut self, these: &[usize]) -> String {
        for at in these {
            self.cluster.ready(*at).await;
        }
        let until = Instant::now() + PATIENCE;
        let mut clusters = Vec::new();
        while Instant::now() < until {
            clusters.clear();
            for at in these {
                clusters.push(cluster_of(self.cluster.node(*at)).await);
            }
            if clusters.iter().all(|cluster| cluster.is_some() && *cluster == clusters[0]) {
                self.cluster.settled().await;
                return clusters.swap_remove(0).expect("it is there");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("nodes {these:?} are in {clusters:?}");
    }
}

async fn cluster_of(node: &Node) -> Option<String> {
    let answer = node.client.get(node.admin, "/cluster").await.ok()?;
    answer.json()["cluster"].as_str().map(str::to_owned)
}

async fn three_form_one(network: Network, seeds: &str, records: impl Fn(&House) -> Records) {
    let mut house = House::new(network, seeds);
    let records = records(&house);
    house.serve(&records).await;
    for at in 0..NODES {
        house.cluster.begin(at);
    }
    house.are_one(&[0, 1, 2]).await;
    let manifest = json!({"type": "ledger"});
    house.cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    for at in 0..NODES {
        let said = json!({"serial": at.to_string()});
        let answer = house.cluster.node(at).call("ledger/1", "record", &said).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(house.cluster.node(2).events("ledger/1").await.len(), NODES);
    assert!(house.directory.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_a_name_only_form_one_cluster() {
    let _alone = alone().await;
    let Some(network) = Network::new() else { return };
    three_form_one(network, &format!("{NAME}:8082"), |house| Records {
        addresses: house.addresses(&[0, 1, 2]),
        ..Records::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_may_stand_for_ipv6_addresses() {
    let _alone = alone().await;
    let Some(network) = Network::new() else { return };
    three_form_one(network.by_v6(), &format!("{NAME}:8082"), |house| Records {
        addresses: house.addresses(&[0, 1, 2]),
        ..Records::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_may_come_late_and_change_its_mind_and_one_cluster_forms() {
    let _alone = alone().await;
    let Some(network) = Network::new() else { return };
    let mut house = House::new(network, &format!("{NAME}:8082"));
    // Nobody can be asked what the name stands for.
    house.cluster.begin(0);
    house.cluster.begin(1);
    house.wait_for_each_other(&[0, 1]).await;
    // It stands for nothing, then for a machine without a node.
    house.name(&[]).await;
    house.wait_for_each_other(&[0, 1]).await;
    house.name(&[4]).await;
    house.wait_for_each_other(&[0, 1]).await;
    // Now it stands for all. Two of three are enough, once they have waited a while.
    house.name(&[0, 1, 2]).await;
    let formed = house.are_one(&[0, 1]).await;
    // The third comes later, and founds nothing.
    house.cluster.begin(2);
    assert_eq!(house.are_one(&[0, 1, 2]).await, formed);
    // Another comes in the place of one whose address the name has lost.
    house.cluster.stop(0);
    house.name(&[2, 3]).await;
    house.cluster.begin(3);
    assert_eq!(house.are_one(&[1, 2, 3]).await, formed);
    // The server is gone. Who was in the cluster comes back to it.
    house.server.stop();
    house.cluster.stop(1);
    house.cluster.begin(1);
    assert_eq!(house.are_one(&[1, 2, 3]).await, formed);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_a_service_only_form_one_cluster() {
    let _alone = alone().await;
    let Some(network) = Network::new() else { return };
    // The port comes with the record: no node has to know that of another.
    three_form_one(network, &format!("srv:{SERVICE}"), |house| Records {
        services: house.addresses(&[0, 1, 2]).into_iter().map(|ip| (ip, 8082)).collect(),
        ..Records::default()
    })
    .await;
}
