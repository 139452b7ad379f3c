//! What can go wrong, and what it means for what was asked.

use std::{io, net::SocketAddr, time::Duration};

use stead_model::NodeId;

use crate::{Lane, Refusal};

/// Why the transport could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration can't work. Nothing was started.
    #[error("peers can't be configured so: {0}")]
    Config(String),
    /// The socket can't be listened on. Nothing was started.
    #[error("peers can't be listened for: {0}; check the peers' address")]
    Listen(#[source] io::Error),
}

/// Why a peer could not be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetPeerError {
    /// A node needs no connection to itself.
    #[error("this node is {}; it can't be its own peer", .0.short())]
    Itself(NodeId),
    /// There are as many peers as may be. Forget one first.
    #[error("this node has {0} peers, and that is the most it may have")]
    TooMany(usize),
    /// The transport is stopping.
    #[error("this node is stopping")]
    Stopped,
}

/// Why a call has no answer. [`CallError::may_have_been_carried_out`] says
/// whether the peer may have acted on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody set this peer, or it was forgotten. Nothing was sent.
    #[error("node {} is not a peer of this node", .0.short())]
    UnknownPeer(NodeId),
    /// This node is stopping. Nothing was sent.
    #[error("this node is stopping")]
    Stopped,
    /// The payload is larger than this lane takes, here or there. Nothing was
    /// sent.
    #[error("{bytes} bytes are too many for the {lane} lane, which takes {max}")]
    TooLarge {
        /// The lane.
        lane: Lane,
        /// The payload's bytes.
        bytes: usize,
        /// The most that the lane takes.
        max: usize,
    },
    /// As many calls as may already wait for room. Nothing was sent.
    #[error(
        "too many calls to node {} wait on the {lane} lane; try again when some are answered",
        node.short()
    )]
    Busy {
        /// The peer.
        node: NodeId,
        /// The lane.
        lane: Lane,
    },
    /// The peer isn't connected, and the last attempt to reach it failed, or the
    /// connection broke before this was sent. Nothing was sent.
    #[error("node {} can't be reached on the {lane} lane: {reason}", node.short())]
    Unreachable {
        /// The peer.
        node: NodeId,
        /// The lane.
        lane: Lane,
        /// What happened to the connection.
        reason: LossReason,
    },
    /// The deadline passed while this waited for the connection or for room in
    /// it. Nothing was sent.
    #[error("the call to node {} on the {lane} lane was not sent before its deadline", node.short())]
    NotSentInTime {
        /// The peer.
        node: NodeId,
        /// The lane.
        lane: Lane,
    },
    /// The peer is stopping and didn't carry it out.
    #[error("node {} is stopping and did not take the call", .0.short())]
    Declined(NodeId),
    /// The deadline passed after it was sent. It is not known whether it was
    /// carried out; a late answer is thrown away.
    #[error(
        "node {} did not answer on the {lane} lane before the deadline; it may have carried out \
         the call",
        node.short()
    )]
    NoAnswerInTime {
        /// The peer.
        node: NodeId,
        /// The lane.
        lane: Lane,
    },
    /// The connection broke after it was sent. It is not known whether it was
    /// carried out.
    #[error(
        "the {lane} lane to node {} broke: {reason}; it may have carried out the call",
        node.short()
    )]
    Broken {
        /// The peer.
        node: NodeId,
        /// The lane.
        lane: Lane,
        /// What happened to the connection.
        reason: LossReason,
    },
    /// The peer took it and has no answer to it. It may have been carried out.
    #[error("node {} gave no answer on the {lane} lane: {reason}", node.short())]
    Unanswered {
        /// The peer.
        node: NodeId,
        /// The lane.
        lane: Lane,
        /// Why there is no answer.
        reason: NoAnswer,
    },
}

impl CallError {
    /// Whether the peer may have acted on the call. If not, it certainly didn't
    /// and won't.
    #[must_use]
    pub const fn may_have_been_carried_out(&self) -> bool {
        match self {
            Self::UnknownPeer(_)
            | Self::Stopped
            | Self::TooLarge { .. }
            | Self::Busy { .. }
            | Self::Unreachable { .. }
            | Self::NotSentInTime { .. }
            | Self::Declined(_) => false,
            Self::NoAnswerInTime { .. } | Self::Broken { .. } | Self::Unanswered { .. } => true,
        }
    }
}

/// Why a peer that took a call gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It let the call go.
    #[error("it let the call go")]
    Dropped,
    /// The answer was larger than the lane takes.
    #[error("its answer was larger than the lane takes")]
    TooLarge,
    /// More answers waited there to be sent than may.
    #[error("too many of its answers waited to be sent")]
    Overflow,
}

/// Why nobody could be identified at an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no peer at {address}: {reason}")]
pub struct IdentifyError {
    /// The address.
    pub address: SocketAddr,
    /// What happened; a [`LossReason::Refused`] tells who is there all the same.
    pub reason: LossReason,
}

/// What happened to a connection, or to the attempt to make one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LossReason {
    /// The peer closed it.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer said that it stops, and closed it.
    #[error("the peer is stopping")]
    Stopping,
    /// The connection was reset, or failed in another way.
    #[error("the connection failed: {0}")]
    Failed(String),
    /// The peer said nothing for so long.
    #[error("nothing was heard for {} ms", .0.as_millis())]
    Silent(Duration),
    /// The connection took nothing for so long.
    #[error("nothing could be sent for {} ms", .0.as_millis())]
    Stalled(Duration),
    /// Nothing is known to be listening at the address.
    #[error("{address} refuses connections: {cause}")]
    NobodyThere {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: String,
    },
    /// The address can't be reached.
    #[error("{address} can't be reached: {cause}")]
    NoWay {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: String,
    },
    /// The address, or the node there, didn't answer in time.
    #[error("{address} did not answer within {} ms", waited.as_millis())]
    NoAnswer {
        /// The address.
        address: SocketAddr,
        /// How long was waited.
        waited: Duration,
    },
    /// The node there refused.
    #[error("it was refused: {0}")]
    Refused(Refusal),
    /// Another node answered than the one that was dialled.
    #[error("{address} is node {}, not {}", found.short(), expected.short())]
    OtherNode {
        /// The address.
        address: SocketAddr,
        /// The node that was dialled.
        expected: NodeId,
        /// The node that answered.
        found: NodeId,
    },
    /// What the peer said makes no sense: it is damaged on the way, or it isn't
    /// a node of Stead.
    #[error("what the peer said makes no sense: {0}")]
    Garbled(String),
    /// The peer was started again since: its new process has dialled this node.
    #[error("the peer was started again, as epoch {0}")]
    Restarted(u64),
    /// The peer has another address now.
    #[error("the peer's address is now {0}")]
    Moved(SocketAddr),
    /// The peer was forgotten here.
    #[error("the peer was forgotten")]
    Forgotten,
    /// This node stopped.
    #[error("this node stopped")]
    Stopped,
}

/// The kinds of loss, as hints for those who decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossKind {
    /// Closed in order: the peer stopped, restarted or moved.
    Closed,
    /// Broken: most often the peer's process died.
    Reset,
    /// Nothing comes: the network is cut, or the peer stands still.
    Silent,
    /// Nobody listens there, or whoever does refused.
    Refused,
    /// What came made no sense.
    Garbled,
}

impl LossReason {
    /// What kind of loss it is.
    #[must_use]
    pub const fn kind(&self) -> LossKind {
        match self {
            Self::Closed
            | Self::Stopping
            | Self::Restarted(_)
            | Self::Moved(_)
            | Self::Forgotten
            | Self::Stopped => LossKind::Closed,
            Self::Failed(_) => LossKind::Reset,
            Self::Silent(_) | Self::Stalled(_) | Self::NoWay { .. } | Self::NoAnswer { .. } => {
                LossKind::Silent
            }
            Self::NobodyThere { .. } | Self::Refused(_) | Self::OtherNode { .. } => {
                LossKind::Refused
            }
            Self::Garbled(_) => LossKind::Garbled,
        }
    }
}
