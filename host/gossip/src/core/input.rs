//! What the core is told, and what it wants done.

use std::net::SocketAddr;

use stead_model::{ClusterId, NodeId};

use crate::notice::Numbered;

/// How many addresses to join at are kept, and how many may be asked at once.
pub const NAMED_MAX: usize = 64;

/// What happens to a core.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// Whence.
        from: SocketAddr,
        /// What.
        bytes: &'a [u8],
    },
    /// It is the time of [`crate::Core::next_deadline`], or later.
    Tick,
    /// The cluster's nodes may be found at these addresses, and no longer at those that
    /// were named before. They are tried until someone of this cluster answers, and again
    /// whenever nobody there is known to be present. The first [`NAMED_MAX`] are kept.
    Join {
        /// The addresses.
        addresses: &'a [SocketAddr],
    },
    /// Who is at this address? [`crate::Notice::Found`] or [`crate::Notice::Unanswered`] follows. At
    /// most [`NAMED_MAX`] are asked at once; more are unanswered at once.
    Ask {
        /// The address.
        address: SocketAddr,
    },
    /// Another room says something about founding a cluster to whoever is at an address.
    /// It may get lost. A node that is in a cluster says nothing of the kind.
    Say {
        /// The address.
        to: SocketAddr,
        /// At most [`crate::WORD_BYTES_MAX`]; more is not sent.
        body: &'a [u8],
    },
    /// Another room has reason to miss a node: a connection broke. It is asked at once,
    /// by others too, and if nothing is heard it is suspect sooner than by its turn.
    Hint {
        /// The node.
        node: NodeId,
    },
    /// This node goes. [`crate::Notice::Left`] follows when it has said so.
    Leave,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a datagram. It may get lost.
    Send {
        /// Whither.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Tell the other rooms. [`crate::Core::snapshot`] takes it into account already.
    Notice(Numbered),
}

/// Why a core can't enter a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnterError {
    /// It is in another.
    #[error(
        "this node is in cluster {now} and can't enter cluster {asked}: a node is in one cluster \
         for all its life; start it with an empty data directory"
    )]
    Other {
        /// The cluster that it is in.
        now: ClusterId,
        /// The other.
        asked: ClusterId,
    },
    /// 0 isn't a cluster's id.
    #[error("a cluster's id can't be 0")]
    Zero,
    /// It has left, or is about to.
    #[error("this node is leaving its cluster and enters no other")]
    Leaving,
}
