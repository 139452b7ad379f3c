//! `stead why`: where an entity is, and why there.

use stead_cluster::api::{ClusterStatus, EntityStatus};
use stead_model::Address;

use super::cluster::short;
use crate::{
    arguments,
    client::{self, Request},
    connection::ConnectionFlags,
    failure::Failure,
    output::{Table, grouped},
};

/// Show where an entity is, and why there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The entity, as in cart/42
    #[arg(value_name = "TYPE/ID", value_parser = arguments::address)]
    address: Address,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Shows it.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let what = format!("asking where {} is", args.address);
    let entity = connection.admin.send(&what, Request::get(client::entity(&args.address))).await?;
    let cluster = connection.admin.send(&what, Request::get("/cluster")).await?;
    let (entity, cluster): (EntityStatus, ClusterStatus) =
        (entity.json(&what)?, cluster.json(&what)?);
    let place = cluster.partitions.iter().find(|place| place.partition == entity.partition);
    if connection.screen.json {
        let document = serde_json::json!({
            "entity": entity, "cluster": cluster.cluster, "partition": place,
        });
        return connection.screen.json(&document);
    }
    let mut facts = Table::facts();
    facts.row(["entity".into(), entity.address]);
    facts
        .row(["partition".into(), format!("{}, by the hash of its type and id", entity.partition)]);
    match place {
        Some(place) => {
            facts.row([
                "leader".into(),
                match &place.leader {
                    Some(leader) => {
                        format!("node {}, elected in term {}", short(leader), place.term)
                    }
                    None => "none: too few of its nodes are there".into(),
                },
            ]);
            for voter in &place.voters {
                let node = cluster.nodes.iter().find(|node| node.node == *voter);
                let at = node.and_then(|node| node.address.as_deref()).unwrap_or("unknown");
                let lacks = match place.behind.get(voter) {
                    Some(behind) => format!("lacks {} entries", grouped(*behind)),
                    None => "has all".into(),
                };
                facts.row(["replica".into(), format!("node {} at {at}, {lacks}", short(voter))]);
            }
            for learner in &place.learners {
                facts.row(["without a vote".into(), format!("node {}", short(learner))]);
            }
        }
        None => facts.row(["leader".into(), "this node: it is alone".into()]),
    }
    facts.row(["last sequence".into(), grouped(entity.last_sequence.get())]);
    facts.row([
        "snapshot at".into(),
        entity.snapshot_sequence.map_or_else(|| "none".into(), |at| grouped(at.get())),
    ]);
    facts.row(["in memory".into(), if entity.live { "yes" } else { "no" }.into()]);
    facts.row([
        "last replay".into(),
        match entity.last_replay_events {
            Some(events) => format!("{} events", grouped(events)),
            None => "none".into(),
        },
    ]);
    connection.screen.table(&facts)
}
