//! All that goes into an engine and comes out of it.

use std::sync::Arc;

use stead_model::{
    Address, Description, EntityType, Item, Manifest, Rejection, RequestId, SequenceNumber,
    TimestampMs, TypeVersion,
};

use crate::ports::GuestFault;

/// Whom an answer is for; the shell's own number, which the engine gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The number of a batch: ever growing, from 1. One batch is one log entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(pub u64);

/// The number of a guest's fault, within one engine's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incident(pub u64);

/// What can happen to an engine.
#[derive(Debug, Clone)]
pub enum Input<C> {
    /// A command came in.
    Command(Command),
    /// A query came in.
    Query(Query),
    /// Somebody wants a snapshot stored now.
    TakeSnapshot {
        /// Whom to answer.
        ticket: Ticket,
        /// Of which entity.
        address: Address,
    },
    /// Somebody wants to know how an entity fares.
    Inspect {
        /// Whom to answer.
        ticket: Ticket,
        /// Which entity.
        address: Address,
    },
    /// Batches up to this one are durable.
    Committed {
        /// The last of them.
        through: BatchNumber,
    },
    /// The store shows batches up to this one.
    Applied {
        /// The last of them.
        through: BatchNumber,
    },
    /// Batches from this one on were not written.
    AppendFailed {
        /// The first of them.
        from: BatchNumber,
        /// Why.
        failure: AppendFailure,
    },
    /// A type is in service as this: new, changed or put back.
    Deploy(Deployment<C>),
    /// A type is out of service.
    Undeploy(EntityType),
    /// The node stops: what was accepted is finished, nothing more is taken.
    Drain,
}

/// A command.
#[derive(Debug, Clone)]
pub struct Command {
    /// Whom to answer.
    pub ticket: Ticket,
    /// The entity.
    pub address: Address,
    /// The command's name.
    pub name: Arc<str>,
    /// Its argument.
    pub body: Body,
    /// Its idempotency key.
    pub request: RequestId,
    /// The key was minted for this very attempt, so it can't have been seen before.
    pub fresh: bool,
    /// A command not begun by then is not begun.
    pub deadline: TimestampMs,
}

/// A query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Whom to answer.
    pub ticket: Ticket,
    /// The entity.
    pub address: Address,
    /// The query's name.
    pub name: Arc<str>,
    /// Its argument.
    pub body: Body,
    /// A query not begun by then is not begun.
    pub deadline: TimestampMs,
}

/// A request's argument.
pub type Body = Arc<[u8]>;

/// Why batches were not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendFailure {
    /// There was no room. They are surely not in the log; later ones may be taken.
    Full(String),
    /// The log failed. Whether they are in it is not known, and nothing more is taken.
    Lost(String),
}

/// A type as it is in service.
#[derive(Debug, Clone)]
pub struct Deployment<C> {
    /// The type.
    pub entity_type: EntityType,
    /// Which version of it.
    pub version: TypeVersion,
    /// Its code.
    pub component: C,
    /// What the code offers.
    pub description: Arc<Description>,
    /// How it is run.
    pub manifest: Arc<Manifest>,
}

/// What an engine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append a batch to the partition's log, as one entry.
    Append {
        /// Its number; one more than that of the last one appended, or more.
        batch: BatchNumber,
        /// By the time the engine was given.
        at: TimestampMs,
        /// What it says.
        items: Vec<Item>,
    },
    /// Give somebody an answer.
    Answer {
        /// Whom.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// Entities wait for the store to show what is committed: make it soon.
    ApplySoon,
}

/// Where a reply to a command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyOrigin {
    /// Its outcome was recorded just now; it is committed.
    Recorded,
    /// It is that of an earlier attempt under the same id.
    Replayed,
    /// The command changed nothing, and nothing was recorded.
    Unrecorded,
}

impl Answer {
    /// Whether it speaks of the entity's state without a commit that shows that
    /// this node still leads the partition. Where another may lead, that is made
    /// sure before anybody hears of it.
    #[must_use]
    pub fn depends_on_leading(&self) -> bool {
        match self {
            Self::Reply { origin, .. } => *origin != ReplyOrigin::Recorded,
            Self::QueryReply(_)
            | Self::Inspection(_)
            | Self::Rejected(_)
            | Self::KeyReused
            | Self::Fault { .. }
            | Self::Unreadable(_)
            | Self::SnapshotRefused(_) => true,
            Self::SnapshotStored(_)
            | Self::UnknownType
            | Self::UnknownName { .. }
            | Self::MailboxFull
            | Self::DeadlinePassed
            | Self::DiskFull(_)
            | Self::OutcomeUnknown(_)
            | Self::Unavailable(_) => false,
        }
    }
}

/// What a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A command's reply; its outcome is durable.
    Reply {
        /// The reply.
        body: Vec<u8>,
        /// The entity's last sequence number after it.
        sequence: SequenceNumber,
        /// Where it comes from.
        origin: ReplyOrigin,
    },
    /// A query's reply; the state that it speaks of is durable.
    QueryReply(Vec<u8>),
    /// The snapshot is durable.
    SnapshotStored(SequenceNumber),
    /// A snapshot could not be taken, and why.
    SnapshotRefused(String),
    /// How the entity fares.
    Inspection(Inspection),
    /// The entity says no.
    Rejected(Rejection),
    /// No such type is in service.
    UnknownType,
    /// The type has no such command or query.
    UnknownName {
        /// What it has.
        known: Vec<String>,
    },
    /// Too much waits already.
    MailboxFull,
    /// The deadline passed before the entity got to it.
    DeadlinePassed,
    /// The key was used for another request to this entity.
    KeyReused,
    /// The guest failed; nothing was recorded.
    Fault {
        /// What the log has it under.
        incident: Incident,
        /// What happened.
        fault: GuestFault,
    },
    /// The entity can't be brought back, and why.
    Unreadable(String),
    /// The disk had no room: surely not recorded.
    DiskFull(String),
    /// The log failed while the outcome was on its way: perhaps recorded.
    OutcomeUnknown(String),
    /// The partition takes nothing more, and why: surely not recorded.
    Unavailable(String),
}

/// How an entity fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Whether it is in memory.
    pub live: bool,
    /// Its last sequence number, uncommitted ones included, if it is in memory.
    pub last_sequence: Option<SequenceNumber>,
    /// How many requests wait for it.
    pub waiting: usize,
    /// How many events its last activation replayed.
    pub last_replay_events: Option<u64>,
    /// How long that took, in microseconds.
    pub last_replay_us: Option<u64>,
    /// The linear memory of the instance that it is in, which others may share.
    pub instance_memory_bytes: Option<u64>,
    /// Whether it has an instance of its own after a fault.
    pub quarantined: bool,
    /// Why it can't be brought back.
    pub unreadable: Option<String>,
}

/// What an engine has done so far, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counters {
    pub commands: u64,
    pub queries: u64,
    pub events: u64,
    pub rejections: u64,
    pub replays_of_requests: u64,
    pub faults: u64,
    pub activations: u64,
    pub replayed_events: u64,
    pub passivations: u64,
    pub snapshots: u64,
    pub audits_failed: u64,
    pub live: u64,
    pub waiting: u64,
    pub memory_bytes: u64,
}
