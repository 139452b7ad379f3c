//! What an entity type says of itself: the answer to the contract's `describe`.

use serde::Serialize;

/// A command or a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Its name in requests and URLs: `add-item`.
    pub name: &'static str,
    /// What it does, one sentence.
    pub summary: &'static str,
    /// The content type of its argument; empty if it takes none.
    pub request_type: &'static str,
    /// The JSON Schema of its argument.
    pub request_schema: Option<String>,
    /// The content type of its reply; empty if the reply is empty.
    pub reply_type: &'static str,
    /// The JSON Schema of its reply.
    pub reply_schema: Option<String>,
}

/// A kind of event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventKind {
    /// Its name in the journal: `item-added`.
    pub name: &'static str,
    /// What happened, one sentence.
    pub summary: String,
    /// The content type of its data.
    pub content_type: &'static str,
    /// The JSON Schema of its data.
    pub schema: Option<String>,
}

/// What an entity type says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// What the type is for, one sentence.
    pub summary: String,
    /// The language and SDK that the component is built with.
    pub sdk: &'static str,
    /// The commands, in the order of the source.
    pub commands: Vec<Operation>,
    /// The queries, in the order of the source.
    pub queries: Vec<Operation>,
    /// The kinds of events, each older name after the one that replaced it.
    pub events: Vec<EventKind>,
    /// The JSON Schema of the snapshots, if they are JSON.
    pub state_schema: Option<String>,
}

/// The SDK's own name and version, as `describe` gives it.
pub const SDK: &str = concat!("rust stead-sdk/", env!("CARGO_PKG_VERSION"));
