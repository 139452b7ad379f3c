//! One request and its answer.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use stead_cluster::api::{CallError, CommandCall, CommandReply, QueryCall, Service};
use stead_model::RequestId;

use super::{
    Ingress, headers,
    table::{OperationEntry, OperationKind},
    target::{self, Target},
};
use crate::{
    arguments::{self, ArgumentError, Field, QueryArgument},
    body::HeldBody,
    failure, json,
    problem::{Problem, REQUEST_ID},
};

/// The entity's last sequence number after a command.
const SEQUENCE: HeaderName = HeaderName::from_static("stead-sequence");
/// Says that an answer is that of an earlier attempt.
const REPLAYED: HeaderName = HeaderName::from_static("stead-replayed");

/// The house keeps deadlines itself. This much later it is taken to have
/// failed at that.
const DEADLINE_GRACE: Duration = Duration::from_secs(1);

/// A request's answer, or why there is none.
pub async fn answer<S: Service>(
    ingress: &Ingress<S>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Problem> {
    let received = Instant::now();
    let table = ingress.table.for_types(ingress.service.types());
    let (head, body) = request.into_parts();
    let newer;
    let found = match target::find(&table, &head.method, &head.uri) {
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
            // A node that has just come doesn't know all types, and must not say that
            // there are no more.
            let knows_all = ingress.service.knows_all_types();
            knows_all.map_err(|error| failure::of_call(error, &table.type_names))?;
            newer = ingress.table.for_types(ingress.service.types());
            target::find(&newer, &head.method, &head.uri)?
        }
        found => found?,
    };
    let (address, operation, fields) = match found {
        Target::Operation { address, operation, fields } => (address, operation, fields),
        Target::Options(methods) => return Ok(options(&methods)),
    };
    let wait = headers::deadline(&head.headers, ingress.options.requests.deadline_ms_max)?;
    let deadline = received + wait;
    if !body.is_end_stream() {
        headers::check_content(&head.headers, operation)?;
    }
    let key = match operation.kind {
        OperationKind::Command => headers::request_id(&head.headers)?,
        OperationKind::Query => None,
    };
    let bytes_max = ingress.options.requests.body_bytes_max;
    let body = ingress.room.read(&head.headers, body, bytes_max).await?;
    let argument = argument(operation, fields, head.uri.query(), body)?;
    match operation.kind {
        OperationKind::Command => {
            let call = CommandCall {
                address,
                name: operation.name.clone(),
                body: argument.bytes.clone(),
                request: key.clone(),
                deadline,
            };
            let problem = match within(deadline, ingress.service.command(call)).await {
                Some(Ok(reply)) => return Ok(command_answer(operation, reply)),
                Some(Err(error)) => failure::of_call(error, &table.type_names),
                None => overdue(key.as_ref()),
            };
            Err(match key {
                Some(key) if !problem.has_header(&REQUEST_ID) => {
                    problem.with_request_id(&key.to_string())
                }
                _ => problem,
            })
        }
        OperationKind::Query => {
            let name = operation.name.clone();
            let call = QueryCall { address, name, body: argument.bytes.clone(), deadline };
            match within(deadline, ingress.service.query(call)).await {
                Some(Ok(reply)) => Ok(reply_of(operation, reply)),
                Some(Err(error)) => Err(failure::of_call(error, &table.type_names)),
                None => Err(failure::of_call(CallError::DeadlinePassed, &table.type_names)),
            }
        }
    }
}

/// The call's result, or `None` if it is long overdue.
async fn within<T>(deadline: Instant, call: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at((deadline + DEADLINE_GRACE).into(), call).await.ok()
}

/// What is known of a command that the house did not answer in time: nothing.
fn overdue(key: Option<&RequestId>) -> Problem {
    tracing::error!("a command was not answered within its deadline, nor a second later");
    let detail = match key {
        Some(key) => format!(
            "the deadline passed, and whether the command was recorded is not known: send it again with the header `Idempotency-Key: {key}` to learn its outcome"
        ),
        None => "the deadline passed, and whether the command was recorded is not known; ask the entity, and send an Idempotency-Key with commands to be able to retry them".into(),
    };
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", detail)
}

/// The argument that path, query string and body make together.
fn argument(
    operation: &OperationEntry,
    mut fields: Vec<Field>,
    query: Option<&str>,
    body: HeldBody,
) -> Result<HeldBody, Problem> {
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        if operation.kind == OperationKind::Command {
            return Err(malformed_argument(ArgumentError(format!(
                "{} is a command, and takes its argument in the body, not in a query string",
                operation.name
            ))));
        }
        if !body.bytes.is_empty() {
            return Err(malformed_argument(ArgumentError(
                "there is a query string and a body; give the argument in one of them".into(),
            )));
        }
        if !operation.takes_json {
            return Err(malformed_argument(ArgumentError(match &*operation.request_type {
                "" => format!("{} takes no argument", operation.name),
                other => format!("{} takes {other}; send it as the body", operation.name),
            })));
        }
        match arguments::of_query(query, &operation.fields).map_err(malformed_argument)? {
            QueryArgument::Fields(more) => {
                for field in more {
                    if fields.iter().any(|(name, _)| *name == field.0) {
                        return Err(malformed_argument(ArgumentError(format!(
                            "{} is in the path and in the query string; give it in one of them",
                            field.0
                        ))));
                    }
                    fields.push(field);
                }
            }
            QueryArgument::Whole(whole) if fields.is_empty() => {
                return Ok(body.replaced(Bytes::from(whole)));
            }
            QueryArgument::Whole(_) => {
                return Err(malformed_argument(ArgumentError(
                    "`args` is the whole argument, but the path has a part of it".into(),
                )));
            }
        }
    } else if fields.is_empty() {
        if operation.takes_json && !body.bytes.is_empty() {
            json::check(&body.bytes).map_err(|fault| malformed_body(&fault))?;
        }
        return Ok(body);
    }
    let merged = arguments::merge(fields, &body.bytes).map_err(malformed_argument)?;
    Ok(body.replaced(Bytes::from(merged)))
}

fn malformed_body(fault: &json::Fault) -> Problem {
    Problem::bad_request("malformed-body", format!("the body is not JSON: {fault}"))
        .with("reason", &fault.reason)
        .with("line", &fault.line)
        .with("column", &fault.column)
}

/// An argument that can't be made from what the URL says.
pub fn malformed_argument(error: ArgumentError) -> Problem {
    Problem::bad_request("malformed-argument", error.0)
}

fn command_answer(operation: &OperationEntry, reply: CommandReply) -> Response<Full<Bytes>> {
    let mut response = reply_of(operation, reply.body);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(reply.request.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(SEQUENCE, HeaderValue::from(reply.sequence.get()));
    if reply.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn reply_of(operation: &OperationEntry, reply: Vec<u8>) -> Response<Full<Bytes>> {
    let empty = reply.is_empty();
    let mut response = Response::new(Full::new(Bytes::from(reply)));
    if empty {
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else if let Some(content_type) = &operation.reply_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}

fn options(methods: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(methods) = HeaderValue::from_str(methods) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}
