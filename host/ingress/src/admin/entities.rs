//! Entities, as the journal knows them.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};
use stead_cluster::api::{EntityStatus, Service};
use stead_model::EntityId;

use super::{
    Admin,
    parts::{AddressInPath, Answer, Parameters, TypeInPath},
};

/// How many ids a page has unless asked for fewer or more.
const PAGE_DEFAULT: usize = 100;
/// The most ids that a page has.
const PAGE_MAX: usize = 1_000;

/// Which part of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    after: Option<EntityId>,
    limit: Option<usize>,
}

/// `GET /types/{type}/entities`: ids in order, a page at a time.
pub async fn list<S: Service>(
    State(admin): State<Admin<S>>,
    TypeInPath(entity_type): TypeInPath,
    Parameters(page): Parameters<Page>,
) -> Answer<Json<Value>> {
    let limit = page.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    // One more than wanted tells whether there is a next page.
    let found = admin.service.entities(entity_type, page.after, limit + 1).await;
    let mut entities = found.map_err(|error| admin.call_failed(error))?;
    let more = entities.len() > limit;
    entities.truncate(limit);
    let next = if more { entities.last().cloned() } else { None };
    Ok(Json(json!({ "entities": entities, "next": next })))
}

/// `GET /entities/{type}/{id}`: where an entity is and how it fares.
pub async fn show<S: Service>(
    State(admin): State<Admin<S>>,
    AddressInPath(address): AddressInPath,
) -> Answer<Json<EntityStatus>> {
    let status = admin.service.inspect(address).await;
    status.map(Json).map_err(|error| admin.call_failed(error))
}
