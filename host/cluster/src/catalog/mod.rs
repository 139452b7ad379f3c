//! The cluster's facts about types: which components are here, which versions
//! a type had, which one it has.
//!
//! [`blobs`] holds the components by the hash of their bytes; [`store`] the
//! facts, in a redb file of their own. A fact is durable before anyone acts on
//! it. [`routes`] says whether two routes would catch the same request.

mod blobs;
mod format;
mod routes;
mod store;

pub use blobs::Blobs;
pub use format::{decode as decode_facts, encode as encode_facts};
pub use routes::route_owner;
pub use store::{CatalogStore, TypeFacts, VersionFacts};
