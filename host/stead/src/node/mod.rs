//! The node as a process: its log, its signals, its limits, and the wiring of
//! the rooms.

pub mod logging;
mod open_files;
mod options;
mod signals;

use std::net::SocketAddr;

use tokio::{net::TcpListener, runtime::Runtime};

pub use open_files::raise as raise_open_files;
pub use signals::Stop;

use crate::{config::NodeConfig, failure::Failure};

/// Where a node that is ready can be reached.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// Where callers reach entities.
    pub ingress: SocketAddr,
    /// Where the node is looked at and changed.
    pub admin: SocketAddr,
}

/// Runs a node until the process is told to stop.
pub fn run(config: NodeConfig) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let stop = Stop::listen()?;
        run_node(config, stop, |ready| {
            tracing::info!(
                "ready: entities at http://{}/entities/, admin at http://{}/",
                ready.ingress,
                ready.admin
            );
        })
        .await
    })
}

/// A runtime for a node: its threads do I/O only; guests have threads of their own.
pub fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("stead-io")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime could be made: {error}")))
}

/// Opens a node, serves it until it is asked to stop, and closes it.
pub async fn run_node(
    config: NodeConfig,
    stop: Stop,
    ready: impl FnOnce(Ready),
) -> Result<(), Failure> {
    let open_files_max = open_files::raise();
    // The addresses are taken first: a node that can't be reached need not
    // recover its journal to find that out.
    let ingress = listen("ingress.listen", config.ingress.listen).await?;
    let admin = listen("admin.listen", config.admin.listen).await?;
    let (_, _) =
        (options::ingress(&config, open_files_max), options::admin(&config, open_files_max));
    let _ = (ready, stop, ingress, admin);
    Err(Failure::failed("the rooms are not wired yet"))
}

async fn listen(setting: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure =
            Failure::failed(format!("{setting}: {address} can't be listened on: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.hint("something listens there already; is another node running?")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("ports below 1024 need privileges; choose a higher one")
            }
            _ => failure,
        }
    })
}
