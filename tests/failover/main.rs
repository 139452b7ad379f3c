//! How long entities can't be reached when the node that leads them fails.
//!
//! Three nodes, a caller for each partition that sends one command after the
//! other to the nodes that stay, and faults one after the other. For every
//! partition that the faulty node led, it is measured how long after the fault the
//! first command was acknowledged that was sent after it. Each node is in a network
//! namespace of its own, so that its network can be cut too; that takes root, and
//! `STEAD_NO_NAMESPACES=1` goes without.
//!
//! ```sh
//! cargo build --release -p stead
//! cargo run --release -p stead-tests --example failover -- 10
//! cargo run --release -p stead-tests --example failover -- replay 3
//! ```
//!
//! The number is how many faults of each kind there are. With `replay` it is
//! measured how much of the pause is the replay of an entity's events.

mod caller;
mod replay;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use caller::{Acknowledged, call, first_after};

use serde_json::{Value, json};
use stead_tests::{
    cluster::Cluster,
    network::{Cut, Network},
    random::Random,
};
use tokio::sync::watch;

const NODES: usize = 3;
/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    Terminate,
    Freeze,
    CutOff,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Kill, Self::Terminate, Self::Freeze, Self::CutOff];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Terminate => "SIGTERM",
            Self::Freeze => "SIGSTOP",
            Self::CutOff => "network cut",
        }
    }
}

struct Probe {
    entity: String,
    acknowledged: Acknowledged,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let replay = arguments.next_if(|text| text == "replay").is_some();
    let each = arguments.next().map_or(5, |text| text.parse().expect("a number"));
    if replay { replay::measure(each).await } else { faults(each).await }
}

async fn faults(each: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let network = Network::new();
    let kinds: Vec<Fault> = Fault::ALL
        .into_iter()
        .filter(|fault| *fault != Fault::CutOff || network.is_some())
        .collect();
    let mut cluster = Cluster::start_in(network, directory.path(), NODES, &[]).await;
    println!("{NODES} nodes are one cluster");
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let probes = one_entity_of_each_partition(&cluster).await;
    let servers = watch::Sender::new(ingresses(&cluster, None));
    let stop = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = probes
        .values()
        .map(|probe| {
            let (entity, acknowledged) = (probe.entity.clone(), Arc::clone(&probe.acknowledged));
            let (servers, stop) = (servers.subscribe(), Arc::clone(&stop));
            tokio::spawn(call(entity, acknowledged, servers, stop, Arc::clone(&refused)))
        })
        .collect();

    let mut random = Random::from_environment("failover");
    let mut pauses: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    let mut worst: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    for round in 0..each * kinds.len() {
        let fault = kinds[round % kinds.len()];
        let at = random.below(NODES as u64) as usize;
        servers.send_replace(ingresses(&cluster, Some(at)));
        tokio::time::sleep(Duration::from_millis(700)).await;
        let led = led_by(&cluster, at).await;
        let begun = Instant::now();
        match fault {
            Fault::Kill => cluster.kill(at),
            Fault::Terminate => cluster.stop(at),
            Fault::Freeze => cluster.signal(at, "STOP"),
            Fault::CutOff => cluster.network().cut(at, &Cut::Both),
        }
        tokio::time::sleep_until((begun + FAULT).into()).await;
        let mut here = Vec::new();
        for partition in &led {
            let Some(probe) = probes.get(partition) else { continue };
            here.push(first_after(&probe.acknowledged, begun).unwrap_or(FAULT));
        }
        worst.entry(fault).or_default().extend(here.iter().max());
        pauses.entry(fault).or_default().extend(here);
        match fault {
            Fault::Kill | Fault::Terminate => cluster.restart(at).await,
            Fault::Freeze => cluster.signal(at, "CONT"),
            Fault::CutOff => cluster.network().heal(at),
        }
        let healed = cluster.settled().await;
        println!(
            "{:2} {:11} {} partitions, {:?} at worst; as before after {healed:.1?}",
            round + 1,
            fault.name(),
            led.len(),
            worst[&fault].last().copied().unwrap_or_default(),
        );
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("a caller ends");
    }
    println!("\n| fault | faults | partitions | p50 | p99 | max |\n|---|---|---|---|---|---|");
    for (fault, pauses) in &mut pauses {
        pauses.sort_unstable();
        let at = |share: f64| {
            let last = pauses.len().saturating_sub(1);
            let place = ((pauses.len() as f64 * share) as usize).min(last);
            pauses.get(place).copied().unwrap_or_default().as_millis()
        };
        println!(
            "| {} | {} | {} | {} ms | {} ms | {} ms |",
            fault.name(),
            worst[fault].len(),
            pauses.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    let mut lost = 0;
    let mut all = 0;
    for probe in probes.values() {
        let events = cluster.node(0).events(&probe.entity).await;
        let acknowledged = probe.acknowledged.lock().expect("unpoisoned").len();
        all += acknowledged;
        lost += usize::from(events.len() != acknowledged);
    }
    println!(
        "\n{all} commands acknowledged, {} answers that were none; entities whose events are not \
         exactly what was acknowledged: {lost}",
        refused.load(Ordering::Relaxed)
    );
    assert_eq!(lost, 0);
}

fn ingresses(cluster: &Cluster, but: Option<usize>) -> Vec<SocketAddr> {
    let all = (0..cluster.len()).filter(|at| Some(*at) != but);
    all.map(|at| cluster.node(at).ingress).collect()
}

/// The partitions that a node leads, as it says.
async fn led_by(cluster: &Cluster, at: usize) -> Vec<u64> {
    let status = cluster.status(at).await.expect("an answer");
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let own = nodes.iter().find(|node| node["asked"] == true).map(|node| node["node"].clone());
    let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
    let led = partitions.iter().filter(|place| Some(&place["leader"]) == own.as_ref());
    led.filter_map(|place| place["partition"].as_u64()).collect()
}

async fn one_entity_of_each_partition(cluster: &Cluster) -> BTreeMap<u64, Probe> {
    let mut probes = BTreeMap::new();
    let status = cluster.status(0).await.expect("an answer");
    let wanted = status["partitions"].as_array().map_or(0, Vec::len) - 1;
    for nth in 0_u32.. {
        if probes.len() == wanted {
            break;
        }
        let entity = format!("ledger/{nth}");
        let shown: Value = cluster.node(0).admin_ask(&format!("/entities/{entity}")).await;
        let partition = shown["partition"].as_u64().expect("a partition");
        probes.entry(partition).or_insert_with(|| Probe { entity, acknowledged: Arc::default() });
    }
    probes
}
