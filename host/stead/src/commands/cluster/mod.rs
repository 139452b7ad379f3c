//! `stead cluster`: the cluster as a whole.

mod recover;
mod status;

use stead_cluster::api::{ClusterNode, ClusterStatus};

use crate::{
    client::Request,
    connection::Connection,
    failure::{Exit, Failure},
    local::{LocalCluster, default_directory},
};

/// Show how the cluster fares, and act on it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What can be asked of a cluster.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show the nodes, and what is amiss
    Status(status::Args),
    /// Give up nodes that are lost for good, when partitions lost their majority
    Recover(recover::Args),
}

impl Args {
    /// Whether errors are to be JSON too.
    pub fn wants_json(&self) -> bool {
        match &self.what {
            What::Status(args) => args.connection.json,
            What::Recover(args) => args.connection.json,
        }
    }
}

/// Does what is asked.
pub async fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Status(args) => status::run(args).await,
        What::Recover(args) => recover::run(args).await,
    }
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

/// Asks how the cluster fares that the node is in.
pub async fn ask_for_status(connection: &Connection) -> Result<ClusterStatus, Failure> {
    let what = "asking for the cluster";
    let status: ClusterStatus =
        connection.admin.send(what, Request::get("/cluster")).await?.json(what)?;
    if status.cluster.is_none() {
        return Err(Failure::failed("the node is alone, or in no cluster yet")
            .hint("--admin says where a node of the cluster is"));
    }
    Ok(status)
}

/// The node that somebody names: by the beginning of its id, by an address, or, if it is
/// one of those that `stead up` runs here, by its number.
pub fn pick<'a>(status: &'a ClusterStatus, name: &str) -> Result<&'a ClusterNode, Failure> {
    let local = LocalCluster::load(&default_directory()).ok().flatten();
    let numbered = local.and_then(|local| local.numbered(name)?.id.clone());
    if let Some(node) = status.nodes.iter().find(|node| Some(&node.node) == numbered.as_ref()) {
        return Ok(node);
    }
    let is_at = |address: &Option<String>| address.as_deref() == Some(name);
    let names = |node: &&ClusterNode| {
        is_at(&node.address)
            || is_at(&node.ingress)
            || (!name.is_empty() && node.node.starts_with(&name.to_ascii_lowercase()))
    };
    let found: Vec<&ClusterNode> = status.nodes.iter().filter(names).collect();
    match found.as_slice() {
        [node] => Ok(node),
        [] => {
            let known: Vec<&str> = status.nodes.iter().map(|node| short(&node.node)).collect();
            Err(Failure::new(Exit::NotFound, format!("there is no node {name:?}"))
                .hint(format!("there is {}; `stead cluster status` shows more", known.join(", "))))
        }
        several => {
            let known: Vec<&str> = several.iter().map(|node| node.node.as_str()).collect();
            Err(Failure::usage(format!("{name:?} stands for {} nodes", several.len()))
                .hint(format!("say more of the id: {}", known.join(", "))))
        }
    }
}
