//! The node as a process: its log, its signals, its limits, and the wiring of
//! the rooms.

mod dying;
pub mod logging;
mod open_files;
mod options;
mod signals;

use std::net::SocketAddr;

use stead_cluster::Cluster;
use stead_ingress::{serve_admin, serve_ingress};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

pub use dying::die_with;
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
    let ingress = listen("ingress.listen", config.ingress.listen)?;
    let admin = listen("admin.listen", config.admin.listen)?;
    let options = options::node(&config)?;
    let addresses = (local_address(&ingress)?, local_address(&admin)?);
    let (to_ingress, opened_for_ingress) = oneshot::channel();
    let (to_admin, opened_for_admin) = oneshot::channel();
    let (ingress_options, admin_options) =
        (options::ingress(&config, open_files_max), options::admin(&config, open_files_max));
    let servers = {
        let (on_ingress, on_admin) = (stop.clone(), stop.clone());
        let house = opened(opened_for_ingress);
        let ingress = serve_ingress(ingress, house, ingress_options, async move {
            on_ingress.asked().await;
        });
        let house = opened(opened_for_admin);
        let admin = serve_admin(admin, house, admin_options, async move {
            on_admin.asked().await;
        });
        (tokio::spawn(ingress), tokio::spawn(admin))
    };
    let cluster = options::cluster(&config, addresses.0)?;
    let runtime = tokio::runtime::Handle::current();
    let open = move || Cluster::open(options, cluster, &runtime);
    let (node, threads) = tokio::task::spawn_blocking(open)
        .await
        .map_err(|error| Failure::failed(format!("the node could not be opened: {error}")))?
        .map_err(|error| Failure::failed(error.to_string()))?;
    // A server that has been told to stop needs no node any more.
    let _ = to_ingress.send(node.clone());
    let _ = to_admin.send(node.clone());
    ready(Ready { ingress: addresses.0, admin: addresses.1 });
    stop.asked().await;
    // Others lead before this node stops to serve.
    if !node.resign().await {
        tracing::warn!("not all partitions could be handed over to other nodes");
    }
    // The servers finish what they accepted, then the partitions what they took.
    for server in [servers.0, servers.1] {
        if let Err(error) = server.await {
            tracing::error!(%error, "a server ended badly");
        }
    }
    if !node.node().drain(config.node.stop_timeout).await {
        tracing::warn!("not all accepted work was finished in time; what was acknowledged is kept");
    }
    node.leave().await;
    drop(node);
    let closed = tokio::task::spawn_blocking(move || threads.close()).await;
    match closed {
        Ok(Ok(())) => {
            tracing::info!("stopped; the stores are closed");
            Ok(())
        }
        Ok(Err(error)) => Err(Failure::failed(format!("the stores could not be closed: {error}"))),
        Err(error) => Err(Failure::failed(format!("the stores could not be closed: {error}"))),
    }
}

/// The node, once it is open. If that fails, the process ends.
async fn opened(opening: oneshot::Receiver<Cluster>) -> Cluster {
    match opening.await {
        Ok(node) => node,
        Err(_) => std::future::pending().await,
    }
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::failed(format!("a socket has no address: {error}")))
}

fn listen(setting: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    stead_ingress::listen(address).map_err(|error| {
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
