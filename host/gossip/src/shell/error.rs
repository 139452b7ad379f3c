//! What can go wrong with the shell.

use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::core::{EnterError, NAMED_MAX};

/// Why gossip could not start, or not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GossipError {
    /// The socket can't be bound.
    #[error(
        "can't take gossip at {address} (UDP): {cause}; see whether another process has the port, \
         and whether the address is one of this machine's"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: String,
    },
    /// The settings or the identity don't work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gives no thread, or doesn't take the socket.
    #[error("can't start gossip: {cause}")]
    Start {
        /// What the system said.
        cause: String,
    },
    /// The node can't enter that cluster.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// More addresses than are kept.
    #[error("{given} addresses to join at are too many, at most {NAMED_MAX} are tried")]
    TooManyAddresses {
        /// How many were given.
        given: usize,
    },
    /// Too many commands wait. Nothing was done; try again.
    #[error("gossip is busy with other commands; try again")]
    Busy,
    /// Gossip has stopped: this node left, or the thread ended.
    #[error("gossip has stopped on this node")]
    Stopped,
}

impl GossipError {
    pub(super) fn start(cause: std::io::Error) -> Self {
        Self::Start { cause: cause.to_string() }
    }
}

/// Why it isn't known who is at an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody answered.
    #[error("nobody answered at {address} (UDP)")]
    Unanswered {
        /// The address.
        address: SocketAddr,
    },
    /// It was not asked.
    #[error(transparent)]
    Gossip(#[from] GossipError),
}
