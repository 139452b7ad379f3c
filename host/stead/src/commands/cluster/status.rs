//! `stead cluster status`: the nodes, and what is amiss.

use std::{collections::BTreeMap, io::IsTerminal as _, time::Duration};

use stead_cluster::api::{ClusterNode, ClusterNodeHealth, ClusterStatus, ReplicaMove};
use stead_model::TimestampMs;

use super::{ask, short};
use crate::{
    connection::ConnectionFlags,
    failure::Failure,
    output::{Screen, Table, grouped, timestamp},
};

/// How often it is looked with --watch.
const LOOK: Duration = Duration::from_secs(1);
/// How wide a bar is, in characters.
const BAR: u64 = 20;
/// The most moves that are shown.
const MOVES_MAX: usize = 20;

/// Show the nodes, and what is amiss.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Asks a node, and shows what it says.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let on_terminal = std::io::stdout().is_terminal();
    loop {
        let status = ask(&connection).await?;
        if let Some(status) = &status {
            if args.watch && on_terminal {
                // From the top, on a screen without what was there.
                connection.screen.raw(b"\x1b[H\x1b[2J")?;
            }
            show(&connection.screen, status, on_terminal)?;
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn show(screen: &Screen, status: &ClusterStatus, on_terminal: bool) -> Result<(), Failure> {
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
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let mark = if node.asked { " (asked)" } else { "" };
        nodes.row([
            format!("{}{mark}", short(&node.node)),
            health(node),
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
    facts.row(["replicas wanted".into(), wanted(status)]);
    facts.row(["under-replicated".into(), grouped(status.under_replicated)]);
    facts.row(["without a leader".into(), grouped(status.leaderless)]);
    facts.row(["moving".into(), grouped(status.moving)]);
    screen.table(&facts)?;
    show_moves(screen, &status.moves, on_terminal)?;
    amiss(screen, status);
    Ok(())
}

/// Shows the replicas that are on their way, with bars where a person looks.
fn show_moves(screen: &Screen, moves: &[ReplicaMove], on_terminal: bool) -> Result<(), Failure> {
    if moves.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["replica of", "to", "has", "", "because"]).right(2);
    for on_its_way in moves.iter().take(MOVES_MAX) {
        let ReplicaMove { partition, to, lacks, of, reason } = on_its_way;
        let has = lacks.map(|lacks| of.saturating_sub(lacks));
        let percent = has.map(|has| (has * 100).checked_div(*of).unwrap_or(100));
        table.row([
            format!("partition {partition}"),
            format!("node {}", short(to)),
            percent.map_or_else(|| "?".into(), |percent| format!("{percent} %")),
            if on_terminal { bar(percent.unwrap_or(0)) } else { String::new() },
            reason.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    screen.table(&table)?;
    match moves.len().checked_sub(MOVES_MAX) {
        Some(more @ 1..) => screen.line(format!("and {more} more")),
        Some(0) | None => Ok(()),
    }
}

fn bar(percent: u64) -> String {
    let full = (percent.min(100) * BAR / 100) as usize;
    let rest = BAR as usize - full;
    format!("{}{}", "█".repeat(full), "░".repeat(rest))
}

/// How many replicas are wanted, and whether nodes lack for more.
fn wanted(status: &ClusterStatus) -> String {
    let (wanted, set) = (status.replicas_wanted, status.replicas_set);
    match wanted < set {
        true => format!("{wanted} of {set}, as there are no more nodes"),
        false => grouped(wanted),
    }
}

/// Says what is wrong, and what to do about it.
fn amiss(screen: &Screen, status: &ClusterStatus) {
    if status.replicas_wanted < status.replicas_set {
        screen.warning(format!(
            "{} replicas are set, and there are nodes for {}: {} until there are more",
            status.replicas_set,
            status.replicas_wanted,
            match status.replicas_wanted {
                1 =>
                    "a node that is lost with its disk takes data with it, and any that stops, \
                      answers",
                2 => "partitions stop while either of their nodes is away",
                _ => "fewer nodes may be lost than is meant",
            }
        ));
    }
    for node in &status.nodes {
        for problem in &node.problems {
            screen.warning(format!("node {}: {problem}", short(&node.node)));
        }
        if !node.stopped.is_empty() {
            screen.note(format!(
                "  if no other node has such replicas, stop node {}, and start it with an empty \
                 data directory; if others have, keep all data, and see docs/deploying.md",
                short(&node.node)
            ));
        }
    }
    gone(screen, status);
    // Those that miss the same nodes are said at once.
    type Missing<'a> = (&'a [String], u64);
    let mut alike: BTreeMap<Missing<'_>, (Vec<String>, TimestampMs)> = BTreeMap::new();
    for lost in &status.lost {
        let (partitions, since) =
            alike.entry((&lost.missing, lost.needed)).or_insert((Vec::new(), lost.since));
        partitions.push(lost.partition.to_string());
        *since = lost.since.min(*since);
    }
    for ((missing, needed), (partitions, since)) in alike {
        let nodes: Vec<&str> = missing.iter().map(|node| short(node)).collect();
        let (which, has) = match partitions.as_slice() {
            [one] => (format!("partition {one}"), "has"),
            many => (format!("{} partitions ({})", many.len(), many.join(", ")), "have"),
        };
        screen.warning(format!(
            "{which} {has} lost the majority at {}: node {} gone, {needed} must be back",
            timestamp(since),
            nodes.join(", "),
        ));
    }
    if !status.lost.is_empty() {
        screen.note(
            "  bring those nodes back with their data; if they are lost for good, `stead cluster \
             recover --lost …` tells what would be lost with them",
        );
    }
    let lost = |partition| status.lost.iter().any(|lost| lost.partition == partition);
    let unled: Vec<String> = status
        .partitions
        .iter()
        .filter(|place| place.leader.is_none() && !lost(place.partition))
        .map(|place| place.partition.to_string())
        .collect();
    if !unled.is_empty() {
        let unled = unled.join(", ");
        screen.warning(format!("no leader just now, one is being elected: partition {unled}"));
    }
}

/// Says which nodes are missed, and what becomes of their replicas.
fn gone(screen: &Screen, status: &ClusterStatus) {
    let is_gone = |node: &&ClusterNode| node.health == ClusterNodeHealth::Gone && !node.given_up;
    for node in status.nodes.iter().filter(is_gone) {
        let since = node.gone_since.map(timestamp).unwrap_or_else(|| "some time".into());
        screen.warning(format!(
            "node {} is gone since {since}; its replicas: {}",
            short(&node.node),
            grouped(node.votes + node.learns)
        ));
    }
    let stays = |node: &&ClusterNode| !is_gone(node) && !node.draining && !node.given_up;
    let staying = status.nodes.iter().filter(stays).count() as u64;
    // Of what was lost with the majority more is said below.
    if status.lost.is_empty() && status.nodes.iter().any(|node| is_gone(&node)) {
        screen.note(match staying < status.replicas_set {
            true => {
                "  there is no other node for those replicas: start it again, or start another \
                 in its stead"
            }
            false => "  unless it is back soon, those replicas are made anew on other nodes",
        });
    }
}

fn health(node: &ClusterNode) -> String {
    let health = match node.health {
        ClusterNodeHealth::Present => "present",
        ClusterNodeHealth::Suspect => "suspect",
        ClusterNodeHealth::Gone => "gone",
    };
    match (node.given_up, node.draining) {
        (true, _) => format!("{health}, given up"),
        (false, true) if node.holds == 0 => format!("{health}, empty"),
        (false, true) => format!("{health}, draining"),
        (false, false) => health.into(),
    }
}
