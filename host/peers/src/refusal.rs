//! Why a node was refused.

use std::fmt;

use stead_model::{ClusterId, NodeId};

/// A node's refusal to speak with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// The cluster of the node that refused.
    pub cluster: ClusterId,
    /// The node that refused.
    pub node: NodeId,
    /// The reason as that node put it, for people. At most 512 bytes.
    pub sentence: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Why a node was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// It belongs to another cluster.
    OtherCluster,
    /// The two programs have no protocol version in common.
    NoCommonVersion,
    /// It wanted to reach another node than the one at this address.
    OtherNode,
    /// A node dialled itself.
    Itself,
    /// There are too many connections.
    TooManyConnections,
    /// The node is stopping.
    Stopping,
    /// A later start or a later connection of the same node is there already.
    Outdated,
    /// It isn't the node that it was proven to be when the wire was secured.
    NotProven,
    /// It wanted a lane that this version doesn't know.
    NoSuchLane,
    /// A reason that this version doesn't know; the sentence tells.
    Other(u8),
}

impl RefusalReason {
    /// Its number on the wire. Never change or reuse one.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::OtherCluster => 1,
            Self::NoCommonVersion => 2,
            Self::OtherNode => 3,
            Self::Itself => 4,
            Self::TooManyConnections => 5,
            Self::Stopping => 6,
            Self::Outdated => 7,
            Self::NotProven => 8,
            Self::NoSuchLane => 9,
            Self::Other(code) => code,
        }
    }

    /// The reason with this number.
    pub(crate) fn from_code(code: u8) -> Self {
        let known = [
            Self::OtherCluster,
            Self::NoCommonVersion,
            Self::OtherNode,
            Self::Itself,
            Self::TooManyConnections,
            Self::Stopping,
            Self::Outdated,
            Self::NotProven,
            Self::NoSuchLane,
        ];
        known.into_iter().find(|reason| reason.code() == code).unwrap_or(Self::Other(code))
    }
}
