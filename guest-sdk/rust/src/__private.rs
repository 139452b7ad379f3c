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

/// A value that can become a part of a rejection's details, whatever its type.
pub trait Detail {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// If it has no JSON form.
    fn write(&self, json: &mut Vec<u8>) -> serde_json::Result<()>;
}

impl<T: serde::Serialize> Detail for T {
    fn write(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(json, self)
    }
}

/// A rejection whose details are an object with these fields.
pub fn with_fields(rejection: Rejection, fields: &[(&'static str, &dyn Detail)]) -> Rejection {
    let mut json = Vec::new();
    for (name, value) in fields {
        json.push(if json.is_empty() { b'{' } else { b',' });
        // A field's name is an identifier, so there is nothing to escape.
        json.extend_from_slice(format!("\"{name}\":").as_bytes());
        if let Err(error) = value.write(&mut json) {
            panic!("the field {name} of the rejection {:?} as JSON: {error}", rejection.code);
        }
    }
    json.push(b'}');
    Rejection { details: Some(json), ..rejection }
}
