//! What a guest answers.

use serde::{Deserialize, Serialize};

/// A fact recorded by an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The kind, one of those that the component describes.
    pub name: String,
    /// Its data, in the kind's content type.
    pub body: Vec<u8>,
}

impl Event {
    /// The bytes that it counts for against limits and snapshot policy.
    #[must_use]
    pub fn size(&self) -> usize {
        self.name.len() + self.body.len()
    }
}

/// Something that an entity asks of the world once the outcome is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The kind of effect.
    pub kind: String,
    /// What the kind needs.
    pub body: Vec<u8>,
}

/// What becomes of an entity after an outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// It lives on.
    #[default]
    Continues,
    /// It ends; its events can still be read, but are no longer its state.
    EndsKeepingEvents,
    /// It ends, and its events and snapshots are deleted.
    EndsPurgingEvents,
}

impl Lifecycle {
    /// Whether the entity's life is over.
    #[must_use]
    pub fn ends(self) -> bool {
        match self {
            Self::Continues => false,
            Self::EndsKeepingEvents | Self::EndsPurgingEvents => true,
        }
    }
}

/// All that one command produced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The answer to the caller.
    pub reply: Vec<u8>,
    /// Whether the entity lives on.
    pub lifecycle: Lifecycle,
    /// What it asks of the world.
    pub effects: Vec<Effect>,
}

/// A "no" of the domain; it recorded nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The HTTP status, 400 to 499.
    pub status: u16,
    /// A stable name for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// More for programs: JSON.
    pub details: Option<Vec<u8>>,
}
