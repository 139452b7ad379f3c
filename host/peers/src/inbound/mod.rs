//! The connections that others make to this node.

mod accept;
mod answers;
mod connection;
mod greet;
mod registry;

pub(crate) use accept::accept;
pub(crate) use answers::Answers;
pub(crate) use registry::Registry;
