//! `stead cluster recover`: the way out when the majority of some partitions is lost
//! for good.

use std::collections::BTreeSet;

use http::Method;
use stead_cluster::api::{LeftOf, RecoverAnswer, RecoverRequest};
use stead_model::NodeId;

use super::{ask_for_status, pick, short};
use crate::{
    client::Request,
    connection::ConnectionFlags,
    failure::{Exit, Failure},
    output::{Screen, Table, grouped},
};

/// Give up nodes that are lost for good, with their disks.
///
/// Only partitions that can never have a majority again without them are touched:
/// each goes on with the newest replica that is left. What was acknowledged and is
/// not in that replica is lost. The nodes are refused if they come back with their
/// data. Without --i-accept-data-loss it is only told what would come of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The nodes: the beginnings of their ids, or their addresses, with commas between
    #[arg(long, value_name = "NODE,…", required = true, value_delimiter = ',')]
    lost: Vec<String>,
    /// Go on without what they have
    #[arg(long)]
    i_accept_data_loss: bool,
    /// Only tell what would come of it, as without --i-accept-data-loss
    #[arg(long, conflicts_with = "i_accept_data_loss")]
    dry_run: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Gives them up, or tells what would come of it.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let status = ask_for_status(&connection).await?;
    let mut lost = BTreeSet::new();
    for name in &args.lost {
        // One that nobody shows any more is named in full.
        let id = match NodeId::parse(name) {
            Some(id) => Some(id),
            None => NodeId::parse(&pick(&status, name)?.node),
        };
        lost.insert(id.ok_or_else(|| Failure::usage(format!("{name:?} is no node's id")))?);
    }
    let request = RecoverRequest { lost, accept_data_loss: args.i_accept_data_loss };
    let body = serde_json::to_value(&request).map_err(|e| Failure::failed(e.to_string()))?;
    let what = "giving nodes up";
    let request = Request::new(Method::POST, "/cluster/recover").json(&body);
    let answer = connection.admin.send(what, request).await?;
    if connection.screen.json {
        return connection.screen.document(&answer.body);
    }
    show(&connection.screen, &answer.json(what)?, args)
}

fn show(screen: &Screen, answer: &RecoverAnswer, args: &Args) -> Result<(), Failure> {
    screen.line(format!("{} partitions have their majority", grouped(answer.sound)))?;
    if !answer.recovered.is_empty() {
        let with = if answer.done { "went on with" } else { "would go on with" };
        let mut table =
            Table::new(["partition", with, "last entry", "known committed", "the others had"])
                .right(2)
                .right(3);
        for place in &answer.recovered {
            let own = if place.is_the_clusters_own { "cluster " } else { "" };
            table.row([
                format!("{own}{}", place.partition),
                match place.with.as_deref() {
                    Some(node) => format!("node {}", short(node)),
                    None => "nothing: it begins anew".into(),
                },
                grouped(place.last),
                grouped(place.committed),
                place.others.iter().map(had).collect::<Vec<_>>().join(", "),
            ]);
        }
        screen.table(&table)?;
    }
    for place in &answer.waiting {
        let nodes: Vec<&str> = place.waits_for.iter().map(|node| short(node)).collect();
        screen.warning(format!(
            "partition {} waits for node {}, which may bring it back or has more than is left: \
             start it, or name it too if it is lost",
            place.partition,
            nodes.join(", ")
        ));
    }
    if answer.done {
        screen.line(format!(
            "given up: {}; if one of them comes back, start it with an empty directory",
            args.lost.join(", ")
        ))?;
        return screen.line("`stead cluster status` shows how replicas are made again");
    }
    screen.line("nothing was changed")?;
    if answer.recovered.is_empty() || args.dry_run {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "giving these nodes up may lose what was acknowledged")
        .hint("what they had beyond the entries above is lost for good")
        .hint("if their disks may still be had, bring them back instead")
        .hint("to go on all the same, say --i-accept-data-loss"))
}

fn had(left: &LeftOf) -> String {
    let name = short(&left.node);
    match (left.is_there, left.last) {
        (true, last) => format!("{name} {}", last.map_or_else(|| "?".into(), grouped)),
        (false, Some(last)) => format!("{name} {} or more (lost)", grouped(last)),
        (false, None) => format!("{name} ? (lost)"),
    }
}
