//! `stead up`: a cluster of nodes on this machine.

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use stead_cluster::api::{ClusterNodeHealth, ClusterStatus, NodeStatus};
use stead_model::TimestampMs;

use crate::{
    client::{Client, NodeUrl, Request},
    config::Kind as _,
    failure::Failure,
    local::{LocalNode, Supervisor, default_directory},
    node::Stop,
    output::{Progress, Screen, Table, count_bar, spinner, timestamp},
};

/// How often children and requests are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long an answer of a node may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// How long all nodes may take to answer, and then to be one whole cluster.
const READY_PATIENCE: Duration = Duration::from_secs(90);
const SETTLE_PATIENCE: Duration = Duration::from_secs(300);

/// Run a cluster of several nodes on this machine.
///
/// Each node is a process of its own, with its data and its log under one directory.
/// They end with this one; started again with the same directory, they are the same
/// cluster. Other verbs find it by themselves when they are run where this was, and
/// `stead chaos` breaks it, to see how it heals.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many nodes [default: 3, or as many as there are]
    #[arg(long, value_name = "COUNT")]
    nodes: Option<usize>,
    /// Where all is kept [env: STEAD_UP_DIR] [default: .stead-up]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many partitions, when the cluster is made [default: 64]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=4096))]
    partitions: Option<u16>,
    /// Any setting of the nodes, as section.key=value; may be given many times
    #[arg(long, value_name = "SETTING")]
    set: Vec<String>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// Runs the cluster until it is told to stop.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let screen = Screen::of_process(args.json);
    let stop = Stop::listen()?;
    let directory = args.data.clone().unwrap_or_else(default_directory);
    let supervisor = Supervisor::open(&directory, args.nodes, args.partitions, args.set.clone())?;
    let mut up = Up { supervisor, screen, leaderless_since: None };
    let result = tokio::select! {
        result = up.run() => result,
        () = stop.asked() => Ok(()),
    };
    up.note("stopping, one after the other; Ctrl-C ends all at once");
    let screen = up.screen;
    let stopped = up.supervisor.stop(|text| say(&screen, "stopped", text)).await;
    result.and(stopped)
}

struct Up {
    supervisor: Supervisor,
    screen: Screen,
    /// Since when a node's partitions may be without a leader.
    leaderless_since: Option<Instant>,
}

impl Up {
    async fn run(&mut self) -> Result<(), Failure> {
        let count = self.supervisor.cluster().nodes.len();
        self.note(&format!("starting {count} nodes; that takes some ten seconds"));
        self.supervisor.start_all()?;
        self.until_ready().await?;
        self.until_settled().await?;
        self.supervisor.has_settled()?;
        self.show()?;
        loop {
            tokio::time::sleep(LOOK).await;
            for ended in self.supervisor.ended() {
                let shown = self.node(ended.at).map(LocalNode::shown).unwrap_or_default();
                say(&self.screen, "ended", &format!("{shown} {}", ended.how));
                self.leaderless_since.get_or_insert_with(Instant::now);
            }
            for at in self.supervisor.start_asked()? {
                let shown = self.node(at).map(LocalNode::shown).unwrap_or_default();
                say(&self.screen, "started", &format!("{shown} is started again"));
                self.leaderless_since.get_or_insert_with(Instant::now);
            }
            self.look().await?;
        }
    }

    /// Says when all partitions have leaders again, and who came back as whom.
    async fn look(&mut self) -> Result<(), Failure> {
        let Some(since) = self.leaderless_since else { return Ok(()) };
        let mut all = true;
        for at in self.supervisor.running().collect::<Vec<_>>() {
            all &= !self.supervisor.answers(at) || self.is_known(at).await?;
        }
        let Some(status) = self.status().await else { return Ok(()) };
        if all && status.cluster.is_some() && status.leaderless == 0 {
            let after = since.elapsed().as_secs_f64();
            let missing = self.supervisor.cluster().nodes.len() - self.supervisor.running().count();
            let text = match missing {
                0 => {
                    format!("all nodes are there, and every partition has a leader ({after:.1} s)")
                }
                _ => format!("every partition has a leader ({after:.1} s)"),
            };
            say(&self.screen, "led", &text);
            self.leaderless_since = None;
        }
        Ok(())
    }

    /// Asks a node who it is, if that isn't known of its process; whether it is ready.
    async fn is_known(&mut self, at: usize) -> Result<bool, Failure> {
        let Some(node) = self.node(at) else { return Ok(true) };
        let admin = admin_of(node)?;
        let what = "asking a node for its status";
        let Ok(answer) = admin.send(what, Request::get("/status")).await else { return Ok(false) };
        let status: NodeStatus = answer.json(what)?;
        self.supervisor.known_as(at, &status.node)?;
        Ok(status.ready)
    }

    async fn until_ready(&mut self) -> Result<(), Failure> {
        let count = self.supervisor.cluster().nodes.len();
        let progress = spinner(&self.screen, &format!("starting {count} nodes"));
        let until = Instant::now() + READY_PATIENCE;
        let mut waiting: Vec<usize> = (0..count).collect();
        while !waiting.is_empty() {
            self.all_run()?;
            let mut left = Vec::new();
            for at in waiting {
                if !self.is_known(at).await? {
                    left.push(at);
                }
            }
            waiting = left;
            progress.say(format!("starting {count} nodes: {} are ready", count - waiting.len()));
            if Instant::now() >= until {
                let at = waiting.first().copied().unwrap_or_default();
                return Err(self.did_not(at, "is not ready"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until each partition has its replicas and the lead is shared.
    async fn until_settled(&mut self) -> Result<(), Failure> {
        let progress = count_bar(&self.screen, 0, "making replicas");
        let until = Instant::now() + SETTLE_PATIENCE;
        let nodes = self.supervisor.cluster().nodes.len();
        loop {
            self.all_run()?;
            if let Some(status) = self.status().await {
                if is_settled(&status, nodes) {
                    return Ok(());
                }
                reach(&progress, &status);
            }
            if Instant::now() >= until {
                self.note("not all partitions have their replicas yet; `stead cluster status`");
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn all_run(&mut self) -> Result<(), Failure> {
        match self.supervisor.ended().first() {
            Some(ended) => Err(self.did_not(ended.at, &ended.how)),
            None => Ok(()),
        }
    }

    fn did_not(&self, at: usize, how: &str) -> Failure {
        let directory = self.supervisor.directory();
        let (name, log) = match self.node(at) {
            Some(node) => (node.name.clone(), node.log(directory).display().to_string()),
            None => (String::new(), String::new()),
        };
        let tail = self.supervisor.log_tail(at).join("\n");
        Failure::failed(format!("node {name} {how}")).hint(format!("its log is {log}")).hint(tail)
    }

    fn node(&self, at: usize) -> Option<&LocalNode> {
        self.supervisor.cluster().nodes.get(at)
    }

    /// How the cluster fares, as the first node says that answers.
    async fn status(&self) -> Option<ClusterStatus> {
        let running: Vec<usize> = self.supervisor.running().collect();
        for node in running.into_iter().filter(|at| self.supervisor.answers(*at)) {
            let admin = admin_of(self.node(node)?).ok()?;
            let what = "asking for the cluster";
            if let Ok(answer) = admin.send(what, Request::get("/cluster")).await {
                return answer.json(what).ok();
            }
        }
        None
    }

    fn show(&self) -> Result<(), Failure> {
        let cluster = self.supervisor.cluster();
        if self.screen.json {
            return self.screen.json(&json!({
                "event": "ready",
                "directory": self.supervisor.directory(),
                "nodes": cluster.nodes,
            }));
        }
        let mut table = Table::new(["node", "id", "callers", "admin", "peers", "process"]).right(5);
        for node in &cluster.nodes {
            table.row([
                node.name.clone(),
                node.id.as_deref().and_then(|id| id.get(..8)).unwrap_or("-").to_owned(),
                format!("http://{}", node.ingress),
                format!("http://{}", node.admin),
                node.peers.to_string(),
                node.process.map_or_else(|| "-".into(), |process| process.pid.to_string()),
            ]);
        }
        self.screen.table(&table)?;
        let directory = self.supervisor.directory().display();
        self.note(&format!("data and logs are in {directory}; Ctrl-C stops the cluster"));
        self.note(
            "`stead deploy` and other verbs find it here; `stead chaos kill 2` is worth a try",
        );
        Ok(())
    }

    fn note(&self, text: &str) {
        if !self.screen.json {
            self.screen.aside(text);
        }
    }
}

/// A line about something that happened, with when.
fn say(screen: &Screen, event: &str, text: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = TimestampMs(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    // Whoever doesn't read any more has no use for it; the cluster runs on.
    let _ = match screen.json {
        true => screen.json(&json!({"event": event, "at": now, "text": text})),
        false => {
            let at = timestamp(now);
            screen.line(format!("{}  {text}", at.get(11..19).unwrap_or(&at)))
        }
    };
}

/// A client of a node's admin server.
pub fn admin_of(node: &LocalNode) -> Result<Client, Failure> {
    let url = NodeUrl::parse(&node.admin.to_string()).map_err(Failure::failed)?;
    Ok(Client::new(url, ANSWER_PATIENCE, "--admin"))
}

fn reach(progress: &Progress, status: &ClusterStatus) {
    let wanted = status.replicas_wanted;
    let there = status.partitions.iter().map(|place| (place.voters.len() as u64).min(wanted)).sum();
    progress.reach(there, status.partitions.len() as u64 * wanted);
}

/// Whether all replicas are where they should be, and the lead is shared.
fn is_settled(status: &ClusterStatus, nodes: usize) -> bool {
    let present: Vec<u64> = status
        .nodes
        .iter()
        .filter(|node| node.health == ClusterNodeHealth::Present && !node.draining)
        .map(|node| node.leads)
        .collect();
    let draining = status.nodes.iter().filter(|node| node.draining).count();
    // One leads the cluster's own partition beside.
    let even = present.iter().max().zip(present.iter().min()).is_some_and(|(m, l)| m - l <= 2);
    let whole = |place: &stead_cluster::api::ClusterPartition| {
        place.voters.len() as u64 == status.replicas_wanted && !place.is_changing
    };
    let none = status.under_replicated + status.leaderless + status.moving == 0;
    let (whole, learning) = (
        status.partitions.iter().all(whole),
        status.partitions.iter().rev().skip(1).any(|place| !place.learners.is_empty()),
    );
    present.len() + draining == nodes && even && whole && !learning && none
}
