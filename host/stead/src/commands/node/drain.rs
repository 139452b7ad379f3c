//! `stead node drain`: all that a node has goes to others.

use std::time::Duration;

use http::Method;
use serde_json::json;
use stead_cluster::api::{ClusterNode, ClusterNodeHealth, DrainAnswer};

use crate::{
    client::Request,
    commands::cluster::{ask_for_status, pick, short},
    connection::{Connection, ConnectionFlags},
    failure::{Exit, Failure},
    output::{count_bar, grouped},
};

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(300);
/// How many times in a row nobody may answer meanwhile.
const SILENCES_MAX: u32 = 40;

/// Move all that a node has to other nodes, so that it can be stopped for good.
///
/// Its leaderships go first, then its replicas, each once another node has it. No
/// request fails by that. The decision is kept by the cluster: it holds though the
/// node restarts, until --undo, or until it is empty and gone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node: the beginning of its id, one of its addresses, or its number in `stead up`
    #[arg(value_name = "NODE")]
    node: String,
    /// Have it stay after all
    #[arg(long, conflicts_with_all = ["force", "no_wait"])]
    undo: bool,
    /// Also if too few nodes stay for the replicas that are wanted
    #[arg(long)]
    force: bool,
    /// Don't wait until it is empty
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Has it emptied, and waits until it is.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let status = ask_for_status(&connection).await?;
    let node = pick(&status, &args.node)?;
    let name = short(&node.node).to_owned();
    let path = format!("/cluster/nodes/{}/drain", node.node);
    let what = format!("draining node {name}");
    let request = if args.undo {
        Request::new(Method::DELETE, path)
    } else {
        Request::new(Method::PUT, path).json(&json!({ "force": args.force }))
    };
    let answer = connection.admin.send(&what, request).await?.json::<DrainAnswer>(&what)?;
    let screen = &connection.screen;
    for warning in &answer.warnings {
        screen.warning(warning);
    }
    if args.undo || args.no_wait {
        let said = match answer.draining {
            true => format!("node {name} is being emptied; `stead cluster status` shows how far"),
            false if node.draining => format!("node {name} stays"),
            false => format!("node {name} was not being emptied, and stays"),
        };
        return if screen.json { screen.json(&json!(answer)) } else { screen.line(said) };
    }
    until_empty(&connection, &node.node, &name).await?;
    if screen.json {
        let mut document = json!(answer);
        if let Some(document) = document.as_object_mut() {
            document.insert("holds".into(), json!(0));
        }
        return screen.json(&document);
    }
    screen.line(format!("node {name} is empty; it can be stopped, and nothing is lost"))
}

async fn until_empty(connection: &Connection, node: &str, name: &str) -> Result<(), Failure> {
    let bar = count_bar(&connection.screen, 0, &format!("emptying node {name}"));
    let (mut most, mut silences) = (0, 0);
    loop {
        match ask_for_status(connection).await {
            Ok(status) => {
                silences = 0;
                let Some(node) = status.nodes.iter().find(|known| known.node == node) else {
                    return Ok(());
                };
                if node.health == ClusterNodeHealth::Gone && node.holds > 0 {
                    return Err(gone(node, name));
                }
                if !node.draining {
                    return Err(Failure::failed(format!("node {name} is to stay after all"))
                        .hint("somebody said `--undo` meanwhile"));
                }
                if node.holds == 0 && node.leads == 0 {
                    return Ok(());
                }
                most = most.max(node.holds);
                bar.reach(most - node.holds, most);
                bar.say(format!(
                    "emptying node {name}: leads {}, has {}",
                    grouped(node.leads),
                    grouped(node.holds)
                ));
            }
            Err(failure) => {
                silences += 1;
                if silences > SILENCES_MAX {
                    return Err(failure.hint(format!(
                        "node {name} is being emptied all the same; ask again, or another node"
                    )));
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn gone(node: &ClusterNode, name: &str) -> Failure {
    let holds = grouped(node.holds);
    Failure::new(Exit::NotNow, format!("node {name} is gone, and had {holds} replicas left"))
        .hint("start it again and it is emptied further; or wait: its replicas are made again")
        .hint("`stead cluster status` shows whether any partition lacks some")
}
