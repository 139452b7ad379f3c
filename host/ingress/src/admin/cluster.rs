//! The cluster: how it fares, and what is decided about its nodes.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Request, State},
};
use http::StatusCode;
use serde::Deserialize;
use stead_cluster::api::{ClusterStatus, DrainAnswer, RecoverAnswer, RecoverRequest, Service};
use stead_model::NodeId;

use super::{
    Admin,
    parts::{Answer, NodeInPath, read_json},
};
use crate::failure;

/// `GET /cluster`: how the cluster fares, as far as this node can see.
pub async fn status<S: Service>(State(admin): State<Admin<S>>) -> Json<ClusterStatus> {
    Json(admin.service.cluster().await)
}

/// How a node is to be emptied.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    /// Also if too few nodes stay for the replicas that are wanted.
    #[serde(default)]
    force: bool,
}

/// `PUT /cluster/nodes/{node}/drain`: has a node emptied.
pub async fn drain<S: Service>(
    State(admin): State<Admin<S>>,
    NodeInPath(node): NodeInPath,
    request: Request,
) -> Answer<Json<DrainAnswer>> {
    let Drain { force } = read_json(&admin, request).await?;
    admin.service.drain(node, force).await.map(Json).map_err(failure::of_operation)
}

/// `DELETE /cluster/nodes/{node}/drain`: has a node stay after all.
pub async fn stay<S: Service>(
    State(admin): State<Admin<S>>,
    NodeInPath(node): NodeInPath,
) -> Answer<Json<DrainAnswer>> {
    admin.service.stay(node).await.map(Json).map_err(failure::of_operation)
}

/// `POST /cluster/recover`: gives nodes up that are lost for good, or tells what would
/// come of it.
pub async fn recover<S: Service>(
    State(admin): State<Admin<S>>,
    request: Request,
) -> Answer<Json<RecoverAnswer>> {
    let wanted: RecoverRequest = read_json(&admin, request).await?;
    admin.service.recover(wanted).await.map(Json).map_err(failure::of_operation)
}

/// Whom the node is cut off from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CutOff {
    nodes: BTreeSet<NodeId>,
}

/// `PUT /chaos/cut-off`: cuts the node off from these nodes and no others, if it was
/// started for such trials.
pub async fn cut_off<S: Service>(
    State(admin): State<Admin<S>>,
    request: Request,
) -> Answer<StatusCode> {
    let CutOff { nodes } = read_json(&admin, request).await?;
    admin.service.cut_off(nodes).map_err(failure::of_operation)?;
    Ok(StatusCode::NO_CONTENT)
}
