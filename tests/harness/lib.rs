//! What the tests of whole nodes share: real `stead` processes, a client, and
//! the check of what clients saw against what the journal holds.

#![forbid(unsafe_code)]

pub mod calls;
pub mod client;
pub mod cluster;
pub mod history;
pub mod ledger;
pub mod network;
pub mod node;
pub mod random;
pub mod small_disk;
pub mod timeline;
