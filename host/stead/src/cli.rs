//! The command line as a whole: its verbs, one file each.

use clap::{Parser, Subcommand};

use crate::{commands, failure::EXIT_CODES};

/// The best home for stateful entities.
///
/// An entity type is a WebAssembly component; Stead keeps the events of its
/// entities, runs each in one place at a time, and serves them over HTTP.
#[derive(Debug, Parser)]
#[command(name = "stead", version, propagate_version = true, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a node, or empty one
    Node(commands::node::Args),
    /// Run a cluster of several nodes on this machine
    Up(commands::up::Args),
    /// Break a cluster that `stead up` runs, to see how it heals
    Chaos(commands::chaos::Args),
    /// Print every setting with its value and where it came from
    Config(commands::config::Args),
    /// Build, deploy and redeploy a project on a throwaway node
    Dev(commands::dev::Args),
    /// Make a new entity project
    New(commands::new::Args),
    /// Deploy an entity type
    Deploy(commands::deploy::Args),
    /// Take an entity type out of service; its entities' journals stay
    Undeploy(commands::undeploy::Args),
    /// Put an earlier version of an entity type back
    Rollback(commands::rollback::Args),
    /// List the deployed entity types, or show one
    Ls(commands::ls::Args),
    /// List the entities of a type
    Entities(commands::entities::Args),
    /// Send a command to an entity
    Call(commands::call::Args),
    /// Ask an entity
    Query(commands::query::Args),
    /// Show an entity's events
    Events(commands::events::Args),
    /// Show an entity's newest snapshot, or take one
    Snapshot(commands::snapshot::Args),
    /// Show how an entity fares
    Inspect(commands::inspect::Args),
    /// Show where an entity is, and why there
    Why(commands::why::Args),
    /// Show how the node fares
    Status(commands::status::Args),
    /// Show how the cluster fares, and act on it
    Cluster(commands::cluster::Args),
    /// Show where the partitions are
    Partitions(commands::partitions::Args),
    /// Measure an entity type, and what the machine gives without Stead
    Bench(commands::bench::Args),
    /// Print a shell's completions
    Completions(commands::completions::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
