//! `stead snapshot`: an entity's newest snapshot, or one taken now.

use http::Method;
use serde_json::Value;
use stead_model::{Address, TimestampMs};

use crate::{
    arguments,
    client::{self, Request},
    connection::ConnectionFlags,
    failure::Failure,
    output::timestamp,
};

/// Show an entity's newest snapshot, or take one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The entity, as in cart/42
    #[arg(value_name = "TYPE/ID", value_parser = arguments::address)]
    address: Address,
    /// Take one now
    #[arg(long)]
    take: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Snapshot {
    sequence: u64,
    version: u32,
    at: TimestampMs,
    state: Option<Value>,
    state_base64: Option<String>,
}

/// Shows the snapshot.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let screen = &connection.screen;
    let (method, what) = if args.take {
        (Method::POST, format!("taking a snapshot of {}", args.address))
    } else {
        (Method::GET, format!("showing the snapshot of {}", args.address))
    };
    let path = format!("{}/snapshot", client::entity(&args.address));
    let answer = connection.admin.send(&what, Request::new(method, path)).await;
    let answer = answer.map_err(|failure| match &failure.problem {
        Some(problem) if problem.kind() == "no-snapshot" => {
            failure.hint(format!("stead snapshot {} --take takes one now", args.address))
        }
        _ => failure,
    })?;
    if screen.json {
        return screen.document(&answer.body);
    }
    let snapshot: Snapshot = answer.json(&what)?;
    screen.aside(format_args!(
        "of {} at sequence {}, by version {}, stored {}",
        args.address,
        snapshot.sequence,
        snapshot.version,
        timestamp(snapshot.at)
    ));
    match (snapshot.state, snapshot.state_base64) {
        (Some(state), _) => match serde_json::to_string_pretty(&state) {
            Ok(pretty) => screen.line(pretty),
            Err(_) => screen.line(state),
        },
        (None, Some(base64)) => {
            screen.aside("the state is no JSON; here in base64");
            screen.line(base64)
        }
        (None, None) => screen.line("null"),
    }
}
