//! `stead inspect`: how an entity fares.

use stead_cluster::api::EntityStatus;
use stead_model::Address;

use super::why::last_replay;
use crate::{
    arguments,
    client::{self, Request},
    connection::ConnectionFlags,
    failure::Failure,
    output::{Table, grouped},
};

/// Show how an entity fares.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The entity, as in cart/42
    #[arg(value_name = "TYPE/ID", value_parser = arguments::address)]
    address: Address,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Shows where the entity is and how it fares.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let what = format!("inspecting {}", args.address);
    let answer = connection.admin.send(&what, Request::get(client::entity(&args.address))).await?;
    if connection.screen.json {
        return connection.screen.document(&answer.body);
    }
    let status: EntityStatus = answer.json(&what)?;
    let number = |number: Option<u64>| number.map_or_else(|| "none".into(), grouped);
    let mut facts = Table::facts();
    facts.row(["entity".into(), status.address.clone()]);
    facts.row(["partition".into(), status.partition.to_string()]);
    facts.row(["in memory".into(), if status.live { "yes" } else { "no" }.into()]);
    facts.row(["last sequence".into(), grouped(status.last_sequence.get())]);
    facts.row(["snapshot at".into(), number(status.snapshot_sequence.map(|s| s.get()))]);
    facts.row(["waiting".into(), grouped(status.waiting)]);
    facts.row(["last replay".into(), last_replay(&status)]);
    if status.quarantined {
        facts.row(["instance".into(), "one of its own, after a fault".into()]);
    }
    if let Some(reason) = status.unreadable {
        facts.row(["unreadable".into(), reason]);
    }
    connection.screen.table(&facts)
}
