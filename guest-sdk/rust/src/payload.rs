//! What crosses the border as a body: JSON, unless it is [`Bytes`].

use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Rejection, body, schema};

/// The content type of JSON.
pub const JSON: &str = "application/json";
/// The content type of [`Bytes`], unless another is declared.
pub const OCTETS: &str = "application/octet-stream";

/// A body that is taken and given as it is, for what JSON is the wrong form of:
/// an image, a CSV table, an encoding of one's own.
///
/// As an argument: `#[body] picture: Bytes`, or with its content type
/// `#[body(content_type = "image/png")] picture: Bytes`. As a reply: the return
/// type, with `#[query(reply_type = "image/png")]`. As an event:
/// `#[event(content_type = "image/png")] Uploaded(Bytes)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Into<Vec<u8>>> From<T> for Bytes {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

/// What may be a reply. It is implemented for all that `serde` can write and
/// `schemars` can describe, and for [`Bytes`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a reply",
    note = "a reply is JSON: derive `serde::Serialize` and `schemars::JsonSchema` for it, or return `stead_sdk::Bytes`"
)]
pub trait Reply {
    /// Its content type, unless the command or query declares another.
    const CONTENT_TYPE: &'static str;

    /// Its bytes.
    fn encode(&self) -> Vec<u8>;

    /// Its JSON Schema.
    fn schema() -> Option<String>;
}

impl<T: Serialize + JsonSchema + ?Sized> Reply for T {
    const CONTENT_TYPE: &'static str = JSON;

    fn encode(&self) -> Vec<u8> {
        match serde_json::to_vec(self) {
            Ok(json) => json,
            Err(error) => panic!("a reply of type {} as JSON: {error}", std::any::type_name::<T>()),
        }
    }

    fn schema() -> Option<String> {
        Some(schema::of_output::<T>())
    }
}

impl Reply for Bytes {
    const CONTENT_TYPE: &'static str = OCTETS;

    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn schema() -> Option<String> {
        None
    }
}

/// What may be the whole argument of a command or a query: `#[body] order: Order`.
/// It is implemented for all that `serde` can read and `schemars` can describe,
/// and for [`Bytes`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be an argument",
    note = "an argument is JSON: derive `serde::Deserialize` and `schemars::JsonSchema` for it, or take `stead_sdk::Bytes`"
)]
pub trait Argument: Sized {
    /// Its content type, unless another is declared.
    const CONTENT_TYPE: &'static str;

    /// Reads it from a body.
    ///
    /// # Errors
    /// A rejection with status 400 and code `malformed-body` that says where
    /// and why.
    fn decode(body: &[u8]) -> Result<Self, Rejection>;

    /// Its JSON Schema.
    fn schema() -> Option<String>;
}

impl<T: DeserializeOwned + JsonSchema> Argument for T {
    const CONTENT_TYPE: &'static str = JSON;

    fn decode(body: &[u8]) -> Result<Self, Rejection> {
        body::parse(body)
    }

    fn schema() -> Option<String> {
        Some(schema::of_input::<T>())
    }
}

impl Argument for Bytes {
    const CONTENT_TYPE: &'static str = OCTETS;

    fn decode(body: &[u8]) -> Result<Self, Rejection> {
        Ok(Self(body.to_vec()))
    }

    fn schema() -> Option<String> {
        None
    }
}
