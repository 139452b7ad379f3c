//! `stead partitions`: where the partitions are.

use stead_cluster::api::ClusterPartition;

use super::cluster::{ask, short};
use crate::{
    connection::ConnectionFlags,
    failure::Failure,
    output::{Table, grouped},
};

/// Show where the partitions are, and who leads them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Shows the partitions.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let Some(status) = ask(&connection).await? else { return Ok(()) };
    if status.cluster.is_none() {
        return connection.screen.line("the node is alone: all partitions are on it");
    }
    let mut table =
        Table::new(["partition", "leader", "term", "last entry", "voters", "learners", "state"])
            .right(0)
            .right(2)
            .right(3);
    let own = status.partitions.iter().map(|partition| partition.partition).max();
    for partition in &status.partitions {
        let number = partition.partition.to_string();
        table.row([
            if own == Some(partition.partition) { format!("cluster {number}") } else { number },
            partition.leader.as_deref().map_or("none", short).into(),
            grouped(partition.term),
            grouped(partition.last),
            list(&partition.voters),
            list(&partition.learners),
            state(partition),
        ]);
    }
    connection.screen.table(&table)
}

fn list(nodes: &[String]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| short(node)).collect();
    if names.is_empty() { "-".into() } else { names.join(" ") }
}

fn state(partition: &ClusterPartition) -> String {
    if partition.leader.is_none() {
        return "no leader".into();
    }
    if partition.is_changing {
        return "members change".into();
    }
    match partition.behind.values().max() {
        Some(behind) => format!("a replica lacks {}", grouped(*behind)),
        None => "settled".into(),
    }
}
