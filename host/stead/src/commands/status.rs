//! `stead status`: how the node fares.

use stead_cluster::api::NodeStatus;

use crate::{
    client::Request,
    connection::ConnectionFlags,
    failure::Failure,
    output::{Table, bytes, grouped, timestamp},
};

/// Show how the node fares.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Shows the node's status.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let what = "asking for the status";
    let answer = connection.admin.send(what, Request::get("/status")).await?;
    if connection.screen.json {
        return connection.screen.document(&answer.body);
    }
    let status: NodeStatus = answer.json(what)?;
    for problem in &status.problems {
        connection.screen.warning(problem);
    }
    connection.screen.table(&facts(status))
}

fn facts(status: NodeStatus) -> Table {
    let mut facts = Table::facts();
    facts.row(["node".into(), status.node]);
    facts.row(["version".into(), status.version]);
    facts.row(["ready".into(), if status.ready { "yes" } else { "no" }.into()]);
    facts.row(["started".into(), timestamp(status.started_at)]);
    let entries = grouped(status.recovery_entries);
    facts.row([
        "recovery".into(),
        format!("{} ms, {entries} log entries", grouped(status.recovery_ms)),
    ]);
    facts.row(["partitions".into(), status.partitions.to_string()]);
    facts.row(["types".into(), grouped(status.types)]);
    facts.row(["entities in memory".into(), grouped(status.live_entities)]);
    facts.row(["waiting".into(), grouped(status.waiting)]);
    facts.row(["guest memory".into(), bytes(status.guest_memory_bytes)]);
    facts.row(["journal on disk".into(), bytes(status.journal_bytes)]);
    for (name, count) in [
        ("commands", status.commands),
        ("queries", status.queries),
        ("events", status.events),
        ("rejections", status.rejections),
        ("faults", status.faults),
        ("activations", status.activations),
        ("replayed events", status.replayed_events),
        ("snapshots", status.snapshots),
        ("log commits", status.log_commits),
    ] {
        facts.row([name.into(), grouped(count)]);
    }
    facts
}
