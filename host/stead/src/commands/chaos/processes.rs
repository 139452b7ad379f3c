//! What can be done to a node's process, and to its disk.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::Broken;
use crate::{
    client::Request,
    commands::up::admin_of,
    failure::{Exit, Failure},
    local::{Condition, LocalCluster, LocalNode, ask_to_start, is_asked},
};

/// How long a process may take to end, or to start and be ready.
const END_PATIENCE: Duration = Duration::from_secs(10);
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// Kills it.
pub fn kill(node: &LocalNode) -> Result<Broken, Failure> {
    signal(node, Signal::KILL)?;
    Ok(broken(node, "was killed; `stead chaos restart` starts it again"))
}

/// Stops it for a while.
pub fn pause(node: &LocalNode) -> Result<Broken, Failure> {
    signal(node, Signal::STOP)?;
    Ok(broken(node, "is paused; `stead chaos resume` has it go on"))
}

/// Has it go on.
pub fn resume(node: &LocalNode) -> Result<Broken, Failure> {
    if node.condition() == Condition::Runs {
        return Err(Failure::usage(format!("{} isn't paused", node.shown())));
    }
    signal(node, Signal::CONT)?;
    Ok(broken(node, "goes on"))
}

/// Has it started again, and waits until it is ready.
pub async fn restart(directory: &Path, node: &LocalNode) -> Result<Broken, Failure> {
    if node.condition() != Condition::Ended {
        return Err(Failure::usage(format!("{} has not ended", node.shown()))
            .hint("`stead chaos kill` ends it"));
    }
    let asked = ask_to_start(directory, node);
    asked.map_err(|error| Failure::file("written to", directory, &error))?;
    let until = Instant::now() + START_PATIENCE;
    let what = "asking the node whether it is ready";
    loop {
        let why = match is_asked(directory, node) {
            true => Vec::new(),
            false => match admin_of(node)?.send(what, Request::get("/readyz")).await {
                Ok(_) => break,
                Err(failure) => failure.hints,
            },
        };
        // It may be refused: then the `stead up` that runs it says why.
        let known = LocalCluster::running(directory)?;
        let begun = !is_asked(directory, node)
            && known.pick(&node.name).is_ok_and(|now| now.process != node.process);
        let has_ended = known.pick(&node.name).is_ok_and(|now| now.condition() == Condition::Ended);
        if begun && has_ended || Instant::now() >= until {
            let how = if has_ended { "has ended again" } else { "is not ready" };
            let log = node.log(directory).display().to_string();
            let failure = Failure::new(Exit::NotNow, format!("{} {how}", node.shown()))
                .hint(format!("its log is {log}"));
            let failure = why.into_iter().fold(failure, Failure::hint);
            return Err(match has_ended {
                true => failure.hint(node.log_tail(directory).join("\n")),
                false => failure,
            });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(broken(node, "runs again"))
}

/// Kills it, and removes its data.
pub async fn lose_disk(directory: &Path, node: &LocalNode) -> Result<Broken, Failure> {
    if node.condition() != Condition::Ended {
        signal(node, Signal::KILL)?;
    }
    let until = Instant::now() + END_PATIENCE;
    while node.condition() != Condition::Ended {
        if Instant::now() >= until {
            return Err(Failure::failed(format!("{} does not end", node.shown())));
        }
        tokio::time::sleep(LOOK).await;
    }
    let data = node.data(directory);
    match std::fs::remove_dir_all(&data) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::file("removed", &data, &error)),
    }
    Ok(broken(node, "was killed and lost its disk; started again, it is a new node"))
}

fn signal(node: &LocalNode, signal: Signal) -> Result<(), Failure> {
    let sent = match node.process {
        Some(process) => process.signal(signal).map_err(|error| {
            Failure::failed(format!("{} can't be signalled: {error}", node.shown()))
        })?,
        None => false,
    };
    match sent {
        true => Ok(()),
        false => Err(Failure::usage(format!("{} doesn't run", node.shown()))
            .hint("`stead chaos restart` starts it")),
    }
}

fn broken(node: &LocalNode, what: &str) -> Broken {
    Broken { nodes: vec![node.name.clone()], text: format!("{} {what}", node.shown()) }
}
