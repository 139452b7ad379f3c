//! The verbs, one file each: its flags, and what it does.

pub mod bench;
pub mod call;
pub mod chaos;
pub mod cluster;
pub mod completions;
pub mod config;
pub mod deploy;
pub mod dev;
pub mod entities;
pub mod events;
pub mod inspect;
pub mod ls;
pub mod new;
pub mod node;
pub mod partitions;
pub mod query;
pub mod rollback;
pub mod snapshot;
pub mod status;
pub mod undeploy;
pub mod up;
pub mod why;

/// The word with which a node runs itself to compile a component.
pub const COMPILE_WORKER: &str = "compile-worker";
