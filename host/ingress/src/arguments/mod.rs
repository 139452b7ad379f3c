//! From what a URL says to the JSON argument that an entity takes.
//!
//! A URL knows only text; the schema of the argument says which of it are
//! numbers. What the schema can't decide stays text, and an entity that
//! expected otherwise says so itself.

mod merge;
mod query;
mod schema;

pub use merge::merge;
pub use query::{QueryArgument, of_query};
pub use schema::Fields;

/// What is wrong with an argument, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentError(pub String);

/// A field of an argument: its name, and its value as JSON.
pub type Field = (String, Vec<u8>);
