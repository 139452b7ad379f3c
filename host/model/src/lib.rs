//! The words of Stead as types: addresses, ids, outcomes, limits, and the rule
//! that maps an entity to its partition.
//!
//! Nothing here does I/O, knows a clock, or depends on another room. What goes
//! to disk or over a wire has types of its own where it is encoded; these are
//! the ones that the rooms speak with each other.

#![forbid(unsafe_code)]

mod address;
mod description;
mod ids;
mod item;
mod limits;
mod manifest;
mod nodes;
mod outcome;
mod partitioning;
mod request;

pub use address::{Address, AddressError, ENTITY_ID_BYTES_MAX, EntityId, EntityType};
pub use description::{Description, EventKind, Operation};
pub use ids::{
    ComponentHash, LogIndex, LogPosition, PartitionId, SequenceNumber, Term, TimestampMs,
    TypeVersion,
};
pub use item::{Entry, Item, OutcomeItem, SnapshotItem};
pub use limits::{GuestLimits, RequestLimits};
pub use manifest::{
    Isolation, Manifest, ManifestError, Method, ROUTES_MAX, Retention, Route, SnapshotPolicy,
};
pub use nodes::{ClusterId, NodeId};
pub use outcome::{Effect, Event, Lifecycle, Outcome, Rejection};
pub use partitioning::{PartitionCount, PartitionCountError};
pub use request::{RequestDigest, RequestId, RequestIdError};
