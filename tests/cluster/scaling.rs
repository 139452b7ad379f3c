//! A cluster grows from one node to five and shrinks to three, under load: every
//! move is shown, no request fails, and the lead is shared.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stead_tests::{client::Client, cluster::Cluster, ledger, node::binary};
use tokio::task::JoinHandle;

use crate::steady::Steady;

const CLIENTS: usize = 12;
const PARTITIONS: &str = "16";
/// How long the lead may take to be shared evenly, once all replicas are in place.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_grows_to_five_nodes_and_shrinks_to_three_and_no_request_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", PARTITIONS)];
    let mut cluster = Cluster::start(directory.path(), 1, &settings).await;
    let manifest = json!({"type": "ledger", "snapshot": {"every-events": 50}});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let moves = Moves::watch(cluster.node(0).admin);
    // Of the nodes that stay, as behind a load balancer that is told who goes.
    let stay =
        |cluster: &Cluster| (0..cluster.len().min(3)).map(|at| cluster.node(at).ingress).collect();
    let clients = Steady::start(CLIENTS, "scaling", stay(&cluster), Duration::from_millis(5));
    tokio::time::sleep(Duration::from_secs(1)).await;

    for nodes in [3, 5] {
        let began = Instant::now();
        while cluster.len() < nodes {
            cluster.grow().await;
        }
        is_shared(&cluster, nodes, &moves, (began, &clients)).await;
        clients.call(stay(&cluster));
    }
    for at in [4, 3] {
        let began = Instant::now();
        leave(&mut cluster, at).await;
        is_shared(&cluster, at, &moves, (began, &clients)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let done = clients.done();
    let (history, errors) = clients.finish().await;
    println!("1→3→5→3: {done} answers, {} failed, {} moves", errors.len(), moves.count());
    assert_eq!(errors, Vec::<String>::new(), "of {done}");
    assert!(done > 1_000, "too little happened: {done}");
    // Three replicas of sixteen partitions and the cluster's own came to be, at least.
    assert!(moves.count() > 2 * 17, "{} moves were shown", moves.count());
    for at in 0..3 {
        let verdict = ledger::verdict(cluster.node(at), &history).await;
        assert_eq!(verdict.violations, Vec::<String>::new());
    }
}

/// A node leaves for good, in order: it is emptied, and then stopped.
async fn leave(cluster: &mut Cluster, at: usize) {
    let (node, admin) = (cluster.peer(at).to_string(), cluster.node(0).admin);
    let drained = tokio::task::spawn_blocking(move || {
        let admin = format!("http://{admin}");
        Command::new(binary()).args(["node", "drain", &node, "--admin", &admin]).output()
    });
    let said = drained.await.expect("it isn't broken off").expect("it runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    println!("{}", String::from_utf8_lossy(&said.stdout).trim());
    cluster.stop(at);
    cluster.lose_disk(at);
}

/// Waits until all is in place, and the lead of the entities' partitions is shared
/// within one; and says so, with the time since the change of nodes began.
async fn is_shared(cluster: &Cluster, nodes: usize, moves: &Moves, seen: (Instant, &Steady)) {
    cluster.settled().await;
    let (began, clients) = seen;
    let until = Instant::now() + PATIENCE;
    loop {
        let status = cluster.status(0).await.expect("an answer");
        let leads = leads(&status);
        let counts = || leads.values().copied();
        if leads.len() == nodes
            && counts().max().zip(counts().min()).is_some_and(|(max, min)| max - min <= 1)
        {
            println!(
                "{nodes} nodes: in place after {:.1?}, leads {:?}, {} moves and {} answers so far",
                began.elapsed(),
                counts().collect::<Vec<_>>(),
                moves.count(),
                clients.done(),
            );
            return;
        }
        assert!(Instant::now() < until, "the lead is not shared by {nodes}: {leads:?} {status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How many of the entities' partitions each node that is there leads.
fn leads(status: &Value) -> BTreeMap<String, u64> {
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let present = nodes.iter().filter(|node| node["health"] == "present");
    let mut leads: BTreeMap<String, u64> =
        present.filter_map(|node| Some((node["node"].as_str()?.to_owned(), 0))).collect();
    let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
    // The last is the cluster's own.
    for place in partitions.iter().rev().skip(1) {
        if let Some(count) = place["leader"].as_str().and_then(|leader| leads.get_mut(leader)) {
            *count += 1;
        }
    }
    leads
}

/// Every change of who leads a partition, votes in it, or learns it, as a node shows
/// them; printed as they are seen.
struct Moves {
    seen: Arc<Mutex<u64>>,
    task: JoinHandle<()>,
}

impl Moves {
    fn watch(admin: SocketAddr) -> Self {
        let seen = Arc::<Mutex<u64>>::default();
        let task = tokio::spawn(watch(admin, Arc::clone(&seen)));
        Self { seen, task }
    }

    fn count(&self) -> u64 {
        *self.seen.lock().expect("unpoisoned")
    }
}

impl Drop for Moves {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(admin: SocketAddr, seen: Arc<Mutex<u64>>) {
    let client = Client::new(Duration::from_secs(5));
    let began = Instant::now();
    let mut known: BTreeMap<u64, [Value; 3]> = BTreeMap::new();
    loop {
        let status = client.get(admin, "/cluster").await.map(|answer| answer.json());
        let partitions = status.ok().and_then(|status| status["partitions"].as_array().cloned());
        for place in partitions.unwrap_or_default() {
            let Some(partition) = place["partition"].as_u64() else { continue };
            let now = ["leader", "voters", "learners"].map(|what| place[what].clone());
            if let Some(before) = known.insert(partition, now.clone())
                && before != now
            {
                *seen.lock().expect("unpoisoned") += 1;
                let [before, now] = [before, now].map(|[leader, voters, learners]| {
                    let all = |of: Value| of.as_array().cloned().unwrap_or_default();
                    let names = |of: Value| all(of).iter().map(short).collect::<Vec<_>>().join(" ");
                    format!("{} [{}] ({})", short(&leader), names(voters), names(learners))
                });
                println!("{:6.1?} partition {partition}: {before} → {now}", began.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The beginning of a node's identity.
fn short(node: &Value) -> String {
    node.as_str().map_or_else(|| "-".into(), |name| name.chars().take(6).collect())
}
