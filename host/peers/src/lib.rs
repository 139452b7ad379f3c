//! The transport between nodes: calls and messages over TCP, of whose content it
//! knows nothing.
//!
//! **Connections.** Each node dials every node that it has something to say to,
//! once for each [`Lane`], and only the node that dialled asks on a connection;
//! the other answers. So nobody has to agree on whose connection is kept, a
//! direction that is cut is noticed by the one that needs it, and a long transfer
//! on one lane doesn't hold up another. Whatever is queued for a connection when
//! it is written goes out in one write: the heartbeats of many groups cost one
//! system call.
//!
//! **Order.** Calls on a lane arrive in the order in which [`Peers::call`] was
//! called. Answers come in any order.
//!
//! **What a failure means.** [`CallError`] tells what certainly was not carried
//! out from what may have been. When a connection breaks, every call that was
//! sent on it fails as unknown, and every one that waited fails as not sent:
//! nothing is carried over to the next connection, so no gap can open in a
//! sequence of calls without their caller knowing.
//!
//! **Limits.** A lane's payloads, the calls sent and unanswered, those that wait,
//! and the answers waiting to be sent are bounded by number and by bytes. The
//! node that answers grants a window in the handshake, and the one that asks
//! keeps to it; messages take room in the window until the other side is done
//! with them. A node that doesn't keep to it is not read from until there is
//! room. What makes no sense ends the connection, and a length is never believed
//! before its checksum, nor memory set aside for more than about twice what has
//! come.
//!
//! **Liveness.** The control lane is always up, and pings. It notices a dead
//! process at once, and a cut network within [`Times::control_silence`]; the
//! other lanes are cut with it. [`PeerEvents`] tell. A node whose own clock was
//! late doubts itself first.
//!
//! **Upgrades.** Each side names the protocol versions that it speaks, and the
//! highest common one is spoken. Before the handshake comes whatever secures the
//! connection: see [`Secure`].

#![forbid(unsafe_code)]

mod backoff;
mod config;
mod error;
mod event;
mod inbound;
mod lane;
mod liveness;
mod outbound;
mod peers;
mod refusal;
mod secure;
mod service;
mod shared;
mod stream;
mod sync;
pub mod testing;
mod throttle;
mod wire;

pub use config::{
    LaneLimits, PAYLOAD_BYTES_CAP, PROTOCOL_MAX, PROTOCOL_MIN, PeersConfig, Protocol, Times,
};
pub use error::{
    CallError, IdentifyError, LossKind, LossReason, NoAnswer, SetPeerError, StartError,
};
pub use event::{PeerEvent, PeerEvents};
pub use lane::{Lane, Lanes};
pub use peers::{Identified, LaneStatus, PeerStatus, Peers};
pub use refusal::{Refusal, RefusalReason};
pub use secure::{Plain, ReadHalf, Secure, Securing, Wire, WriteHalf};
pub use service::{PeerInfo, Reply, Service};
