//! The entity endpoints: commands and queries, at `/entities/…` and at the
//! types' own routes.
//!
//! A request's way: find what it is for ([`target`]), check its head
//! ([`headers`]), read its body, make the argument, call, answer
//! ([`exchange`]). What can be found out once per deployment is kept in the
//! [`table`]; the paths of `/entities/…` are split by hand, as that is faster
//! than any router.

mod exchange;
mod headers;
mod routes;
mod table;
mod target;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use stead_cluster::api::Service;
use tokio::{net::TcpListener, sync::watch};

pub use self::routes::{RouteError, check_routes};
use self::table::TableCell;
pub(crate) use self::table::{essence, is_json};
use crate::{
    IngressOptions, Served,
    body::BodyRoom,
    server::{self, Handler, Phase},
};

/// Serves the entity endpoints on a listener, of the house that `service`
/// resolves to; until it does, requests are answered 503. When `shutdown`
/// resolves, no connection is accepted any more, requests that were are
/// finished, and what is not done within
/// [`drain_ms_max`](crate::ConnectionLimits::drain_ms_max) is cut off.
///
/// Runs on the present Tokio runtime, which must have its timer and I/O enabled.
pub async fn serve_ingress<S: Service>(
    listener: TcpListener,
    service: impl Future<Output = S> + Send,
    options: IngressOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Served {
    let connections = options.connections.clone();
    let ingress = async { Arc::new(Ingress::new(service.await, options)) };
    let (phase, _) = watch::channel(Phase::Serving);
    server::serve_once_open(listener, &connections, ingress, |_| None, phase, shutdown).await
}

/// The entity endpoints over a house.
struct Ingress<S> {
    service: S,
    table: TableCell,
    room: Arc<BodyRoom>,
    options: IngressOptions,
}

impl<S: Service> Ingress<S> {
    fn new(service: S, options: IngressOptions) -> Self {
        let room = BodyRoom::new(&options.bodies);
        Self { service, table: TableCell::default(), room, options }
    }
}

impl<S: Service> Handler for Ingress<S> {
    type Body = Full<Bytes>;

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match exchange::answer(&self, request).await {
            Ok(response) => response,
            Err(problem) => {
                let status = problem.status();
                if status.is_server_error() {
                    tracing::debug!(%status, "a request failed");
                }
                problem.into_answer()
            }
        }
    }
}
