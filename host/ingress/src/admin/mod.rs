//! The admin API: what is deployed, what the journal holds, and how the node
//! fares. One file for each resource.
//!
//! It is not the fast path, so it is an ordinary axum router. It has no
//! credentials; [`origin`] keeps web pages that the operator happens to look at
//! from using it.

mod cluster;
mod components;
mod entities;
mod events;
mod health;
mod origin;
mod parts;
mod snapshots;
mod types;

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request as AxumRequest,
    routing::{get, post, put},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use stead_cluster::api::Service;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tower::ServiceExt;

use crate::{
    AdminOptions, Served,
    body::BodyRoom,
    problem::Problem,
    server::{self, Handler, Phase},
};

/// Serves the admin API on a listener as [`serve_ingress`](crate::serve_ingress)
/// does its endpoints. Until there is a house, the probes are answered all the
/// same; after `shutdown`, those who follow events are sent away at once.
pub async fn serve_admin<S: Service>(
    listener: TcpListener,
    service: impl Future<Output = S> + Send,
    options: AdminOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Served {
    let connections = options.connections.clone();
    let (phase, seen) = watch::channel(Phase::Serving);
    let local = listener.local_addr().ok();
    let handler = async {
        let admin = Admin(Arc::new(Shared {
            service: service.await,
            room: BodyRoom::new(&options.bodies),
            followers: Arc::new(Semaphore::new(options.followers_max)),
            options,
            phase: seen,
            loopback: local.is_some_and(|address| address.ip().is_loopback()),
        }));
        Arc::new(AdminHandler { router: router(admin) })
    };
    server::serve_once_open(listener, &connections, handler, health::starting, phase, shutdown)
        .await
}

/// What the handlers share.
struct Shared<S> {
    service: S,
    room: Arc<BodyRoom>,
    followers: Arc<Semaphore>,
    options: AdminOptions,
    phase: watch::Receiver<Phase>,
    /// Whether only this machine reaches the API.
    loopback: bool,
}

/// The handlers' state.
struct Admin<S>(Arc<Shared<S>>);

impl<S> Clone for Admin<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> std::ops::Deref for Admin<S> {
    type Target = Shared<S>;

    fn deref(&self) -> &Shared<S> {
        &self.0
    }
}

impl<S: Service> Shared<S> {
    /// The deployed types' names, for those who ask for another.
    fn type_names(&self) -> Vec<String> {
        let types = self.service.types();
        types.iter().map(|deployed| deployed.manifest.entity_type.to_string()).collect()
    }
}

fn router<S: Service>(admin: Admin<S>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready::<S>))
        .route("/status", get(health::status::<S>))
        .route("/cluster", get(cluster::status::<S>))
        .route("/cluster/nodes/{node}/drain", put(cluster::drain::<S>).delete(cluster::stay::<S>))
        .route("/cluster/recover", post(cluster::recover::<S>))
        .route("/chaos/cut-off", put(cluster::cut_off::<S>))
        .route("/components", post(components::upload::<S>))
        .route("/types", get(types::list::<S>))
        .route(
            "/types/{type}",
            get(types::show::<S>).put(types::deploy::<S>).delete(types::undeploy::<S>),
        )
        .route("/types/{type}/versions", get(types::versions::<S>))
        .route("/types/{type}/rollback", post(types::rollback::<S>))
        .route("/types/{type}/entities", get(entities::list::<S>))
        .route("/entities/{type}/{id}", get(entities::show::<S>))
        .route("/entities/{type}/{id}/events", get(events::list::<S>))
        .route(
            "/entities/{type}/{id}/snapshot",
            get(snapshots::show::<S>).post(snapshots::take::<S>),
        )
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(admin.clone(), origin::check::<S>))
        .with_state(admin)
}

async fn unknown_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-route", "nothing is served at this path").with(
        "known",
        &[
            "GET /healthz",
            "GET /readyz",
            "GET /status",
            "GET /cluster",
            "PUT, DELETE /cluster/nodes/{node}/drain",
            "POST /cluster/recover",
            "PUT /chaos/cut-off",
            "POST /components",
            "GET /types",
            "GET, PUT, DELETE /types/{type}",
            "GET /types/{type}/versions",
            "POST /types/{type}/rollback",
            "GET /types/{type}/entities",
            "GET /entities/{type}/{id}",
            "GET /entities/{type}/{id}/events",
            "GET, POST /entities/{type}/{id}/snapshot",
        ],
    )
}

async fn wrong_method(request: AxumRequest) -> Problem {
    let detail = format!("{} is not served here; see Allow for what is", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

struct AdminHandler {
    router: Router,
}

impl Handler for AdminHandler {
    type Body = Body;

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        match self.router.clone().oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
