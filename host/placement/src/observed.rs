//! What the planner is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_model::{NodeId, PartitionId, Term, TimestampMs};

/// What is known of the cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The nodes that cluster facts know of. One that is missing here counts as
    /// [`Standing::Removed`].
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// The partitions' groups, by what their leaders last said of them. If a
    /// partition has no leader now, hand in what was last known of its voters, with
    /// [`PartitionView::leader`] empty: a partition that is missing here isn't
    /// planned for.
    pub partitions: BTreeMap<PartitionId, PartitionView>,
    /// Now, by the clock that [`Standing::Gone`] was written by.
    pub now: TimestampMs,
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Whether it is there, and whether it is to stay.
    pub standing: Standing,
    /// The zone that it fails with, if it was given one. A node without shares its
    /// zone with no other.
    pub zone: Option<String>,
    /// Whether its disk takes anything new. One without room keeps what it has, and
    /// leads only what no other can.
    pub has_room: bool,
}

impl NodeView {
    /// A node whose disk has room.
    #[must_use]
    pub const fn new(standing: Standing, zone: Option<String>) -> Self {
        Self { standing, zone, has_room: true }
    }
}

/// Whether a node is there, and whether it is to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It is there, and may be given replicas.
    Present,
    /// It doesn't answer, be it draining or not.
    Gone {
        /// Since when.
        since: TimestampMs,
    },
    /// It is there and is to be emptied.
    Draining,
    /// It won't come back.
    Removed,
}

impl Standing {
    /// Whether the node answers.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Present | Self::Draining => true,
            Self::Gone { .. } | Self::Removed => false,
        }
    }
}

/// What is known of a partition's group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionView {
    /// Its voters, and how far each is. While a change is in progress, those of the
    /// old and of the new configuration.
    pub voters: BTreeMap<NodeId, Progress>,
    /// Its learners, and how far each is.
    pub learners: BTreeMap<NodeId, Progress>,
    /// Its leader, if one is known.
    pub leader: Option<NodeId>,
    /// The leader's term.
    pub term: Term,
    /// The change in progress, if any: one that isn't committed, or a step that is
    /// being carried out.
    pub change: Option<Change>,
    /// Whether its leader has a quorum, as far as is known.
    pub has_quorum: bool,
}

/// A change in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Of its voters and learners: a step is being carried out, or the membership is
    /// joint or isn't committed.
    Members,
    /// Of its leader. It counts as led by the new one already: else every plan, until
    /// it is, would hand over one more.
    Leader {
        /// The leader to be.
        to: NodeId,
    },
}

/// How far a replica is, as its leader knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Its leader doesn't know yet.
    #[default]
    Unknown,
    /// It lacks so many entries of the leader's log.
    Behind(u64),
}

impl Progress {
    /// Whether it lacks no more than so many entries.
    #[must_use]
    pub const fn is_within(self, entries: u64) -> bool {
        match self {
            Self::Unknown => false,
            Self::Behind(behind) => behind <= entries,
        }
    }
}
