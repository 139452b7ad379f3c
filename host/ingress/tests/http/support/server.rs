//! Servers on ports that the system picks.

use std::{net::SocketAddr, time::Duration};

use stead_ingress::{AdminOptions, IngressOptions, Served, listen, serve_admin, serve_ingress};
use tokio::{sync::oneshot, task::JoinHandle};

use super::House;

pub struct Server {
    pub address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<Served>,
}

impl Server {
    pub async fn ingress(house: &House, options: IngressOptions) -> Self {
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (shutdown, told) = oneshot::channel();
        let stop = async { told.await.unwrap_or(()) };
        let task =
            tokio::spawn(serve_ingress(listener, std::future::ready(house.clone()), options, stop));
        Self { address, shutdown, task }
    }

    pub async fn admin(house: &House, options: AdminOptions) -> Self {
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (shutdown, told) = oneshot::channel();
        let stop = async { told.await.unwrap_or(()) };
        let task =
            tokio::spawn(serve_admin(listener, std::future::ready(house.clone()), options, stop));
        Self { address, shutdown, task }
    }

    /// Begins to stop.
    pub fn begin_stop(self) -> JoinHandle<Served> {
        let _ = self.shutdown.send(());
        self.task
    }

    /// Stops, and says what it did.
    pub async fn stop(self) -> Served {
        let task = self.begin_stop();
        tokio::time::timeout(Duration::from_secs(20), task)
            .await
            .expect("it stops")
            .expect("it does not panic")
    }
}
