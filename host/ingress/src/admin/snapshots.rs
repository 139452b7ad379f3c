//! Snapshots of entities.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::CONTENT_TYPE};
use stead_cluster::api::{Service, SnapshotView};
use stead_model::Address;

use super::{
    Admin, Shared,
    parts::{AddressInPath, Answer},
};
use crate::{json::ObjectWriter, problem::Problem};

/// `GET /entities/{type}/{id}/snapshot`: the newest that is stored.
pub async fn show<S: Service>(
    State(admin): State<Admin<S>>,
    AddressInPath(address): AddressInPath,
) -> Answer<Response> {
    let found = admin.service.snapshot(address.clone()).await;
    match found.map_err(|error| admin.call_failed(error))? {
        Some(snapshot) => Ok(view(&admin, &address, &snapshot)),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no-snapshot",
            format!("no snapshot of {address} is stored yet; a POST to this path takes one"),
        )),
    }
}

/// `POST /entities/{type}/{id}/snapshot`: takes one now.
pub async fn take<S: Service>(
    State(admin): State<Admin<S>>,
    AddressInPath(address): AddressInPath,
) -> Answer<Response> {
    let taken = admin.service.take_snapshot(address.clone()).await;
    let snapshot = taken.map_err(|error| admin.call_failed(error))?;
    Ok(view(&admin, &address, &snapshot))
}

fn view<S: Service>(admin: &Shared<S>, address: &Address, snapshot: &SnapshotView) -> Response {
    let types = admin.service.types();
    let deployed = types.iter().find(|t| t.manifest.entity_type == address.entity_type);
    let is_json = deployed.is_none_or(|deployed| deployed.description.state_schema.is_some());
    let mut object = ObjectWriter::new();
    object
        .field("address", &address.to_string())
        .field("sequence", &snapshot.sequence)
        .field("version", &snapshot.version)
        .field("at", &snapshot.at)
        .bytes("state", &snapshot.state, is_json);
    ([(CONTENT_TYPE, "application/json")], object.finish()).into_response()
}
