//! The parts that requests and answers of the admin API are made of.

use axum::extract::{FromRequestParts, Query, RawPathParams, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;
use stead_cluster::api::{CallError, DeployError, Service};
use stead_model::{Address, EntityId, EntityType, NodeId};

use super::Shared;
use crate::{
    body::HeldBody,
    failure, json,
    percent::{self, PercentError},
    problem::Problem,
};

/// What a handler of the admin API answers.
pub type Answer<T> = Result<T, Problem>;

/// `{type}` of the path.
pub struct TypeInPath(pub EntityType);

/// `{type}` and `{id}` of the path.
pub struct AddressInPath(pub Address);

/// `{node}` of the path: a node's identity.
pub struct NodeInPath(pub NodeId);

/// The query string, read into a structure.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync> FromRequestParts<S> for TypeInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = in_path(parts, state, "type").await?;
        let malformed = |error: stead_model::AddressError| {
            Problem::bad_request("malformed-type", error.to_string())
        };
        EntityType::new(&text).map(Self).map_err(malformed)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AddressInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let TypeInPath(entity_type) = TypeInPath::from_request_parts(parts, state).await?;
        let text = in_path(parts, state, "id").await?;
        let id = EntityId::new(&text)
            .map_err(|error| Problem::bad_request("malformed-id", error.to_string()))?;
        Ok(Self(Address::new(entity_type, id)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NodeInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = in_path(parts, state, "node").await?;
        NodeId::parse(&text).map(Self).ok_or_else(|| {
            Problem::bad_request("malformed-node", "a node's id is 32 hexadecimal digits")
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::bad_request("malformed-argument", error.body_text())),
        }
    }
}

async fn in_path<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    // axum has decoded them, but leaves what is wrongly encoded as it was.
    let path = percent::decode(parts.uri.path());
    let malformed = |error: PercentError| {
        Problem::bad_request("malformed-path", format!("the path {}", error.reason()))
    };
    path.map_err(malformed)?;
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    let parameters = parameters.map_err(|_| malformed(PercentError::Utf8))?;
    let found = parameters.iter().find(|(parameter, _)| *parameter == name);
    Ok(found.map(|(_, value)| value.to_owned()).unwrap_or_default())
}

/// Reads a whole body of at most so many bytes.
pub async fn read_body<S: Service>(
    admin: &Shared<S>,
    request: Request,
    bytes_max: usize,
) -> Answer<HeldBody> {
    let (parts, body) = request.into_parts();
    admin.room.read(&parts.headers, body, bytes_max).await
}

/// Reads a JSON body into a structure.
pub async fn read_json<S: Service, T: DeserializeOwned>(
    admin: &Shared<S>,
    request: Request,
) -> Answer<T> {
    let body = read_body(admin, request, admin.options.json_bytes_max).await?;
    serde_json::from_slice(&body.bytes).map_err(|error| {
        let fault = json::Fault::from(error);
        Problem::bad_request("malformed-body", format!("the body can't be read: {fault}"))
            .with("reason", &fault.reason)
            .with("line", &fault.line)
            .with("column", &fault.column)
    })
}

impl<S: Service> Shared<S> {
    /// What a caller is told about a call that failed.
    pub fn call_failed(&self, error: CallError) -> Problem {
        failure::of_call(error, &self.type_names())
    }

    /// What a caller is told about a deployment that failed.
    pub fn deploy_failed(&self, error: DeployError) -> Problem {
        failure::of_deploy(error, &self.type_names())
    }
}
