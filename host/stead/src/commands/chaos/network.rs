//! Cutting the network between nodes, at the nodes' edges.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;

use super::Broken;
use crate::{
    client::Request,
    commands::up::admin_of,
    failure::{Exit, Failure},
    local::{Condition, LocalCluster, LocalNode},
};

/// The nodes on one side.
#[derive(Debug, clap::Args)]
pub struct Partition {
    /// The nodes that are cut off from all others; they reach each other
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,
}

/// Cuts nodes off from all others.
pub async fn partition(cluster: &LocalCluster, args: &Partition) -> Result<Broken, Failure> {
    let mut side = BTreeSet::new();
    for name in &args.nodes {
        side.insert(cluster.pick(name)?.name.clone());
    }
    if side.len() == cluster.nodes.len() {
        return Err(Failure::usage("there must be a node on the other side"));
    }
    let ids_of = |inside: bool| -> Vec<&str> {
        let of = cluster.nodes.iter().filter(|node| side.contains(&node.name) == inside);
        of.filter_map(|node| node.id.as_deref()).collect()
    };
    let (inside, outside) = (ids_of(true), ids_of(false));
    // Both sides at once: one that hears nothing and is heard would be another fault.
    let cuts = cluster.nodes.iter().map(|node| {
        let others = if side.contains(&node.name) { &outside } else { &inside };
        cut_off(node, others)
    });
    let done = futures::future::join_all(cuts).await;
    if let Some(failure) = done.into_iter().find_map(Result::err) {
        return Err(failure.hint("some nodes are cut off; `stead chaos heal` ends it"));
    }
    let list = |inside: bool| {
        let of = cluster.nodes.iter().filter(|node| side.contains(&node.name) == inside);
        of.map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    Ok(Broken {
        text: format!(
            "{} | {}: no word passes between; `stead chaos heal` ends it",
            list(true),
            list(false)
        ),
        nodes: side.into_iter().collect(),
    })
}

/// Puts the network together again.
pub async fn heal(cluster: &LocalCluster) -> Result<Broken, Failure> {
    let heals = cluster.nodes.iter().map(|node| cut_off(node, &[]));
    let done = futures::future::join_all(heals).await;
    done.into_iter().collect::<Result<Vec<()>, _>>()?;
    let nodes = cluster.nodes.iter().map(|node| node.name.clone()).collect();
    Ok(Broken { nodes, text: "all nodes reach each other again".into() })
}

/// One that doesn't run is not cut off when it starts.
async fn cut_off(node: &LocalNode, others: &[&str]) -> Result<(), Failure> {
    match node.condition() {
        Condition::Ended => return Ok(()),
        Condition::Paused => {
            return Err(Failure::new(Exit::NotNow, format!("{} is paused", node.shown()))
                .hint("`stead chaos resume` has it go on"));
        }
        Condition::Runs => {}
    }
    let what = format!("cutting {} off", node.shown());
    let request = Request::new(Method::PUT, "/chaos/cut-off").json(&json!({"nodes": others}));
    admin_of(node)?.send(&what, request).await.map(drop)
}
