//! What is stored of an entity, as it is shown.

use serde::{Deserialize, Serialize};
use stead_model::{SequenceNumber, TimestampMs, TypeVersion};

/// A stored event, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its number.
    pub sequence: SequenceNumber,
    /// Its kind.
    pub name: String,
    /// When it was recorded, by the clock of the node that did.
    pub at: TimestampMs,
    /// The version of the type that recorded it.
    pub version: TypeVersion,
    /// Its data.
    pub body: Vec<u8>,
}

/// A part of an entity's history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// The entity's last sequence number.
    pub last_sequence: SequenceNumber,
    /// The lowest number still stored.
    pub first_stored: SequenceNumber,
    /// The last number of the entity's earlier lives.
    pub life_begins_after: SequenceNumber,
}

/// A stored snapshot, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// The last event that it holds.
    pub sequence: SequenceNumber,
    /// The version of the type that made it.
    pub version: TypeVersion,
    /// When it was stored.
    pub at: TimestampMs,
    /// The state.
    pub state: Vec<u8>,
}
