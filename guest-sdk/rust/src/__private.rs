//! What the macros' code calls.

pub use schemars;
pub use serde;

#[cfg(target_arch = "wasm32")]
pub use crate::guest::{Component, bindings, export_component};
pub use crate::{
    answer::{Kind, OrPlain, OrResult, Returned, Special},
    body::{parse_fields, parse_nothing},
    description::SDK,
    event::{decode_variant, encode_variant},
    payload::{JSON, OCTETS},
    schema::{of_input, of_output, summary_of},
};

use crate::{Answer, Entity, Operation, Rejection};

/// What a request takes, for its description.
pub struct Request {
    /// Its content type; empty if it takes nothing.
    pub content_type: &'static str,
    /// Its JSON Schema.
    pub schema: Option<String>,
}

/// Describes a command or a query.
pub fn operation<E, K: Kind<E>>(
    name: &'static str,
    summary: &'static str,
    request: Request,
    _: &K,
    reply_type: Option<&'static str>,
) -> Operation {
    Operation {
        name,
        summary,
        request_type: request.content_type,
        request_schema: request.schema,
        reply_type: reply_type.unwrap_or(K::CONTENT_TYPE),
        reply_schema: K::schema(),
    }
}

/// Makes the answer of what a method returned.
///
/// # Errors
/// The rejection, if it is one.
#[inline]
pub fn answer<E, K: Kind<E>>(_: &K, returned: K::Returned) -> Result<Answer<E>, Rejection> {
    K::answer(returned)
}

/// The rejection of a name that `describe` doesn't list. The host asks for none.
#[cold]
pub fn unknown<T>(what: &str, name: &str) -> Result<T, Rejection> {
    Err(Rejection::new(format!("unknown-{what}"), format!("there is no {what} {name:?}"))
        .with_status(404))
}

/// The state as compact JSON.
pub fn snapshot<E: serde::Serialize>(state: &E) -> Vec<u8> {
    match serde_json::to_vec(state) {
        Ok(json) => json,
        Err(error) => panic!("the state of {} as JSON: {error}", std::any::type_name::<E>()),
    }
}

/// The state from JSON.
///
/// # Errors
/// Why it can't be read.
pub fn restore<E: serde::de::DeserializeOwned>(snapshot: &[u8]) -> Result<E, String> {
    serde_json::from_slice(snapshot).map_err(|error| error.to_string())
}

/// Fails to compile for what is no entity.
pub fn assert_entity<E: Entity>() {}

/// A field of a rejection, as part of its details.
pub fn detail(value: &impl serde::Serialize) -> serde_json::Value {
    match serde_json::to_value(value) {
        Ok(value) => value,
        Err(error) => panic!("a rejection's details as JSON: {error}"),
    }
}

/// The fields of a rejection as its details.
pub fn details<const COUNT: usize>(
    fields: [(&'static str, serde_json::Value); COUNT],
) -> std::collections::BTreeMap<&'static str, serde_json::Value> {
    fields.into()
}
