//! The deployed types.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use stead_cluster::api::{DeployError, DeployedType, Service};
use stead_model::{ComponentHash, EntityType, TypeVersion};

use super::{
    Admin, Shared,
    parts::{Answer, TypeInPath, read_json},
};
use crate::{check_routes, failure, problem::Problem};

/// `GET /types`.
pub async fn list<S: Service>(State(admin): State<Admin<S>>) -> Json<Value> {
    let types = admin.service.types();
    let types: Vec<&DeployedType> = types.iter().map(AsRef::as_ref).collect();
    Json(json!({ "types": types }))
}

/// `GET /types/{type}`.
pub async fn show<S: Service>(
    State(admin): State<Admin<S>>,
    TypeInPath(entity_type): TypeInPath,
) -> Answer<Json<Value>> {
    Ok(Json(json!(*find(&admin, &entity_type)?)))
}

/// `GET /types/{type}/versions`.
pub async fn versions<S: Service>(
    State(admin): State<Admin<S>>,
    TypeInPath(entity_type): TypeInPath,
) -> Answer<Json<Value>> {
    match admin.service.versions(&entity_type) {
        Ok(versions) => Ok(Json(json!({ "versions": versions }))),
        Err(error) => Err(admin.deploy_failed(error)),
    }
}

/// What to deploy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    component: ComponentHash,
    /// May leave the type out, as the path has it.
    manifest: serde_json::Map<String, Value>,
}

/// `PUT /types/{type}`: deploys a component that was taken in.
pub async fn deploy<S: Service>(
    State(admin): State<Admin<S>>,
    TypeInPath(entity_type): TypeInPath,
    request: Request,
) -> Answer<Json<Value>> {
    let Deployment { component, mut manifest } = read_json(&admin, request).await?;
    let name = manifest.entry("type").or_insert_with(|| json!(entity_type));
    if name.as_str() != Some(entity_type.as_str()) {
        return Err(refused(format!("it is for the type {name}, and the path for {entity_type}")));
    }
    let manifest = serde_json::from_value::<stead_model::Manifest>(Value::Object(manifest))
        .map_err(|error| refused(error.to_string()))?;
    // Whose a route is, the house decides; whether the router understands it is
    // known here alone.
    check_routes([&manifest]).map_err(|error| refused(error.to_string()))?;
    match admin.service.deploy(component, manifest).await {
        Ok(deployed) => Ok(Json(json!(*deployed))),
        Err(error) => Err(admin.deploy_failed(error)),
    }
}

fn refused(reason: String) -> Problem {
    failure::of_deploy(DeployError::Manifest(reason), &[])
}

/// Which version to put back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    version: TypeVersion,
}

/// `POST /types/{type}/rollback`: puts an earlier version back.
pub async fn rollback<S: Service>(
    State(admin): State<Admin<S>>,
    TypeInPath(entity_type): TypeInPath,
    request: Request,
) -> Answer<Json<Value>> {
    let Rollback { version } = read_json(&admin, request).await?;
    match admin.service.rollback(entity_type.clone(), version).await {
        Ok(deployed) => Ok(Json(json!(*deployed))),
        Err(error) => {
            let problem = admin.deploy_failed(error.clone());
            Err(match (error, admin.service.versions(&entity_type)) {
                (DeployError::UnknownVersion(..), Ok(versions)) => {
                    let known: Vec<_> = versions.iter().map(|version| version.version).collect();
                    problem.with("known", &known)
                }
                _ => problem,
            })
        }
    }
}

/// `DELETE /types/{type}`: takes a type out of service.
pub async fn undeploy<S: Service>(
    State(admin): State<Admin<S>>,
    TypeInPath(entity_type): TypeInPath,
) -> Answer<StatusCode> {
    match admin.service.undeploy(entity_type).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(admin.deploy_failed(error)),
    }
}

fn find<S: Service>(
    admin: &Shared<S>,
    entity_type: &EntityType,
) -> Result<Arc<DeployedType>, Problem> {
    let types = admin.service.types();
    let found = types.iter().find(|deployed| deployed.manifest.entity_type == *entity_type);
    found.cloned().ok_or_else(|| admin.deploy_failed(DeployError::UnknownType(entity_type.clone())))
}
