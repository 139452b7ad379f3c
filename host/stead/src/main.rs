//! `stead`: the node and its command line.
//!
//! `cli.rs` names the verbs, `commands/` has one file for each. `config/` is
//! what a node runs by and where it came from, `client/` the way to a node,
//! `project/` what is done with an entity's sources, `load/` the load
//! generator, `local/` a cluster on this machine, `output/` what people and
//! programs see.
#![forbid(unsafe_code)]

mod arguments;
mod cli;
mod client;
mod commands;
mod config;
mod connection;
mod failure;
mod load;
mod local;
mod node;
mod output;
mod project;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    cli::{Cli, Verb},
    failure::Failure,
    output::Screen,
};

/// What is made on one thread of a node is mostly let go on another: requests,
/// outcomes, replies. The system's allocator takes a lock for that; this one
/// doesn't.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A node runs itself with this one word to compile a component apart from
    // its own memory. It is no verb: nobody else has a use for it.
    if std::env::args_os().nth(1).is_some_and(|word| word == commands::COMPILE_WORKER) {
        return stead_cluster::compile_worker_main(std::io::stdin(), std::io::stdout());
    }
    let Cli { verb } = Cli::parse();
    let json = wants_json(&verb);
    match run(verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.reader_gone => ExitCode::SUCCESS,
        Err(failure) => {
            Screen::of_process(json).failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Node(args) => commands::node::run(&args),
        Verb::Up(args) => wait(commands::up::run(&args)),
        Verb::Chaos(args) => wait(commands::chaos::run(&args)),
        Verb::Config(args) => commands::config::run(&args),
        Verb::Dev(args) => commands::dev::run(&args),
        Verb::New(args) => commands::new::run(&args),
        Verb::Deploy(args) => wait(commands::deploy::run(&args)),
        Verb::Undeploy(args) => wait(commands::undeploy::run(&args)),
        Verb::Rollback(args) => wait(commands::rollback::run(&args)),
        Verb::Ls(args) => wait(commands::ls::run(&args)),
        Verb::Entities(args) => wait(commands::entities::run(&args)),
        Verb::Call(args) => wait(commands::call::run(&args)),
        Verb::Query(args) => wait(commands::query::run(&args)),
        Verb::Events(args) => wait(commands::events::run(&args)),
        Verb::Snapshot(args) => wait(commands::snapshot::run(&args)),
        Verb::Inspect(args) => wait(commands::inspect::run(&args)),
        Verb::Why(args) => wait(commands::why::run(&args)),
        Verb::Status(args) => wait(commands::status::run(&args)),
        Verb::Cluster(args) => wait(commands::cluster::run(&args)),
        Verb::Partitions(args) => wait(commands::partitions::run(&args)),
        Verb::Bench(args) => commands::bench::run(&args),
        Verb::Completions(args) => commands::completions::run(&args),
    }
}

/// Runs what only waits for a node: one thread is enough.
fn wait(verb: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::failed(format!("no runtime could be made: {error}")))?
        .block_on(verb)
}

/// Whether errors are to be JSON too.
fn wants_json(verb: &Verb) -> bool {
    match verb {
        Verb::Dev(_) | Verb::Completions(_) => false,
        Verb::Node(args) => args.wants_json(),
        Verb::Up(args) => args.json,
        Verb::Chaos(args) => args.wants_json(),
        Verb::Config(args) => args.json,
        Verb::New(args) => args.json,
        Verb::Deploy(args) => args.connection.json,
        Verb::Undeploy(args) => args.connection.json,
        Verb::Rollback(args) => args.connection.json,
        Verb::Ls(args) => args.connection.json,
        Verb::Entities(args) => args.connection.json,
        Verb::Call(args) => args.connection.json,
        Verb::Query(args) => args.connection.json,
        Verb::Events(args) => args.connection.json,
        Verb::Snapshot(args) => args.connection.json,
        Verb::Inspect(args) => args.connection.json,
        Verb::Why(args) => args.connection.json,
        Verb::Status(args) => args.connection.json,
        Verb::Cluster(args) => args.wants_json(),
        Verb::Partitions(args) => args.connection.json,
        Verb::Bench(args) => args.connection.json,
    }
}
