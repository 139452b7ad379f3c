//! From what the house says to what a caller is told.

use http::StatusCode;
use stead_cluster::api::{CallError, DeployError, OperateError};
use stead_model::Rejection;

use crate::{json, problem::Problem};

/// When to try again, where the house does not say.
const RETRY_AFTER_MS: u64 = 1_000;

/// How many names a list of what is known has.
const KNOWN_MAX: usize = 200;

/// A call's failure. `known_types` are named if it was the type that is unknown.
#[must_use]
pub fn of_call(error: CallError, known_types: &[String]) -> Problem {
    let text = error.to_string();
    match error {
        CallError::Rejected(rejection) => of_rejection(rejection),
        CallError::UnknownType(_) => unknown_type(text, known_types),
        CallError::UnknownName { what, known, .. } => {
            let kind = if what == "query" { "unknown-query" } else { "unknown-command" };
            Problem::new(StatusCode::NOT_FOUND, kind, text).with("known", &known)
        }
        CallError::KeyReused(id) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", text)
                .with_request_id(&id.to_string())
        }
        CallError::MailboxFull { retry_after_ms } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "mailbox-full", text)
                .retry_after_ms(retry_after_ms)
        }
        CallError::Unavailable { retry_after_ms, .. } => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
                .retry_after_ms(retry_after_ms)
        }
        CallError::DiskFull { retry_after_ms, .. } => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", text)
                .retry_after_ms(retry_after_ms)
        }
        CallError::OutcomeUnknown { request, reason } => {
            let detail = format!(
                "{reason}; whether the command was recorded is not known: send it again with the header `Idempotency-Key: {request}` to learn its outcome"
            );
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", detail)
                .with_request_id(&request.to_string())
        }
        CallError::DeadlinePassed => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline-passed", text)
        }
        CallError::Guest { incident, .. } => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "entity-failed", text)
                .with("incident", &incident)
        }
        CallError::Unreadable { .. } => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "entity-unreadable", text)
        }
    }
}

/// No such type; what there is instead.
#[must_use]
pub fn unknown_type(text: String, known: &[String]) -> Problem {
    let detail = match known {
        [] => format!("{text}; none is"),
        known => format!("{text}; there is {}", listed(known)),
    };
    let known = known.get(..KNOWN_MAX).unwrap_or(known);
    Problem::new(StatusCode::NOT_FOUND, "unknown-type", detail).with("known", known)
}

/// Names in a sentence, not too many of them.
#[must_use]
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    match names.get(..SHOWN) {
        Some(shown) if names.len() > SHOWN => {
            format!("{} and {} more", shown.join(", "), names.len() - SHOWN)
        }
        _ => names.join(", "),
    }
}

/// The entity's own no, under its own status, code and message.
fn of_rejection(rejection: Rejection) -> Problem {
    let status = match rejection.status {
        400..=499 => StatusCode::from_u16(rejection.status),
        _ => Ok(StatusCode::UNPROCESSABLE_ENTITY),
    };
    let status = status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    let problem = Problem::new(status, "rejected", rejection.message).with_code(rejection.code);
    match rejection.details {
        Some(details) if json::check(&details).is_ok() => problem.with_raw("details", &details),
        Some(details) => problem.with("details-base64", &json::base64(&details)),
        None => problem,
    }
}

/// Why nothing was taken in or deployed.
#[must_use]
pub fn of_deploy(error: DeployError, known_types: &[String]) -> Problem {
    let text = error.to_string();
    match error {
        DeployError::Component(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "component-refused", text)
        }
        DeployError::Manifest(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "manifest-refused", text)
        }
        DeployError::UnknownComponent(_) => {
            Problem::new(StatusCode::NOT_FOUND, "unknown-component", text)
        }
        DeployError::UnknownType(_) => unknown_type(text, known_types),
        DeployError::UnknownVersion(..) => {
            Problem::new(StatusCode::NOT_FOUND, "unknown-version", text)
        }
        DeployError::RouteTaken { owner, .. } => {
            Problem::new(StatusCode::CONFLICT, "route-taken", text).with("owner", &owner)
        }
        DeployError::Limit(_) => Problem::new(StatusCode::CONFLICT, "limit-reached", text),
        DeployError::Storage(_) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage-failed", text)
        }
        DeployError::Stopping => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
            .retry_after_ms(RETRY_AFTER_MS),
    }
}

/// Why the cluster was not changed.
#[must_use]
pub fn of_operation(error: OperateError) -> Problem {
    match error {
        OperateError::UnknownNode(text) => {
            Problem::new(StatusCode::NOT_FOUND, "unknown-node", text)
        }
        OperateError::Refused(text) => Problem::new(StatusCode::CONFLICT, "refused", text),
        OperateError::NotNow(text) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
                .retry_after_ms(RETRY_AFTER_MS)
        }
    }
}
