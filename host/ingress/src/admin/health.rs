//! Whether the node lives, takes requests, and how it fares.

use axum::{Json, extract::State};
use http::StatusCode;
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

/// `GET /status`.
pub async fn status<S: Service>(State(admin): State<Admin<S>>) -> Json<NodeStatus> {
    Json(admin.service.status())
}
