//! What a request is for, by its method and path.

use std::sync::Arc;

use http::{Method, StatusCode};
use stead_model::{Address, AddressError, EntityId};

use super::table::{OperationEntry, OperationKind, Table, TypeEntry};
use crate::{arguments::Field, failure, percent, problem::Problem};

/// The most bytes in a path with its query string.
const URI_BYTES_MAX: usize = 16 << 10;

/// The prefix of the routes that every type has.
const PREFIX: &str = "/entities/";

/// What a request is for.
pub enum Target<'a> {
    /// A command or query.
    Operation {
        /// The entity.
        address: Address,
        /// Which.
        operation: &'a Arc<OperationEntry>,
        /// What the path says of the argument.
        fields: Vec<Field>,
    },
    /// `OPTIONS`: to be told these methods.
    Options(String),
}

/// Finds what a request is for.
pub fn find<'a>(table: &'a Table, method: &Method, uri: &http::Uri) -> Result<Target<'a>, Problem> {
    let size = uri.path().len() + uri.query().map_or(0, str::len);
    if size > URI_BYTES_MAX {
        return Err(uri_too_long(format!(
            "the URL has {size} bytes; at most {URI_BYTES_MAX} are taken"
        )));
    }
    match uri.path().strip_prefix(PREFIX) {
        Some(rest) => of_every_type(table, method, rest),
        None => of_own_route(table, method, uri.path()),
    }
}

/// `/entities/{type}/{id}/{name}`.
fn of_every_type<'a>(table: &'a Table, method: &Method, rest: &str) -> Result<Target<'a>, Problem> {
    let mut segments = rest.split('/');
    let (Some(entity_type), Some(id), Some(name), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(no_route(table, "the path is /entities/TYPE/ID/NAME; a slash in an id is %2F"));
    };
    let entity_type = known_type(table, &decode("the type", entity_type)?)?;
    let operation = known_operation(entity_type, method, &decode("the name", name)?)?;
    let allowed = match operation.kind {
        OperationKind::Command => "POST, OPTIONS",
        OperationKind::Query => "GET, HEAD, OPTIONS",
    };
    let right = match *method {
        Method::OPTIONS => return Ok(Target::Options(allowed.into())),
        Method::POST => operation.kind == OperationKind::Command,
        Method::GET | Method::HEAD => operation.kind == OperationKind::Query,
        _ => false,
    };
    if !right {
        let detail = match operation.kind {
            OperationKind::Command => format!("{} is a command: use POST", operation.name),
            OperationKind::Query => format!("{} is a query: use GET", operation.name),
        };
        return Err(wrong_method(detail, allowed));
    }
    let id = entity_id(&decode("the id", id)?)?;
    let address = Address::new(entity_type.entity_type.clone(), id);
    Ok(Target::Operation { address, operation, fields: Vec::new() })
}

/// A route from a manifest.
fn of_own_route<'a>(table: &'a Table, method: &Method, path: &str) -> Result<Target<'a>, Problem> {
    let Some(found) = table.routes.find(method, path) else {
        if path == "*" && *method == Method::OPTIONS {
            return Ok(Target::Options("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into()));
        }
        return match table.routes.methods(path) {
            Some(methods) if *method == Method::OPTIONS => Ok(Target::Options(methods)),
            Some(methods) => {
                Err(wrong_method(format!("{method} is not served here; {methods} are"), &methods))
            }
            None => Err(no_route(table, "nothing is served at this path")),
        };
    };
    let operation = &found.target.operation;
    let mut id = None;
    let mut fields = Vec::new();
    for (name, value) in found.parameters.iter() {
        let value = decode(name, value)?;
        if name == "id" {
            id = Some(entity_id(&value)?);
        } else {
            let json = operation.fields.convert(name, &[&value]);
            fields.push((name.to_owned(), json.map_err(super::exchange::malformed_argument)?));
        }
    }
    let id = id.ok_or_else(|| no_route(table, "this route has no id"))?;
    let address = Address::new(found.target.entity_type.entity_type.clone(), id);
    Ok(Target::Operation { address, operation, fields })
}

fn known_type<'a>(table: &'a Table, name: &str) -> Result<&'a Arc<TypeEntry>, Problem> {
    table.entity_type(name).ok_or_else(|| {
        let text = format!("no entity type {:?} is deployed", shortened(name));
        failure::unknown_type(text, &table.type_names)
    })
}

fn known_operation<'a>(
    entity_type: &'a TypeEntry,
    method: &Method,
    name: &str,
) -> Result<&'a Arc<OperationEntry>, Problem> {
    entity_type.operation(name).ok_or_else(|| {
        let (kind, what, known) = match *method {
            Method::GET | Method::HEAD => ("unknown-query", "query", &entity_type.queries),
            _ => ("unknown-command", "command", &entity_type.commands),
        };
        let there_is = if known.is_empty() { "none".into() } else { failure::listed(known) };
        let detail = format!(
            "{} has no {what} {:?}; it has {there_is}",
            entity_type.entity_type,
            shortened(name)
        );
        Problem::new(StatusCode::NOT_FOUND, kind, detail).with("known", known)
    })
}

fn entity_id(text: &str) -> Result<EntityId, Problem> {
    EntityId::new(text).map_err(|error| match error {
        AddressError::IdTooLong(_) => uri_too_long(error.to_string()),
        AddressError::Type
        | AddressError::IdEmpty
        | AddressError::IdControl(_)
        | AddressError::NoSlash => Problem::bad_request("malformed-id", error.to_string()),
    })
}

fn decode<'a>(what: &str, text: &'a str) -> Result<std::borrow::Cow<'a, str>, Problem> {
    percent::decode(text).map_err(|error| {
        Problem::bad_request("malformed-path", format!("{what} in the path {}", error.reason()))
    })
}

fn uri_too_long(detail: String) -> Problem {
    Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", detail)
}

fn wrong_method(detail: String, allowed: &str) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).allow(allowed)
}

fn no_route(table: &Table, detail: &str) -> Problem {
    let common = ["POST /entities/{type}/{id}/{command}", "GET /entities/{type}/{id}/{query}"];
    let own = table.routes.known.iter().map(String::as_str);
    let known: Vec<&str> = common.into_iter().chain(own).take(100).collect();
    Problem::new(StatusCode::NOT_FOUND, "unknown-route", detail).with("known", &known)
}

/// What a caller wrote, short enough to be told back.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
