//! What openraft calls by its own names, in ours.
//!
//! openraft counts a log's entries from 0, the journal from 1: [`raft_index`]
//! and [`log_index`] are the only places that know.

use std::{fmt, sync::Arc};

use openraft::{
    RaftTypeConfig,
    entry::{RaftEntry, RaftPayload},
    impls::{BoxedErrorSource, EmptyNode, InlineBatch, leader_id_std},
};
use stead_model::{Entry, Item, LogIndex, LogPosition, NodeId, PartitionId, Term, TimestampMs};

use crate::{encoding, runtime::Runtime, told::Told};

/// The types of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group;

impl RaftTypeConfig for Group {
    type D = Batch;
    type R = ();
    type NodeId = NodeId;
    type Node = EmptyNode;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = LogEntry;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Told<T>
    where
        T: Send + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(crate) type LeaderId = leader_id_std::LeaderId<u64, NodeId>;
pub(crate) type Committed = <LeaderId as openraft::vote::RaftLeaderId>::Committed;
pub(crate) type LogId = openraft::LogId<Committed>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Membership = openraft::Membership<NodeId, EmptyNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<Committed, NodeId, EmptyNode>;

/// What a leader appends: what one turn of a partition's engine produced.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    /// By the leader's clock, when it was made.
    pub at: TimestampMs,
    /// What it says, in order.
    pub items: Vec<Item>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items", self.items.len())
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What an entry says, before it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Nothing: a new leader's first entry.
    Blank,
    Batch(Batch),
    Members(Membership),
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Batch(batch) => batch.fmt(f),
            Self::Members(members) => members.fmt(f),
        }
    }
}

impl RaftPayload for Payload {
    type D = Batch;
    type NodeId = NodeId;
    type Node = EmptyNode;

    fn blank() -> Self {
        Self::Blank
    }

    fn with_normal(self, batch: Batch) -> Self {
        Self::Batch(batch)
    }

    fn with_membership(self, members: Membership) -> Self {
        Self::Members(members)
    }

    fn get_membership(&self) -> Option<Membership> {
        match self {
            Self::Members(members) => Some(members.clone()),
            Self::Blank | Self::Batch(_) => None,
        }
    }
}

/// An entry of the journal, as openraft sees it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LogEntry {
    leader: Committed,
    pub(crate) entry: Arc<Entry>,
}

impl LogEntry {
    pub(crate) fn of(entry: Arc<Entry>) -> Self {
        Self { leader: Committed::new(entry.term.get()), entry }
    }

    /// The entry, as one of a partition.
    pub(crate) fn into_entry(self, partition: PartitionId) -> Arc<Entry> {
        let mut entry = self.entry;
        if entry.partition != partition {
            // It was made just now, by a group that doesn't know its number.
            Arc::make_mut(&mut entry).partition = partition;
        }
        entry
    }
}

impl fmt::Debug for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { term, index, items, .. } = &*self.entry;
        write!(f, "entry {index} of term {term} with {} items", items.len())
    }
}

impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl RaftEntry for LogEntry {
    type CommittedLeaderId = Committed;
    type Payload = Payload;

    fn new(log_id: LogId, payload: Payload) -> Self {
        let (at, items) = match payload {
            Payload::Blank => (TimestampMs(0), Vec::new()),
            Payload::Batch(Batch { at, items }) => (at, items),
            Payload::Members(members) => {
                (TimestampMs(0), vec![Item::Members(encoding::members(&members))])
            }
        };
        let LogPosition { term, index } = position(&log_id);
        let entry = Entry { partition: PartitionId::default(), term, index, at, items };
        Self { leader: log_id.leader_id, entry: Arc::new(entry) }
    }

    fn log_id_parts(&self) -> (&Committed, u64) {
        (&self.leader, raft_index(self.entry.index))
    }

    fn set_log_id(&mut self, log_id: LogId) {
        let LogPosition { term, index } = position(&log_id);
        self.leader = log_id.leader_id;
        let entry = Arc::make_mut(&mut self.entry);
        (entry.term, entry.index) = (term, index);
    }

    fn get_membership(&self) -> Option<Membership> {
        match self.entry.items.first() {
            // It was read before it was put in the log, or comes from the log
            // itself, whose records are summed.
            Some(Item::Members(bytes)) => encoding::read_members(bytes),
            Some(Item::Outcome(_) | Item::Snapshot(_)) | None => None,
        }
    }
}

/// openraft's index of an entry, which must not be before the first.
pub(crate) fn raft_index(index: LogIndex) -> u64 {
    index.get().checked_sub(1).expect("entries count from 1")
}

/// The index of openraft's entry.
pub(crate) fn log_index(raft_index: u64) -> LogIndex {
    LogIndex(raft_index.checked_add(1).expect("log indexes do not run out"))
}

/// The position of openraft's log id.
pub(crate) fn position(log_id: &LogId) -> LogPosition {
    LogPosition { term: Term(log_id.leader_id.term), index: log_index(log_id.index) }
}

/// openraft's log id of a position; `None` before the first entry.
pub(crate) fn log_id(position: LogPosition) -> Option<LogId> {
    (position.index > LogIndex(0))
        .then(|| LogId::new(Committed::new(position.term.get()), raft_index(position.index)))
}
