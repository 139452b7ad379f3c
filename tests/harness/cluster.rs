//! Several `stead node` processes that form a cluster.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    network::Network,
    node::{Node, Place, free_port},
};

/// How long a cluster may take to form, or to heal.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a node on a machine of its own is reached by others.
const PEER_PORT: u16 = 8082;

/// A cluster: places for nodes, each with an address, of which some run.
pub struct Cluster {
    directory: PathBuf,
    peers: Vec<SocketAddr>,
    /// How often each place got an empty data directory.
    disks: Vec<u32>,
    nodes: Vec<Option<Node>>,
    settings: Vec<(String, String)>,
    /// The network whose machines they run on; all run on loopback if there is none.
    network: Option<Network>,
}

impl Cluster {
    /// Starts nodes at once and waits until they are one cluster, with every
    /// partition replicated as it should be.
    ///
    /// # Panics
    /// If that doesn't come about.
    pub async fn start(directory: &Path, nodes: usize, settings: &[(&str, &str)]) -> Self {
        Self::start_in(None, directory, nodes, settings).await
    }

    /// As [`Self::start`], each node on a machine of its own if there is a network.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_in(
        network: Option<Network>,
        directory: &Path,
        nodes: usize,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut cluster = Self::of_places(network, directory, nodes, settings);
        for at in 0..nodes {
            cluster.nodes[at] = Some(cluster.spawn(at));
        }
        for at in 0..nodes {
            cluster.ready(at).await;
        }
        cluster.settled().await;
        cluster
    }

    /// Places for so many nodes that are to form a cluster, of which none runs yet.
    #[must_use]
    pub fn of_places(
        network: Option<Network>,
        directory: &Path,
        nodes: usize,
        settings: &[(&str, &str)],
    ) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut cluster = Self {
            directory: directory.to_owned(),
            peers: Vec::new(),
            disks: Vec::new(),
            nodes: Vec::new(),
            settings: settings.iter().map(owned).collect(),
            network,
        };
        cluster.settings.push(("STEAD_CLUSTER_EXPECTED_NODES".into(), nodes.to_string()));
        for _ in 0..nodes {
            cluster.add_place();
        }
        cluster
    }

    /// Adds a place for a node that doesn't run yet.
    ///
    /// # Panics
    /// If its machine can't be made.
    pub fn add_place(&mut self) -> usize {
        let peer = match &mut self.network {
            None => free_port(),
            Some(network) => {
                let at = network.add();
                assert_eq!(at, self.nodes.len(), "there is a machine for each place");
                network.socket(at, PEER_PORT)
            }
        };
        self.peers.push(peer);
        self.disks.push(0);
        self.nodes.push(None);
        self.nodes.len() - 1
    }

    /// The network that they are on.
    ///
    /// # Panics
    /// If they are on loopback.
    #[must_use]
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("the cluster was started in a network")
    }

    /// The same, to add machines that are no places for nodes. No place may be added
    /// after that.
    ///
    /// # Panics
    /// If they are on loopback.
    pub fn network_mut(&mut self) -> &mut Network {
        self.network.as_mut().expect("the cluster was started in a network")
    }

    /// The data directory of a place.
    #[must_use]
    pub fn data(&self, at: usize) -> PathBuf {
        self.directory.join(format!("node-{at}-{}", self.disks[at]))
    }

    fn spawn(&self, at: usize) -> Node {
        self.spawn_on(at, &self.data(at))
    }

    fn spawn_on(&self, at: usize, data: &Path) -> Node {
        let place = match &self.network {
            Some(network) => Place::on_machine(network, at),
            None => Place::on_loopback(),
        };
        let seeds: Vec<String> = self.peers.iter().map(SocketAddr::to_string).collect();
        let (listen, seeds) = (self.peers[at].to_string(), seeds.join(","));
        let mut settings = vec![
            ("STEAD_CLUSTER_ENABLED", "true"),
            ("STEAD_CLUSTER_LISTEN", listen.as_str()),
            ("STEAD_CLUSTER_SEEDS", seeds.as_str()),
        ];
        // What was asked for counts.
        settings.extend(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Node::spawn_at(&place, data, &settings)
    }

    /// Waits until a node is ready.
    ///
    /// # Panics
    /// If it doesn't run, ends, or takes a minute.
    pub async fn ready(&mut self, at: usize) {
        let node = self.nodes[at].take().expect("it runs");
        self.nodes[at] = Some(node.ready().await);
    }

    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Where a place's node is reached by others.
    #[must_use]
    pub fn peer(&self, at: usize) -> SocketAddr {
        self.peers[at]
    }

    /// A node that runs.
    ///
    /// # Panics
    /// If it doesn't.
    #[must_use]
    pub fn node(&self, at: usize) -> &Node {
        self.nodes[at].as_ref().expect("it runs")
    }

    /// Those that run.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    /// Adds a node, and waits until it is ready.
    pub async fn grow(&mut self) -> usize {
        let at = self.add_place();
        self.restart(at).await;
        at
    }

    /// A process that is to enter the cluster with a data directory from elsewhere.
    /// It is not waited for, and takes no place.
    #[must_use]
    pub fn stranger(&mut self, data: &Path) -> Node {
        self.peers.push(free_port());
        let node = self.spawn_on(self.peers.len() - 1, data);
        self.peers.pop();
        node
    }

    /// Kills a node: SIGKILL.
    ///
    /// # Panics
    /// If it doesn't run.
    pub fn kill(&mut self, at: usize) {
        self.nodes[at].take().expect("it runs").kill();
    }

    /// Asks a node to stop, and waits until it has.
    ///
    /// # Panics
    /// If it ends badly.
    pub fn stop(&mut self, at: usize) {
        let mut node = self.nodes[at].take().expect("it runs");
        assert!(node.stop().success(), "{}", node.log_tail());
    }

    /// What is on a node's disk is lost.
    pub fn lose_disk(&mut self, at: usize) {
        assert!(self.nodes[at].is_none(), "it runs");
        // A directory that is gone would be no test of a disk that is.
        let _ = std::fs::remove_dir_all(self.data(at));
        self.disks[at] += 1;
    }

    /// Starts a node again that doesn't run, and waits until it is ready.
    ///
    /// # Panics
    /// If it runs, or doesn't become ready.
    pub async fn restart(&mut self, at: usize) {
        self.begin(at);
        self.ready(at).await;
    }

    /// Starts a node that doesn't run, and doesn't wait for it.
    ///
    /// # Panics
    /// If it runs.
    pub fn begin(&mut self, at: usize) {
        assert!(self.nodes[at].is_none(), "it runs");
        self.nodes[at] = Some(self.spawn(at));
    }

    /// Those that ended though nobody asked them to.
    pub fn ended(&mut self) -> Vec<usize> {
        let ended = |(at, node): (usize, &mut Option<Node>)| {
            node.as_mut().is_some_and(Node::has_ended).then_some(at)
        };
        self.nodes.iter_mut().enumerate().filter_map(ended).collect()
    }

    /// Sends a signal to a node's process: `STOP`, `CONT`.
    ///
    /// # Panics
    /// If it can't be sent.
    pub fn signal(&self, at: usize, signal: &str) {
        let pid = self.node(at).id().to_string();
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} could not be sent");
    }

    /// How the cluster fares, as a node says.
    ///
    /// # Errors
    /// If the node doesn't say.
    pub async fn status(&self, at: usize) -> Result<Value, String> {
        let node = self.node(at);
        node.client.get(node.admin, "/cluster").await.map(|answer| answer.json())
    }

    /// The place of a node, by its identity and a status that has it.
    #[must_use]
    pub fn place(&self, status: &Value, node: &str) -> Option<usize> {
        let known = status["nodes"].as_array()?.iter().find(|known| known["node"] == node)?;
        let address: SocketAddr = known["address"].as_str()?.parse().ok()?;
        self.peers.iter().position(|peer| *peer == address)
    }

    /// Waits until every partition has all its replicas on nodes that run, a leader,
    /// and no change under way, as every node sees it, and the lead is shared
    /// within one.
    ///
    /// # Panics
    /// If that doesn't come about within two minutes.
    pub async fn settled(&self) -> Duration {
        let began = Instant::now();
        let mut last = Value::Null;
        while began.elapsed() < PATIENCE {
            let mut all = true;
            for at in (0..self.len()).filter(|at| self.nodes[*at].is_some()) {
                last = self.status(at).await.unwrap_or_default();
                all &= is_settled(&last, self.running().count());
            }
            if all {
                return began.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let logs: Vec<String> = self.running().map(Node::log_tail).collect();
        panic!("not settled within {PATIENCE:?}: {last}\n{}", logs.join("\n\n"));
    }
}

fn is_settled(status: &Value, running: usize) -> bool {
    let none = |what: &str| status[what] == 0;
    let Some(nodes) = status["nodes"].as_array() else { return false };
    let present: Vec<&Value> = nodes.iter().filter(|node| node["health"] == "present").collect();
    let leads: Vec<u64> = present.iter().map(|node| node["leads"].as_u64().unwrap_or(0)).collect();
    // The cluster's own partition is led by one of them beside.
    let even = leads.iter().max().zip(leads.iter().min()).is_some_and(|(max, min)| max - min <= 2);
    let Some(partitions) = status["partitions"].as_array() else { return false };
    let wanted = status["replicas-wanted"].as_u64();
    // A voter too many is one that has not been taken out yet.
    let exact = partitions
        .iter()
        .all(|place| place["voters"].as_array().map(|voters| voters.len() as u64) == wanted);
    let (alone, rest) = partitions.split_last().map_or((0, 0), |(_, rest)| {
        (1, rest.iter().filter(|place| place["learners"] != serde_json::json!([])).count())
    });
    present.len() == running
        && alone == 1
        && rest == 0
        && none("under-replicated")
        && none("leaderless")
        && none("moving")
        && exact
        && even
}
