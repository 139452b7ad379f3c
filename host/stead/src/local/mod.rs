//! A cluster of nodes on this machine, for looking at one: `stead up` runs it, and
//! `stead chaos` breaks it.
//!
//! `state` is the file by which other verbs find the nodes, `process` what is done
//! with processes that aren't our children, `supervisor` the one that has them.

mod process;
mod requests;
mod state;
mod supervisor;

pub use process::{Condition, Process};
pub use requests::{ask_to_start, is_asked, take_request};
pub use state::{LocalCluster, LocalNode, default_directory, discovered};
pub use supervisor::Supervisor;
