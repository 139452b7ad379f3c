//! Components on their way in.

use axum::{
    Json,
    extract::{Request, State},
};
use http::StatusCode;
use stead_cluster::api::{ComponentInfo, Service};

use super::{
    Admin,
    parts::{Answer, read_body},
};
use crate::problem::Problem;

/// `POST /components`: takes a component in; the body is its Wasm.
pub async fn upload<S: Service>(
    State(admin): State<Admin<S>>,
    request: Request,
) -> Answer<(StatusCode, Json<ComponentInfo>)> {
    let body = read_body(&admin, request, admin.options.component_bytes_max).await?;
    if body.bytes.is_empty() {
        return Err(Problem::bad_request(
            "malformed-body",
            "the body is empty, and must be a WebAssembly component",
        ));
    }
    let taken = admin.service.upload(body.bytes.clone()).await;
    match taken {
        Ok(info) => Ok((StatusCode::CREATED, Json(info))),
        Err(error) => Err(admin.deploy_failed(error)),
    }
}
