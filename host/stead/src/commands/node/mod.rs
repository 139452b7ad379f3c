//! `stead node`: a node, until it is told to stop; and what is done with one.

mod drain;

use std::path::PathBuf;

use crate::{
    config::{self, Inputs, NodeConfig, Override},
    connection::configuration_failure,
    failure::Failure,
    node,
};

/// Run a node.
///
/// It runs until SIGTERM or SIGINT, then takes no new work, finishes what it
/// has accepted, and closes its stores. A second signal ends it at once.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    flags: NodeFlags,
    /// The process that started it: it ends with that one
    #[arg(long, value_name = "PID", hide = true)]
    die_with: Option<u32>,
}

/// What can be done with a node that runs.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Move all that a node has to other nodes, so that it can be stopped for good
    Drain(drain::Args),
}

impl Args {
    /// Whether errors are to be JSON too.
    pub fn wants_json(&self) -> bool {
        match &self.what {
            Some(What::Drain(args)) => args.connection.json,
            None => false,
        }
    }
}

/// The flags that say what a node runs by.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct NodeFlags {
    /// The configuration file [env: STEAD_CONFIG] [default: stead.toml if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory that holds all that the node keeps [node.data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Where callers reach entities [ingress.listen]
    #[arg(long, value_name = "ADDRESS")]
    pub ingress_listen: Option<String>,
    /// Where the node is looked at and changed [admin.listen]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// Threads that run entities' code [node.worker-threads]
    #[arg(long, value_name = "COUNT")]
    pub worker_threads: Option<String>,
    /// Which log lines are wanted [log.filter]
    #[arg(long, value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// What log lines look like: text or json [log.format]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Any setting, as section.key=value; may be given many times
    #[arg(long, value_name = "SETTING")]
    pub set: Vec<String>,
}

impl NodeFlags {
    /// What the configuration is made from, these flags last.
    pub fn inputs(&self) -> Inputs {
        let named = [
            ("node.data", "--data", &self.data),
            ("ingress.listen", "--ingress-listen", &self.ingress_listen),
            ("admin.listen", "--admin-listen", &self.admin_listen),
            ("node.worker-threads", "--worker-threads", &self.worker_threads),
            ("log.filter", "--log-filter", &self.log_filter),
            ("log.format", "--log-format", &self.log_format),
        ];
        let set = self.set.iter().map(|setting| {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            Override {
                name: name.trim().into(),
                value: value.trim().into(),
                flag: format!("--set {setting}"),
            }
        });
        let named = named.into_iter().filter_map(|(name, flag, value)| {
            Some(Override { name: name.into(), value: value.clone()?, flag: flag.into() })
        });
        Inputs::of_process(self.config.clone(), set.chain(named).collect())
    }
}

/// Runs the node, or does what is asked of one.
pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(What::Drain(args)) = &args.what {
        return crate::wait(drain::run(args));
    }
    if let Some(parent) = args.die_with {
        node::die_with(parent)?;
    }
    let loaded =
        config::load(&args.flags.inputs()).map_err(|wrong| configuration_failure(&wrong))?;
    let config = NodeConfig::from_settings(&loaded.settings);
    node::logging::start(&config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    node::run(config)
}
