//! `stead cluster`: how the cluster fares.

use stead_cluster::api::{ClusterNodeHealth, ClusterStatus};

use crate::{
    client::Request,
    connection::{Connection, ConnectionFlags},
    failure::Failure,
    output::{Table, grouped},
};

/// Show how the cluster fares.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What can be asked of a cluster.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show the nodes, and what is amiss
    Status(StatusArgs),
}

/// Show the nodes, and what is amiss.
#[derive(Debug, clap::Args)]
struct StatusArgs {
    #[command(flatten)]
    connection: ConnectionFlags,
}

impl Args {
    /// Whether errors are to be JSON too.
    pub fn wants_json(&self) -> bool {
        match &self.what {
            What::Status(args) => args.connection.json,
        }
    }
}

/// Asks a node, and shows what it says.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let What::Status(args) = &args.what;
    let connection = args.connection.open()?;
    let Some(status) = ask(&connection).await? else { return Ok(()) };
    let screen = &connection.screen;
    match &status.cluster {
        Some(cluster) => screen.line(format!("cluster {cluster}"))?,
        None => return screen.line("the node is alone, or in no cluster yet"),
    }
    let mut nodes =
        Table::new(["node", "health", "leads", "votes", "learns", "zone", "peers", "callers"])
            .right(2)
            .right(3)
            .right(4);
    for node in &status.nodes {
        let health = match node.health {
            ClusterNodeHealth::Present => "present",
            ClusterNodeHealth::Suspect => "suspect",
            ClusterNodeHealth::Gone => "gone",
        };
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let mark = if node.asked { " (asked)" } else { "" };
        nodes.row([
            format!("{}{mark}", short(&node.node)),
            health.into(),
            grouped(node.leads),
            grouped(node.votes),
            grouped(node.learns),
            or_none(&node.zone),
            or_none(&node.address),
            or_none(&node.ingress),
        ]);
    }
    screen.table(&nodes)?;
    let mut facts = Table::facts();
    facts.row(["partitions".into(), grouped(status.partitions.len() as u64)]);
    facts.row(["replicas wanted".into(), grouped(status.replicas_wanted)]);
    facts.row(["under-replicated".into(), grouped(status.under_replicated)]);
    facts.row(["without a leader".into(), grouped(status.leaderless)]);
    facts.row(["moving".into(), grouped(status.moving)]);
    screen.table(&facts)?;
    for partition in status.partitions.iter().filter(|partition| partition.leader.is_none()) {
        screen.warning(format!(
            "partition {} has no leader: too few of its nodes are there",
            partition.partition
        ));
    }
    Ok(())
}

/// Asks how the cluster fares; prints it itself if JSON is wanted.
pub async fn ask(connection: &Connection) -> Result<Option<ClusterStatus>, Failure> {
    let what = "asking for the cluster";
    let answer = connection.admin.send(what, Request::get("/cluster")).await?;
    if connection.screen.json {
        connection.screen.document(&answer.body)?;
        return Ok(None);
    }
    Ok(Some(answer.json(what)?))
}

/// The beginning of a node's identity: enough for people.
pub fn short(node: &str) -> &str {
    node.get(..8).unwrap_or(node)
}
