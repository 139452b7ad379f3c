//! `stead why`: where an entity is, and why there.

use stead_cluster::api::{ClusterNodeHealth, ClusterPartition, ClusterStatus, EntityStatus};
use stead_model::Address;

use super::cluster::short;
use crate::{
    arguments,
    client::{self, Request},
    connection::ConnectionFlags,
    failure::Failure,
    output::{Table, bytes, grouped, timestamp},
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
    if entity.last_sequence.get() == 0 && !entity.live {
        // Nothing is known of it: perhaps there is no such type, which the node says.
        let path = client::entity_type(&args.address.entity_type);
        connection.admin.send(&what, Request::get(path)).await?;
    }
    let place = cluster.partitions.iter().find(|place| place.partition == entity.partition);
    if connection.screen.json {
        let document = serde_json::json!({
            "entity": entity, "cluster": cluster.cluster, "partition": place,
        });
        return connection.screen.json(&document);
    }
    let mut facts = Table::facts();
    facts.row(["entity".into(), entity.address.clone()]);
    facts
        .row(["partition".into(), format!("{}, by the hash of its type and id", entity.partition)]);
    match place {
        Some(place) => show_place(&mut facts, place, &cluster),
        None => facts.row(["leader".into(), "this node: it is alone".into()]),
    }
    facts.row(["last sequence".into(), grouped(entity.last_sequence.get())]);
    facts.row([
        "snapshot at".into(),
        entity.snapshot_sequence.map_or_else(|| "none".into(), |at| grouped(at.get())),
    ]);
    facts.row(["in memory".into(), if entity.live { "yes, live" } else { "no, passive" }.into()]);
    if let Some(memory) = entity.instance_memory_bytes {
        facts.row([
            "memory".into(),
            format!("{}, of the instance that it is in with its neighbours", bytes(memory)),
        ]);
    }
    facts.row(["last replay".into(), last_replay(&entity)]);
    if let Some(why) = &entity.unreadable {
        facts.row(["unreadable".into(), why.clone()]);
    }
    connection.screen.table(&facts)
}

/// What the entity's last activation replayed, and how long it took.
pub fn last_replay(entity: &EntityStatus) -> String {
    let Some(events) = entity.last_replay_events else { return "none".into() };
    let took = entity.last_replay_us.unwrap_or(0);
    match took {
        0..1_000 => format!("{} events in {took} µs", grouped(events)),
        _ => format!("{} events in {}.{} ms", grouped(events), took / 1_000, took % 1_000 / 100),
    }
}

fn show_place(facts: &mut Table, place: &ClusterPartition, cluster: &ClusterStatus) {
    let lost = cluster.lost.iter().find(|lost| lost.partition == place.partition);
    let leader = match (&place.leader, lost) {
        (_, Some(lost)) => {
            let nodes: Vec<&str> = lost.missing.iter().map(|node| short(node)).collect();
            let since = timestamp(lost.since);
            format!("none that may decide: node {} gone since {since}", nodes.join(", "))
        }
        (Some(leader), None) => format!("node {}, elected in term {}", short(leader), place.term),
        (None, None) => "none just now; one is being elected".into(),
    };
    facts.row(["leader".into(), leader]);
    facts.row(["why there".into(), why_there(place)]);
    for voter in &place.voters {
        let node = cluster.nodes.iter().find(|node| node.node == *voter);
        let at = node.and_then(|node| node.address.as_deref()).unwrap_or("unknown");
        let lacks = match place.behind.get(voter) {
            Some(behind) => format!("lacks {} entries", grouped(*behind)),
            None => "has all".into(),
        };
        let is_gone = node.is_none_or(|node| node.health == ClusterNodeHealth::Gone);
        let state = if is_gone { "gone".into() } else { lacks };
        facts.row(["replica".into(), format!("node {} at {at}, {state}", short(voter))]);
    }
    for learner in &place.learners {
        let lacks = place
            .behind
            .get(learner)
            .map_or_else(String::new, |behind| format!(", lacks {} entries", grouped(*behind)));
        facts.row(["without a vote".into(), format!("node {}{lacks}", short(learner))]);
    }
    if let Some(reason) = place.placement.as_ref().and_then(|wanted| wanted.reason.as_deref()) {
        facts.row(["moves because".into(), reason.into()]);
    }
    if let Some(doing) = place.placement.as_ref().and_then(|wanted| wanted.doing.as_deref()) {
        facts.row(["now".into(), doing.into()]);
    }
}

/// Why the leader is where it is.
fn why_there(place: &ClusterPartition) -> String {
    let Some(wanted) = &place.placement else {
        return "it was elected; nobody places at the moment".into();
    };
    let nodes: Vec<&str> = wanted.nodes.iter().map(|node| short(node)).collect();
    let nodes = format!("replicas belong on {}", nodes.join(", "));
    match (&wanted.leader, &place.leader) {
        (Some(wanted), Some(leader)) if wanted == leader => {
            format!("leaders are spread evenly over nodes; {nodes}")
        }
        (Some(wanted), _) => {
            format!("it was elected; node {} is to lead, to spread leaders; {nodes}", short(wanted))
        }
        (None, _) => format!("it was elected, and stays while replicas move; {nodes}"),
    }
}
