//! The connections that this node makes.

mod calls;
pub(crate) mod dial;
mod link;
mod peer;
mod run;
mod ticket;

pub(crate) use calls::Room;
pub(crate) use link::{Link, Phase};
pub(crate) use peer::Peer;
pub(crate) use run::run;
pub(crate) use ticket::Ticket;
