//! `stead chaos`: breaks a cluster that `stead up` runs.

mod network;
mod processes;
mod target;

use std::path::PathBuf;

use serde_json::json;

use crate::{
    failure::Failure,
    local::{LocalCluster, default_directory},
    output::Screen,
};

/// Break a cluster that `stead up` runs, to see how it heals.
///
/// A node is named by its number, the beginning of its id, or an address; or it is
/// `leader-of TYPE/ID`, the one that runs an entity.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Where `stead up` keeps the cluster [env: STEAD_UP_DIR] [default: .stead-up]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Print the result as JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

/// What can be broken.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Kill a node's process: SIGKILL
    Kill(target::Target),
    /// Stop a node's process for a while: SIGSTOP
    Pause(target::Target),
    /// Have one that was paused go on: SIGCONT
    Resume(target::Target),
    /// Start a node that has ended
    Restart(target::Target),
    /// Kill a node, and remove its data
    LoseDisk(target::Target),
    /// Cut nodes off from all others, as if the network between were broken
    Partition(network::Partition),
    /// Put the network together again
    Heal,
}

impl Args {
    /// Whether errors are to be JSON too.
    pub fn wants_json(&self) -> bool {
        self.json
    }
}

/// What was broken.
struct Broken {
    /// The nodes, by number.
    nodes: Vec<String>,
    /// It, for people.
    text: String,
}

/// Breaks it.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let directory = args.data.clone().unwrap_or_else(default_directory);
    let cluster = LocalCluster::running(&directory)?;
    let broken = match &args.what {
        What::Kill(target) => processes::kill(target.of(&cluster).await?),
        What::Pause(target) => processes::pause(target.of(&cluster).await?),
        What::Resume(target) => processes::resume(target.of(&cluster).await?),
        What::Restart(target) => processes::restart(&directory, target.of(&cluster).await?).await,
        What::LoseDisk(target) => {
            processes::lose_disk(&directory, target.of(&cluster).await?).await
        }
        What::Partition(partition) => network::partition(&cluster, partition).await,
        What::Heal => network::heal(&cluster).await,
    }?;
    let screen = Screen::of_process(args.json);
    match screen.json {
        true => screen.json(&json!({"nodes": broken.nodes, "text": broken.text})),
        false => screen.line(broken.text),
    }
}
