//! Which entities are where, which types are deployed, and how a command
//! reaches its partition. A single node is a cluster of one.
#![forbid(unsafe_code)]

pub mod api;
mod catalog;
mod workers;
