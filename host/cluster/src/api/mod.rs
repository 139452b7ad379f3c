//! What the house offers to those above: calls to entities, and what the admin
//! API shows and changes. Plain types; [`Service`] is the whole of it, so that
//! the ingress can be tested against something simpler than a node.

mod calls;
mod cluster;
mod history;
mod operate;
mod status;
mod types;

use std::{collections::BTreeSet, future::Future, ops::RangeInclusive, sync::Arc};

use stead_model::{
    Address, ComponentHash, EntityId, EntityType, Manifest, NodeId, SequenceNumber, TypeVersion,
};

pub use calls::{CallError, CommandCall, CommandReply, QueryCall};
pub use cluster::{
    ClusterNode, ClusterNodeHealth, ClusterPartition, ClusterStatus, LostMajority, PlacementView,
    ReplicaMove,
};
pub use history::{EventPage, SnapshotView, StoredEvent};
pub use operate::{
    DrainAnswer, LeftOf, OperateError, RecoverAnswer, RecoverRequest, RecoveredPartition,
    WaitingPartition,
};
pub use status::{EntityStatus, NodeStatus};
pub use types::{ComponentInfo, DeployError, DeployedType, VersionInfo};

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
