//! What the house offers to those above: calls to entities, and what the admin
//! API shows and changes. Plain types; [`Service`] is the whole of it, so that
//! the ingress can be tested against something simpler than a node.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    ops::RangeInclusive,
    sync::Arc,
    time::Instant,
};

use serde::{Deserialize, Serialize};
use stead_model::{
    Address, ComponentHash, Description, EntityId, EntityType, Manifest, NodeId, Rejection,
    RequestId, SequenceNumber, TimestampMs, TypeVersion,
};

/// A command on its way to an entity.
#[derive(Debug, Clone)]
pub struct CommandCall {
    /// The entity.
    pub address: Address,
    /// The command's name, as the type describes it.
    pub name: Arc<str>,
    /// Its argument.
    pub body: bytes::Bytes,
    /// The caller's key; `None` to have one minted.
    pub request: Option<RequestId>,
    /// When the caller will have stopped waiting.
    pub deadline: Instant,
}

/// A query on its way to an entity.
#[derive(Debug, Clone)]
pub struct QueryCall {
    /// The entity.
    pub address: Address,
    /// The query's name, as the type describes it.
    pub name: Arc<str>,
    /// Its argument.
    pub body: bytes::Bytes,
    /// When the caller will have stopped waiting.
    pub deadline: Instant,
}

/// A durable reply to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// The reply.
    pub body: Vec<u8>,
    /// The entity's last sequence number after the command.
    pub sequence: SequenceNumber,
    /// The id under which the outcome is recorded.
    pub request: RequestId,
    /// Whether the outcome is that of an earlier attempt under the same id.
    pub replayed: bool,
}

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CallError {
    /// The entity says no. Nothing was recorded.
    #[error("rejected: {}", .0.message)]
    Rejected(Rejection),
    /// No such type is deployed.
    #[error("no entity type {0} is deployed")]
    UnknownType(EntityType),
    /// The type has no such command or query.
    #[error("{entity_type} has no {what} {name:?}; it has {}", known.join(", "))]
    UnknownName {
        /// The type.
        entity_type: EntityType,
        /// "command" or "query".
        what: Cow<'static, str>,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The same key came with another command or body.
    #[error("the idempotency key {0} was used for another request to this entity")]
    KeyReused(RequestId),
    /// Too many commands wait already. Nothing was recorded.
    #[error("too many requests wait for this entity or its partition")]
    MailboxFull {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Not now: the node is stopping or starting, or the store can't write. The
    /// command was surely not recorded.
    #[error("not available: {reason}")]
    Unavailable {
        /// Why, in a sentence.
        reason: String,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The disk has no room. The command was surely not recorded.
    #[error("the disk is full: {reason}")]
    DiskFull {
        /// What was being written.
        reason: String,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The deadline passed, or the store failed, while the outcome was on its
    /// way: it may or may not be recorded. A retry under the id tells.
    #[error("the outcome is not known; retry under {request} to learn it")]
    OutcomeUnknown {
        /// The id to retry under.
        request: RequestId,
        /// What happened.
        reason: String,
    },
    /// The deadline passed before the entity got to it. Nothing was recorded.
    #[error("the deadline passed before the entity got to it")]
    DeadlinePassed,
    /// The entity's code failed. Nothing was recorded.
    #[error("the entity's code failed ({incident}): {reason}")]
    Guest {
        /// What the node's log has it under.
        incident: String,
        /// What happened.
        reason: String,
    },
    /// The entity can't be brought back from its journal by the deployed code.
    #[error("the entity can't be brought back: {reason}")]
    Unreadable {
        /// What happened.
        reason: String,
    },
}

/// A type as it is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeployedType {
    /// How it is run, its name among it.
    pub manifest: Manifest,
    /// Which deployment of it this is.
    pub version: TypeVersion,
    /// The component.
    pub component: ComponentHash,
    /// Its size in bytes.
    pub component_bytes: u64,
    /// When it was deployed.
    pub deployed_at: TimestampMs,
    /// What the component says of itself.
    pub description: Description,
}

/// One earlier or present deployment of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionInfo {
    /// Which deployment.
    pub version: TypeVersion,
    /// The component.
    pub component: ComponentHash,
    /// When.
    pub deployed_at: TimestampMs,
    /// Whether it is the present one.
    pub current: bool,
}

/// A component that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ComponentInfo {
    /// Its name in the component store.
    pub component: ComponentHash,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it says of itself.
    pub description: Description,
}

/// Why a component was not taken in or a type not deployed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DeployError {
    /// The component is not one that can be run here.
    #[error("{0}")]
    Component(String),
    /// The manifest and the component don't fit together.
    #[error("the manifest does not fit the component: {0}")]
    Manifest(String),
    /// No component of this hash is here; upload it first.
    #[error("no component {0} is here; upload it first")]
    UnknownComponent(ComponentHash),
    /// No type of this name is deployed.
    #[error("no entity type {0} is deployed")]
    UnknownType(EntityType),
    /// The type never had this version.
    #[error("{0} has no version {1}")]
    UnknownVersion(EntityType, TypeVersion),
    /// A route is another type's already.
    #[error("route {path} is taken by {owner}")]
    RouteTaken {
        /// The route.
        path: String,
        /// Whose it is.
        owner: EntityType,
    },
    /// A limit of the node: so many types, so many bytes.
    #[error("{0}")]
    Limit(String),
    /// It could not be stored.
    #[error("could not be stored: {0}")]
    Storage(String),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// A stored event, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its number.
    pub sequence: SequenceNumber,
    /// Its kind.
    pub name: String,
    /// When it was recorded, by the clock of the node that did.
    pub at: TimestampMs,
    /// The version of the type that recorded it.
    pub version: TypeVersion,
    /// Its data.
    pub body: Vec<u8>,
}

/// A part of an entity's history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// The entity's last sequence number.
    pub last_sequence: SequenceNumber,
    /// The lowest number still stored.
    pub first_stored: SequenceNumber,
    /// The last number of the entity's earlier lives.
    pub life_begins_after: SequenceNumber,
}

/// A stored snapshot, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// The last event that it holds.
    pub sequence: SequenceNumber,
    /// The version of the type that made it.
    pub version: TypeVersion,
    /// When it was stored.
    pub at: TimestampMs,
    /// The state.
    pub state: Vec<u8>,
}

/// Where an entity is and how it fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EntityStatus {
    /// The entity.
    pub address: String,
    /// Its partition.
    pub partition: u16,
    /// Whether it is in memory.
    pub live: bool,
    /// Its last sequence number; 0 if it never recorded anything.
    pub last_sequence: SequenceNumber,
    /// The number of its newest snapshot, if it has one.
    pub snapshot_sequence: Option<SequenceNumber>,
    /// How many requests wait for it.
    pub waiting: u64,
    /// How many events its last activation replayed.
    pub last_replay_events: Option<u64>,
    /// How long that took, in microseconds.
    pub last_replay_us: Option<u64>,
    /// The linear memory of the instance that it is in, which others may share.
    pub instance_memory_bytes: Option<u64>,
    /// Whether it has an instance of its own after a fault.
    pub quarantined: bool,
    /// Why it can't be brought back, if it can't.
    pub unreadable: Option<String>,
}

/// How the node fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeStatus {
    /// The node's identity, 32 hexadecimal digits.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// Whether it takes requests.
    pub ready: bool,
    /// Why not, or what ails it: failed stores, a full disk.
    pub problems: Vec<String>,
    /// Since when it runs.
    pub started_at: TimestampMs,
    /// How long recovery took at start, in milliseconds, and over how many log entries.
    pub recovery_ms: u64,
    /// Log entries applied again at start.
    pub recovery_entries: u64,
    /// The partition count.
    pub partitions: u16,
    /// Deployed types.
    pub types: u64,
    /// Entities in memory.
    pub live_entities: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Guests' linear memory, in bytes.
    pub guest_memory_bytes: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Commands handled since start.
    pub commands: u64,
    /// Queries answered since start.
    pub queries: u64,
    /// Events recorded since start.
    pub events: u64,
    /// Rejections since start.
    pub rejections: u64,
    /// Guest faults since start.
    pub faults: u64,
    /// Activations since start.
    pub activations: u64,
    /// Events replayed since start.
    pub replayed_events: u64,
    /// Snapshots stored since start.
    pub snapshots: u64,
    /// Log commits (one fsync each) since start.
    pub log_commits: u64,
}

/// How a cluster fares, as far as the node that is asked can see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterStatus {
    /// The cluster's identity, 32 hexadecimal digits; none if the node is alone or
    /// in none yet.
    pub cluster: Option<String>,
    /// The nodes.
    pub nodes: Vec<ClusterNode>,
    /// The partitions; the last is the cluster's own, which keeps what is deployed.
    pub partitions: Vec<ClusterPartition>,
    /// How many replicas each partition is to have, as was set when the cluster was made.
    #[serde(default)]
    pub replicas_set: u64,
    /// How many it can have: as many as are set, or as there are nodes that stay, those
    /// included that are gone and have replicas. With fewer than are set, the loss of a
    /// node may stop partitions.
    pub replicas_wanted: u64,
    /// Partitions with fewer votes than can be, on nodes that are there, whose replicas
    /// take part.
    pub under_replicated: u64,
    /// Partitions that nobody leads.
    pub leaderless: u64,
    /// Partitions whose members are changing.
    pub moving: u64,
    /// Partitions the majority of whose votes is on nodes that are gone: they take
    /// nothing and answer nothing until some of those are back.
    pub lost: Vec<LostMajority>,
    /// Replicas on their way.
    pub moves: Vec<ReplicaMove>,
}

/// A partition the majority of whose votes is on nodes that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LostMajority {
    /// The partition.
    pub partition: u16,
    /// The nodes that are missing.
    pub missing: Vec<String>,
    /// How many of them must be back.
    pub needed: u64,
    /// Since when, as far as the asked node noticed.
    pub since: TimestampMs,
}

/// A replica on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplicaMove {
    /// The partition.
    pub partition: u16,
    /// The node that it goes to.
    pub to: String,
    /// How many entries it lacks; none if its leader doesn't know yet.
    pub lacks: Option<u64>,
    /// The last entry of the partition's log.
    pub of: u64,
    /// Why it goes there, if that is known.
    pub reason: Option<String>,
}

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterNodeHealth {
    /// It is.
    Present,
    /// It is missed, and may object.
    Suspect,
    /// It isn't.
    Gone,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterNode {
    /// Its identity, 32 hexadecimal digits.
    pub node: String,
    /// Whether it is there.
    pub health: ClusterNodeHealth,
    /// Whether it is the node that was asked.
    pub asked: bool,
    /// Whether it is to be emptied.
    pub draining: bool,
    /// Whether it was given up: it is refused if it comes back with its data.
    pub given_up: bool,
    /// Since when it is gone, if it is, as far as the asked node noticed.
    pub gone_since: Option<TimestampMs>,
    /// Where it reaches other nodes; none if only partitions know of it.
    pub address: Option<String>,
    /// Where callers reach it.
    pub ingress: Option<String>,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// How many partitions it leads.
    pub leads: u64,
    /// How many partitions it has a vote on.
    pub votes: u64,
    /// How many partitions it has a replica of that has no vote yet.
    pub learns: u64,
    /// How many replicas and votes would go with it. Every node follows the cluster's
    /// own partition; of that only a vote counts.
    pub holds: u64,
    /// What is wrong with it, as it says.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Partitions whose replica on it takes no part any more.
    #[serde(default)]
    pub stopped: Vec<u16>,
}

/// A partition of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterPartition {
    /// The partition.
    pub partition: u16,
    /// The node that leads it, if one does.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
    /// The last entry of its log.
    pub last: u64,
    /// The nodes with a vote.
    pub voters: Vec<String>,
    /// The nodes with a replica that has no vote.
    pub learners: Vec<String>,
    /// Whether its members are changing.
    pub is_changing: bool,
    /// How many entries the replicas lack that lack some, as the leader knows.
    pub behind: BTreeMap<String, u64>,
    /// What placement wants of it, as the node that places says; none if nobody does.
    pub placement: Option<PlacementView>,
}

/// What placement wants of a partition, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlacementView {
    /// The node that should lead it, if that is decided.
    pub leader: Option<String>,
    /// The nodes that its replicas should be on.
    pub nodes: Vec<String>,
    /// Why its replicas change, if they do.
    pub reason: Option<String>,
    /// What is being done, or waited for; none if it is as it should be.
    pub doing: Option<String>,
}

/// Why the cluster was not changed as was asked. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OperateError {
    /// There is no such node.
    #[error("{0}")]
    UnknownNode(String),
    /// It would do harm, or makes no sense.
    #[error("{0}")]
    Refused(String),
    /// Not now: it may be asked again.
    #[error("{0}")]
    NotNow(String),
}

/// What comes of it that a node is to be emptied, or is not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DrainAnswer {
    /// The node, 32 hexadecimal digits.
    pub node: String,
    /// Whether it is to be emptied now.
    pub draining: bool,
    /// How many nodes are there that stay.
    pub nodes_staying: u64,
    /// What will not be as it should, a sentence each.
    pub warnings: Vec<String>,
}

/// Which nodes are lost for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecoverRequest {
    /// They.
    pub lost: BTreeSet<NodeId>,
    /// Whether to go on without what they have. If not, it is only told what would
    /// come of it.
    #[serde(default)]
    pub accept_data_loss: bool,
}

/// What comes of giving nodes up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoverAnswer {
    /// Whether it was done. If not, this is what would be.
    pub done: bool,
    /// How many partitions have their majority, and aren't touched.
    pub sound: u64,
    /// Partitions that go on with what is left.
    pub recovered: Vec<RecoveredPartition>,
    /// Partitions that have no majority now, and aren't touched, as nodes that weren't
    /// named may bring it back.
    pub waiting: Vec<WaitingPartition>,
}

/// A partition that goes on with what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveredPartition {
    /// The partition.
    pub partition: u16,
    /// Whether it is the cluster's own, which keeps what is deployed.
    pub is_the_clusters_own: bool,
    /// The node whose replica is the newest that is left; none if nothing is left, and
    /// it begins anew, empty.
    pub with: Option<String>,
    /// The last entry of its log.
    pub last: u64,
    /// How far the partition is committed, as far as those know that are there.
    pub committed: u64,
    /// The members, and what they were known to have.
    pub others: Vec<LeftOf>,
}

/// What a member of a partition was known to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeftOf {
    /// The node.
    pub node: String,
    /// Whether it is there.
    pub is_there: bool,
    /// The last entry of its log, as far as it is known.
    pub last: Option<u64>,
}

/// A partition that has no majority now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WaitingPartition {
    /// The partition.
    pub partition: u16,
    /// The nodes that may bring it back.
    pub waits_for: Vec<String>,
}

/// The house as those above see it. Every method is cheap to call and answers
/// within its deadline, or at once.
pub trait Service: Clone + Send + Sync + 'static {
    /// Hands a command to its entity and waits for its durable outcome.
    fn command(
        &self,
        call: CommandCall,
    ) -> impl Future<Output = Result<CommandReply, CallError>> + Send;

    /// Asks an entity.
    fn query(&self, call: QueryCall) -> impl Future<Output = Result<Vec<u8>, CallError>> + Send;

    /// The deployed types. Changes whole; `Arc::ptr_eq` tells whether it did.
    fn types(&self) -> Arc<Vec<Arc<DeployedType>>>;

    /// Whether what is not among [`Self::types`] is surely not deployed; if it may be,
    /// why that isn't known. Whoever asks must ask before it looks.
    ///
    /// # Errors
    /// [`CallError::Unavailable`], while the node takes over what the cluster knows.
    fn knows_all_types(&self) -> Result<(), CallError> {
        Ok(())
    }

    /// All versions that a type had.
    fn versions(&self, entity_type: &EntityType) -> Result<Vec<VersionInfo>, DeployError>;

    /// Takes a component in: checks, compiles, stores and describes it.
    fn upload(
        &self,
        component: bytes::Bytes,
    ) -> impl Future<Output = Result<ComponentInfo, DeployError>> + Send;

    /// Deploys a component that was taken in as a new version of a type, or
    /// with the same component only changes the manifest.
    fn deploy(
        &self,
        component: ComponentHash,
        manifest: Manifest,
    ) -> impl Future<Output = Result<Arc<DeployedType>, DeployError>> + Send;

    /// Puts an earlier version of a type back.
    fn rollback(
        &self,
        entity_type: EntityType,
        version: TypeVersion,
    ) -> impl Future<Output = Result<Arc<DeployedType>, DeployError>> + Send;

    /// Takes a type out of service. Its entities' journals stay.
    fn undeploy(
        &self,
        entity_type: EntityType,
    ) -> impl Future<Output = Result<(), DeployError>> + Send;

    /// A part of an entity's history: at most `count_max` events.
    fn events(
        &self,
        address: Address,
        range: RangeInclusive<u64>,
        count_max: usize,
    ) -> impl Future<Output = Result<EventPage, CallError>> + Send;

    /// Resolves when the entity may have events after `after`, or after a
    /// while in any case; whoever follows reads then and waits again.
    fn events_after(
        &self,
        address: Address,
        after: SequenceNumber,
    ) -> impl Future<Output = ()> + Send;

    /// The newest stored snapshot.
    fn snapshot(
        &self,
        address: Address,
    ) -> impl Future<Output = Result<Option<SnapshotView>, CallError>> + Send;

    /// Takes a snapshot now, and waits until it is stored.
    fn take_snapshot(
        &self,
        address: Address,
    ) -> impl Future<Output = Result<SnapshotView, CallError>> + Send;

    /// How an entity fares.
    fn inspect(
        &self,
        address: Address,
    ) -> impl Future<Output = Result<EntityStatus, CallError>> + Send;

    /// Entities of a type that the journal knows, after an id, in order of
    /// their ids; at most `count_max`.
    fn entities(
        &self,
        entity_type: EntityType,
        after: Option<EntityId>,
        count_max: usize,
    ) -> impl Future<Output = Result<Vec<EntityId>, CallError>> + Send;

    /// How the node fares.
    fn status(&self) -> NodeStatus;

    /// How the cluster fares that the node is part of; nothing of one that is alone.
    fn cluster(&self) -> impl Future<Output = ClusterStatus> + Send {
        std::future::ready(ClusterStatus::default())
    }

    /// Has a node emptied: its leaderships and then its replicas go to others. It is
    /// refused if too few nodes would stay for the replicas that are wanted, unless
    /// `force`.
    fn drain(
        &self,
        node: NodeId,
        force: bool,
    ) -> impl Future<Output = Result<DrainAnswer, OperateError>> + Send {
        let _ = (node, force);
        std::future::ready(Err(OperateError::alone()))
    }

    /// Has a node stay that was to be emptied.
    fn stay(&self, node: NodeId) -> impl Future<Output = Result<DrainAnswer, OperateError>> + Send {
        let _ = node;
        std::future::ready(Err(OperateError::alone()))
    }

    /// Gives nodes up that are lost for good, and has the partitions go on that lost
    /// their majority with them; or tells what would come of it.
    fn recover(
        &self,
        request: RecoverRequest,
    ) -> impl Future<Output = Result<RecoverAnswer, OperateError>> + Send {
        let _ = request;
        std::future::ready(Err(OperateError::alone()))
    }

    /// Cuts the node off from these nodes and no others, if it was started for such
    /// trials.
    fn cut_off(&self, nodes: BTreeSet<NodeId>) -> Result<(), OperateError> {
        let _ = nodes;
        Err(OperateError::alone())
    }
}

impl OperateError {
    /// A node that is alone has nobody to do it with.
    #[must_use]
    pub fn alone() -> Self {
        Self::Refused("this node is alone, or in no cluster yet".into())
    }
}
