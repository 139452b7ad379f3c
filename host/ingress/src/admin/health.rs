//! Whether the node lives, takes requests, and how it fares.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use stead_cluster::api::{NodeStatus, Service};

use super::Admin;

/// `GET /healthz`: the process answers. Nothing more: a node without room on
/// its disk is alive, and restarting it would help nobody.
pub async fn alive() -> Json<Value> {
    Json(json!({ "alive": true }))
}

/// `GET /readyz`: whether it takes requests, and if not, why.
pub async fn ready<S: Service>(State(admin): State<Admin<S>>) -> (StatusCode, Json<Value>) {
    let NodeStatus { ready, problems, .. } = admin.service.status();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "problems": problems })))
}

/// What a node that has not opened its journal answers to those who probe it.
pub fn starting(request: &Request<Incoming>) -> Option<Response<Body>> {
    match (request.method(), request.uri().path()) {
        (&http::Method::GET, "/healthz") => Some(Json(json!({ "alive": true })).into_response()),
        (&http::Method::GET, "/readyz") => {
            let problems = ["the node is starting: it is reading its journal"];
            let not_yet = Json(json!({ "ready": false, "problems": problems }));
            Some((StatusCode::SERVICE_UNAVAILABLE, not_yet).into_response())
        }
        _ => None,
    }
}

/// `GET /status`.
pub async fn status<S: Service>(State(admin): State<Admin<S>>) -> Json<NodeStatus> {
    Json(admin.service.status())
}
