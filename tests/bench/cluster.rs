//! Three nodes on one machine beside a node that is alone.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use stead_tests::{cluster::Cluster, node::Node};

use crate::{
    Extent,
    figures::{Figure, median, range},
    load::{ledger, manifest, number, record},
    memory::resident_bytes,
};

const NODES: usize = 3;
/// How long it takes until what starting left to do is done: each store is made durable
/// within half a minute.
const SETTLES: Duration = Duration::from_secs(40);
/// How long a cluster that has nothing to do is watched.
const IDLE: Duration = Duration::from_secs(20);
const MIB: f64 = (1_u64 << 20) as f64;

/// Throughput and latency of three nodes and of one, in turns; what three nodes
/// take when there is nothing to do.
pub async fn measure(directory: &Path, extent: Extent) -> Vec<Figure> {
    let alone = ledger(&directory.join("alone"), &[]).await;
    let cluster = Cluster::start(directory, NODES, &[]).await;
    let component = stead_test_support::guest("ledger");
    cluster.node(0).deploy(&component, &manifest(0)).await;
    let mut figures = idle(&cluster, &alone).await;
    for clients in [1, 64, 256] {
        figures.push(load(&cluster, &alone, clients, extent).await);
    }
    let resident = cluster.running().map(|node| resident_bytes(node.id()) / MIB);
    let resident: Vec<f64> = resident.collect();
    figures.push(
        Figure::new(
            "memory of each of three nodes, after that load",
            format!("{:.0} MiB ({} MiB)", median(&resident), range(&resident)),
        )
        .beside(format!("alone, {:.0} MiB", resident_bytes(alone.id()) / MIB)),
    );
    figures
}

async fn load(cluster: &Cluster, alone: &Node, clients: usize, extent: Extent) -> Figure {
    let seconds = format!("{}s", extent.slice_s);
    let (mut three, mut one, mut ratios) = (vec![], vec![], vec![]);
    let (mut p50_ms, mut p99_ms, mut p50_alone_ms) = (vec![], vec![], vec![]);
    for _ in 0..extent.slices {
        // As behind a load balancer: each node has its share of the callers.
        let shares: Vec<(usize, String)> = (0..NODES.min(clients))
            .map(|at| (at, (clients / NODES + usize::from(at < clients % NODES)).to_string()))
            .collect();
        let runs = shares.iter().map(|(at, share)| {
            let seconds = &seconds;
            async move {
                let arguments = ["--clients", share, "--entities", "10000", "--warmup", "1s"];
                let rest = ["--duration", seconds];
                record(cluster.node(*at), &[&arguments[..], &rest[..]].concat()).await
            }
        });
        let results = futures::future::join_all(runs).await;
        let of = |what: &str| -> Vec<f64> {
            results.iter().map(|result| number(result, &format!("/bench/{what}"))).collect()
        };
        let greatest = |numbers: Vec<f64>| numbers.into_iter().fold(0.0, f64::max);
        let rate: f64 = of("per-second").iter().sum();
        p50_ms.push(median(&of("latency/p50-us")) / 1e3);
        p99_ms.push(greatest(of("latency/p99-us")) / 1e3);
        let all = clients.to_string();
        let arguments = ["--clients", &all, "--entities", "10000", "--warmup", "1s"];
        let rest = ["--duration", &seconds];
        let result = record(alone, &[&arguments[..], &rest[..]].concat()).await;
        let rate_alone = number(&result, "/bench/per-second");
        p50_alone_ms.push(number(&result, "/bench/latency/p50-us") / 1e3);
        three.push(rate);
        one.push(rate_alone);
        ratios.push(rate / rate_alone);
    }
    let ratio = median(&ratios);
    Figure::new(
        format!("three nodes, {clients} clients, 10,000 entities"),
        format!(
            "{:.0} a second, p50 {:.2} ms, p99 {:.1} ms: {ratio:.2} × ({})",
            median(&three),
            median(&p50_ms),
            median(&p99_ms),
            range(&ratios)
        ),
    )
    .beside(format!("alone, {:.0} a second, p50 {:.2} ms", median(&one), median(&p50_alone_ms)))
    .budget("≥ a third", ratio >= 1.0 / 3.0)
}

async fn idle(cluster: &Cluster, alone: &Node) -> Vec<Figure> {
    tokio::time::sleep(SETTLES).await;
    let nodes: Vec<u32> = cluster.running().map(Node::id).chain([alone.id()]).collect();
    let (begun, before) = (Instant::now(), nodes.iter().map(|node| processor_ms(*node)));
    let before: Vec<f64> = before.collect();
    tokio::time::sleep(IDLE).await;
    let span_ms = begun.elapsed().as_secs_f64() * 1e3;
    let shares: Vec<f64> = nodes
        .iter()
        .zip(before)
        .map(|(node, before)| (processor_ms(*node) - before) / span_ms * 100.0)
        .collect();
    let (of_alone, of_three) = shares.split_last().expect("there are four");
    let greatest = of_three.iter().copied().fold(0.0, f64::max);
    let resident: Vec<f64> =
        cluster.running().map(|node| resident_bytes(node.id()) / MIB).collect();
    vec![
        Figure::new(
            "three nodes with nothing to do, 64 partitions",
            format!("{:.1} % of a core each ({})", median(of_three), range(of_three)),
        )
        .beside(format!("alone, {of_alone:.1} %"))
        .budget("≤ 2 %", greatest <= 2.0),
        Figure::new(
            "memory of each of three nodes, empty",
            format!("{:.0} MiB ({} MiB)", median(&resident), range(&resident)),
        )
        .beside(format!("alone, {:.0} MiB", resident_bytes(alone.id()) / MIB)),
    ]
}

/// Processor time that a process has taken, its own and the system's for it, in
/// milliseconds. The clock of `/proc/PID/stat` ticks a hundred times a second.
fn processor_ms(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name before may have spaces; fields 14 and 15 of all are counted from its end.
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number") * 10.0).sum()
}
