//! Why a partition is where it is.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use stead_model::{NodeId, PartitionId, Term};

use crate::{
    observed::Progress,
    step::{Step, list},
};

/// What placement may do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seat {
    /// Present: it keeps and takes replicas.
    Open,
    /// Gone, within the grace period: it keeps what it has and takes nothing.
    Waiting,
    /// Draining: it is copied from and takes nothing.
    Leaving,
    /// Gone for longer, removed, or unknown: what it had is made again elsewhere.
    Lost,
}

/// What a replica is in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows and votes.
    Voter,
    /// It follows and doesn't vote yet.
    Learner,
}

/// A replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// The node that it is on.
    pub node: NodeId,
    /// What it is there.
    pub role: Role,
    /// What placement may do with the node.
    pub seat: Seat,
    /// Whether it is to stay there.
    pub stays: bool,
    /// How far it is.
    pub progress: Progress,
}

/// Why a partition's replicas change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// It has fewer replicas than it should.
    Repair,
    /// One of its nodes is to be emptied.
    Drain,
    /// Nodes hold more or less than others, share zones, or fewer replicas are
    /// wanted.
    Balance,
}

/// Why nothing is done though something should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The majority of its voters is gone.
    LostQuorum,
    /// It has no leader, or its leader has no quorum now.
    NoLeader,
    /// As many replicas are on their way as may be.
    MovesMax,
    /// The change would leave it with too few live voters.
    TooFewLive,
    /// It is balanced only when all its voters are live.
    VoterMissing,
    /// The leader is to go, and no other voter is caught up.
    NoHeir,
    /// There is no node to put a replica on.
    NoNode,
}

/// What is going on with a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// It is as it should be.
    Settled,
    /// This step is to be taken.
    Step(Step),
    /// A change is in progress.
    Changing,
    /// New replicas are catching up.
    Copying(BTreeSet<NodeId>),
    /// It has to wait.
    Held(Hold),
}

/// Why a partition is where it is, and what is going on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The partition.
    pub partition: PartitionId,
    /// Its leader, if one is known.
    pub leader: Option<NodeId>,
    /// The leader's term.
    pub term: Term,
    /// Who should lead it, if that has been decided.
    pub leader_wanted: Option<NodeId>,
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// The nodes that its replicas should be on.
    pub target: Vec<NodeId>,
    /// Why its replicas change, if they do.
    pub urgency: Option<Urgency>,
    /// What is going on.
    pub doing: Doing,
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "present",
            Self::Waiting => "gone, may return",
            Self::Leaving => "draining",
            Self::Lost => "lost",
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::Voter => "voter",
            Self::Learner => "learner",
        })
    }
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repair => "it has fewer replicas than it should",
            Self::Drain => "a node of it is to be emptied",
            Self::Balance => "nodes are to hold alike, in different zones",
        })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LostQuorum => "the majority of its voters is gone; it waits for them",
            Self::NoLeader => "it has no leader with a quorum",
            Self::MovesMax => "as many replicas are on their way as may be",
            Self::TooFewLive => "the change would leave too few live voters",
            Self::VoterMissing => "it isn't moved for balance while a voter is gone",
            Self::NoHeir => "the leader is to go, and no other voter has caught up",
            Self::NoNode => "there is no other node to put a replica on",
        })
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled => f.write_str("nothing is to be done"),
            Self::Step(step) => write!(f, "next: {step}"),
            Self::Changing => f.write_str("a change is in progress"),
            Self::Copying(nodes) => write!(f, "node {} is catching up", list(nodes)),
            Self::Held(hold) => write!(f, "waiting: {hold}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}: ", self.partition)?;
        match self.leader {
            Some(leader) => write!(f, "node {} leads in term {}", leader.short(), self.term)?,
            None => f.write_str("no leader is known")?,
        }
        match (self.leader, self.leader_wanted) {
            (Some(leader), Some(wanted)) if leader == wanted => {
                f.write_str(", as leaders are spread evenly")?;
            }
            (_, Some(wanted)) => write!(f, "; node {} should", wanted.short())?,
            (_, None) => {}
        }
        for replica in &self.replicas {
            let Replica { node, role, seat, stays, progress } = replica;
            write!(f, "\n  node {}: {role}, {seat}", node.short())?;
            match progress {
                Progress::Unknown => {}
                Progress::Behind(0) => f.write_str(", has all entries")?,
                Progress::Behind(1) => f.write_str(", 1 entry behind")?,
                Progress::Behind(behind) => write!(f, ", {behind} entries behind")?,
            }
            if !stays {
                f.write_str(", to go")?;
            }
        }
        for node in &self.target {
            if !self.replicas.iter().any(|replica| replica.node == *node) {
                write!(f, "\n  node {}: to come", node.short())?;
            }
        }
        if let Some(urgency) = self.urgency {
            write!(f, "\n  changing because {urgency}")?;
        }
        write!(f, "\n  {}", self.doing)
    }
}
