//! This node's replica of one group.

use std::sync::Mutex;

use openraft::Raft;
use stead_journal::PartitionLog;
use stead_model::LogIndex;

use std::time::Duration;

use tokio::{sync::RwLock, time::Instant};

use crate::{
    PlantedBug,
    electing::{SeenMembership, Standing},
    handover::{Bidden, Handover},
    keeping::Keeping,
    machine::Machine,
    receiving::Incoming,
    refusing::Refusing,
    types::Group,
};

pub(crate) struct Member {
    pub(crate) raft: Raft<Group, Machine>,
    pub(crate) log: PartitionLog,
    /// Who takes part in it.
    pub(crate) membership: SeenMembership,
    /// A store that comes from another node.
    pub(crate) incoming: Incoming,
    /// Held while it is put in place.
    pub(crate) installing: RwLock<()>,
    /// What of its log is kept for others.
    pub(crate) keeping: Mutex<Keeping>,
    /// What is held back while leadership is handed over.
    pub(crate) handover: Handover,
    /// Whether the leader has bidden this replica stand.
    pub(crate) bidden: Bidden,
    /// Whose replicas of it refuse what they are sent.
    pub(crate) refusing: Refusing,
    pub(crate) planted: Option<PlantedBug>,
}

/// What the node's service remembers of a group between looks.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) standing: Standing,
    /// How far it was committed when it was last looked at.
    pub(crate) committed: LogIndex,
    /// How far the followers have been told that it is.
    pub(crate) spread: LogIndex,
    /// When they are told again, who may not have heard it, and how long that is
    /// after the time before.
    pub(crate) spread_again: Option<Instant>,
    pub(crate) spread_wait: Duration,
    /// When a change of members that nobody finishes is finished here.
    pub(crate) finish: Option<Instant>,
}
