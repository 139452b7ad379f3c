//! Who is there, and hints that someone has gone.
//!
//! Every node asks another every quarter of a second whether it lives, tells
//! what it hears of the rest along with it, and calls a node gone that nobody
//! could reach for a while: SWIM, over UDP, by [foca]. It finds that a node
//! has gone in about a second. **What is said here is a hint**: it tells where to
//! look and when to elect; who owns what is decided by consensus alone, and
//! nothing may be lost or written twice if every word of it is wrong.
//!
//! - [`Core`] is the protocol, without clock, randomness or socket: inputs and
//!   time go in, datagrams and notices come out. It runs under simulation.
//! - [`Gossip`] is the thin shell around it: a socket and a thread of its own,
//!   which neither guests nor a slow disk can hold up.
//!
//! Packets aren't authenticated: whoever can send datagrams to a node's gossip
//! port can tell it tales about who is there. Keep the port within the cluster's
//! network.

#![forbid(unsafe_code)]

mod config;
mod core;
mod counters;
mod identity;
mod notice;
mod packet;
mod shell;

pub use config::{Config, ConfigError};
pub use core::{Core, Effect, EnterError, Input, NAMED_MAX};
pub use counters::{Counters, Dropped};
pub use identity::{EPOCH_MAX, Identity, IdentityError, ProtocolRange, ZONE_BYTES_MAX, Zone};
pub use notice::{Health, Member, Notice, Numbered, Snapshot};
pub use packet::{HEADER_BYTES, HELLO_BYTES, Outdated, Packet, PacketError, WORD_BYTES_MAX};
pub use shell::{AskError, Found, Gossip, GossipError, Heard, Notices, Options};
