//! A cluster as callers see it: every call goes to where it can be answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use stead_model::{
    Address, ComponentHash, EntityId, EntityType, Manifest, NodeId, PartitionId, RequestId,
    SequenceNumber, TypeVersion,
};

use super::{
    Cluster,
    routing::{AskFailed, Tried, misfit, patience_ms},
    wire::{Ask, Json, Told},
};
use crate::{
    api::{
        CallError, ClusterStatus, CommandCall, CommandReply, ComponentInfo, DeployError,
        DeployedType, DrainAnswer, EntityStatus, EventPage, NodeStatus, OperateError, QueryCall,
        RecoverAnswer, RecoverRequest, Service, SnapshotView, VersionInfo,
    },
    calls::unavailable,
    clock,
};

/// How long what has no deadline of its own may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon another node's entity may have new events.
const FOLLOW_PERIOD: Duration = Duration::from_millis(200);
/// How long a quorum is waited for that confirms who leads.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(1);

impl Cluster {
    fn is_alone(&self) -> bool {
        self.consensus().is_alone()
    }

    /// Whether this node leads an entity's partition, as a quorum confirms now.
    pub(super) async fn leads_still(&self, address: &Address) -> Result<(), CallError> {
        let partition = self.count().partition_of(address);
        let (tell, told) = tokio::sync::oneshot::channel();
        let consensus = self.consensus();
        if consensus.leads(partition).borrow().is_some() {
            consensus.confirm(partition, move |leads| {
                let _ = tell.send(leads);
            });
            if let Ok(Ok(true)) = tokio::time::timeout(CONFIRM_PATIENCE, told).await {
                return Ok(());
            }
        }
        Err(unavailable(format!("partition {partition} has no leader on this node")))
    }

    /// Entities in partitions that this node leads; none of them is left out.
    pub(super) async fn entities_led(
        &self,
        partitions: Vec<PartitionId>,
        entity_type: EntityType,
        after: Option<EntityId>,
        count_max: usize,
    ) -> Result<Vec<EntityId>, CallError> {
        for partition in &partitions {
            let known = partition.get() < self.count().get();
            if !known || self.consensus().leads(*partition).borrow().is_none() {
                let what = format!("partition {partition} has no leader on this node");
                return Err(unavailable(what));
            }
        }
        self.node().entities_in(partitions, entity_type, after, count_max).await
    }

    /// Reads something of an entity, where its partition is led.
    async fn read<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        address: &Address,
        ask: Ask,
        here: impl Fn() -> F,
        read: impl Fn(Told) -> Option<Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let deadline = Instant::now() + PATIENCE;
        let (ask, here, read) = (&ask, &here, &read);
        let partition = self.count().partition_of(address);
        self.routed(partition, deadline, |node, _| async move {
            if node == self.id() {
                return match self.leads_still(address).await {
                    Ok(()) => Tried::of(here().await),
                    Err(error) => Tried::NotTaken(error),
                };
            }
            match self.ask(node, ask, deadline).await {
                Ok(told) => match read(told) {
                    Some(result) => Tried::of(result),
                    None => misfit(&Told::Unknown("another kind".into())),
                },
                Err(failed) => failed.harmless(),
            }
        })
        .await
    }

    async fn command_at(
        &self,
        node: NodeId,
        call: CommandCall,
        request: RequestId,
        fresh: bool,
    ) -> Tried<CommandReply> {
        let deadline = call.deadline;
        if node == self.id() {
            return Tried::of_known(self.node().command_as(call, request, fresh).await);
        }
        let ask = Ask::Command {
            address: call.address,
            name: call.name.as_ref().into(),
            body: call.body.to_vec(),
            request: request.clone(),
            fresh,
            patience_ms: patience_ms(deadline),
        };
        match self.ask(node, &ask, deadline).await {
            Ok(Told::Command(result)) => Tried::of_known(result),
            Ok(told) => misfit(&told),
            Err(AskFailed::NotTaken(why)) => Tried::NotTaken(unavailable(why)),
            Err(AskFailed::Unknown(reason)) => {
                Tried::Unknown(CallError::OutcomeUnknown { request, reason })
            }
        }
    }

    async fn query_at(&self, node: NodeId, call: QueryCall) -> Tried<Vec<u8>> {
        let deadline = call.deadline;
        if node == self.id() {
            return Tried::of_known(self.node().query(call).await);
        }
        let ask = Ask::Query {
            address: call.address,
            name: call.name.as_ref().into(),
            body: call.body.to_vec(),
            patience_ms: patience_ms(deadline),
        };
        match self.ask(node, &ask, deadline).await {
            Ok(Told::Query(result)) => Tried::of_known(result),
            Ok(told) => misfit(&told),
            Err(failed) => failed.harmless(),
        }
    }

    /// Whether a type is deployed, as far as this node has heard.
    fn knows(&self, entity_type: &EntityType) -> Result<(), CallError> {
        if self.deployed(entity_type).is_ok() {
            return Ok(());
        }
        self.knows_all_types()?;
        // It may have been taken over since.
        match self.deployed(entity_type) {
            Ok(_) => Ok(()),
            Err(_) => Err(CallError::UnknownType(entity_type.clone())),
        }
    }

    fn deployed(&self, entity_type: &EntityType) -> Result<Arc<DeployedType>, DeployError> {
        let types = self.node().types();
        let deployed = types.iter().find(|deployed| deployed.manifest.entity_type == *entity_type);
        deployed.cloned().ok_or_else(|| DeployError::UnknownType(entity_type.clone()))
    }
}

impl Service for Cluster {
    async fn command(&self, call: CommandCall) -> Result<CommandReply, CallError> {
        if self.is_alone() {
            return self.node().command(call).await;
        }
        let (request, minted) = match &call.request {
            Some(request) => (request.clone(), false),
            None => (RequestId::mint(clock::now(), rand::random()), true),
        };
        self.knows(&call.address.entity_type)?;
        let partition = self.count().partition_of(&call.address);
        self.routed(partition, call.deadline, |node, first| {
            self.command_at(node, call.clone(), request.clone(), minted && first)
        })
        .await
    }

    async fn query(&self, call: QueryCall) -> Result<Vec<u8>, CallError> {
        if self.is_alone() {
            return self.node().query(call).await;
        }
        self.knows(&call.address.entity_type)?;
        let partition = self.count().partition_of(&call.address);
        self.routed(partition, call.deadline, |node, _| self.query_at(node, call.clone())).await
    }

    fn types(&self) -> Arc<Vec<Arc<DeployedType>>> {
        self.node().types()
    }

    fn knows_all_types(&self) -> Result<(), CallError> {
        match self.following() {
            Some(followed) if !followed.borrow().1 => {
                Err(unavailable("this node does not know all types of the cluster yet"))
            }
            _ => Ok(()),
        }
    }

    fn versions(&self, entity_type: &EntityType) -> Result<Vec<VersionInfo>, DeployError> {
        self.node().versions(entity_type)
    }

    async fn upload(&self, component: bytes::Bytes) -> Result<ComponentInfo, DeployError> {
        self.node().upload(component).await
    }

    async fn deploy(
        &self,
        component: ComponentHash,
        manifest: Manifest,
    ) -> Result<Arc<DeployedType>, DeployError> {
        if self.is_alone() {
            return self.node().deploy(component, manifest).await;
        }
        let entity_type = manifest.entity_type.clone();
        self.change(Ask::Deploy { component, manifest: Json::of(&manifest) }).await?;
        self.deployed(&entity_type)
    }

    async fn rollback(
        &self,
        entity_type: EntityType,
        version: TypeVersion,
    ) -> Result<Arc<DeployedType>, DeployError> {
        if self.is_alone() {
            return self.node().rollback(entity_type, version).await;
        }
        self.change(Ask::Rollback { entity_type: entity_type.clone(), version }).await?;
        self.deployed(&entity_type)
    }

    async fn undeploy(&self, entity_type: EntityType) -> Result<(), DeployError> {
        if self.is_alone() {
            return self.node().undeploy(entity_type).await;
        }
        self.change(Ask::Undeploy { entity_type }).await
    }

    async fn events(
        &self,
        address: Address,
        range: RangeInclusive<u64>,
        count_max: usize,
    ) -> Result<EventPage, CallError> {
        if self.is_alone() {
            return self.node().events(address, range, count_max).await;
        }
        let (from, to) = (*range.start(), *range.end());
        let ask = Ask::Events { address: address.clone(), from, to, count_max: count_max as u64 };
        let here = || self.node().events(address.clone(), from..=to, count_max);
        self.read(&address, ask, here, |told| match told {
            Told::Events(page) => Some(page),
            _ => None,
        })
        .await
    }

    async fn events_after(&self, address: Address, after: SequenceNumber) {
        let partition = self.count().partition_of(&address);
        if self.is_alone() || self.consensus().leads(partition).borrow().is_some() {
            return self.node().events_after(address, after).await;
        }
        tokio::time::sleep(FOLLOW_PERIOD).await;
    }

    async fn snapshot(&self, address: Address) -> Result<Option<SnapshotView>, CallError> {
        if self.is_alone() {
            return self.node().snapshot(address).await;
        }
        let ask = Ask::Snapshot { address: address.clone() };
        let here = || self.node().snapshot(address.clone());
        self.read(&address, ask, here, |told| match told {
            Told::Snapshot(snapshot) => Some(snapshot),
            _ => None,
        })
        .await
    }

    async fn take_snapshot(&self, address: Address) -> Result<SnapshotView, CallError> {
        if self.is_alone() {
            return self.node().take_snapshot(address).await;
        }
        let ask = Ask::TakeSnapshot { address: address.clone() };
        let here = || self.node().take_snapshot(address.clone());
        self.read(&address, ask, here, |told| match told {
            Told::Taken(snapshot) => Some(snapshot),
            _ => None,
        })
        .await
    }

    async fn inspect(&self, address: Address) -> Result<EntityStatus, CallError> {
        if self.is_alone() {
            return self.node().inspect(address).await;
        }
        let ask = Ask::Inspect { address: address.clone() };
        let here = || self.node().inspect(address.clone());
        self.read(&address, ask, here, |told| match told {
            Told::Inspection(status) => Some(status),
            _ => None,
        })
        .await
    }

    async fn entities(
        &self,
        entity_type: EntityType,
        after: Option<EntityId>,
        count_max: usize,
    ) -> Result<Vec<EntityId>, CallError> {
        if self.is_alone() {
            return self.node().entities(entity_type, after, count_max).await;
        }
        let mut leaders: BTreeMap<NodeId, Vec<PartitionId>> = BTreeMap::new();
        for partition in self.count().all() {
            let leader = self.consensus().leader(partition).ok_or_else(|| {
                unavailable(format!("partition {partition} has no leader for now"))
            })?;
            leaders.entry(leader).or_default().push(partition);
        }
        let deadline = Instant::now() + PATIENCE;
        let mut all = BTreeSet::new();
        for (node, partitions) in leaders {
            let (entity_type, after) = (entity_type.clone(), after.clone());
            if node == self.id() {
                let here = self.entities_led(partitions, entity_type, after, count_max);
                all.extend(here.await?);
                continue;
            }
            let ask = Ask::Entities {
                entity_type,
                after,
                count_max: count_max as u64,
                partitions: partitions.into_iter().map(PartitionId::get).collect(),
            };
            match self.ask(node, &ask, deadline).await {
                Ok(Told::Entities(ids)) => all.extend(ids?),
                Ok(_) => return Err(unavailable("another node's answer does not fit")),
                Err(failed) => return Err(unavailable(failed.to_string())),
            }
        }
        Ok(all.into_iter().take(count_max).collect())
    }

    async fn cluster(&self) -> ClusterStatus {
        self.overview().await
    }

    async fn drain(&self, node: NodeId, force: bool) -> Result<DrainAnswer, OperateError> {
        self.decided(&Ask::Drain { node, force }).await
    }

    async fn stay(&self, node: NodeId) -> Result<DrainAnswer, OperateError> {
        self.decided(&Ask::Stay { node }).await
    }

    async fn recover(&self, request: RecoverRequest) -> Result<RecoverAnswer, OperateError> {
        self.recover_from(request).await
    }

    fn cut_off(&self, nodes: BTreeSet<NodeId>) -> Result<(), OperateError> {
        self.cut_off_here(nodes)
    }

    fn status(&self) -> NodeStatus {
        let mut status = self.node().status();
        let unready = self.unready();
        status.ready &= unready.is_empty();
        status.problems.extend(unready);
        status
    }
}

impl Cluster {
    /// What keeps this node from serving as one of a cluster, for people.
    pub(super) fn unready(&self) -> Vec<String> {
        let mut unready = Vec::new();
        let Some(together) = &self.0.together else { return unready };
        if let Some(trouble) = together.trouble.get() {
            unready.push(format!("this node can't be part of a cluster: {trouble}"));
        } else if together.cluster.get().is_none() {
            unready.push("this node is not part of a cluster yet".into());
        } else if !together.followed.borrow().1 {
            unready.push("this node does not know all types of the cluster yet".into());
        }
        if let Some(at) = together.twin.at(Instant::now()) {
            unready.push(format!(
                "another process, at {at}, has this node's identity and a copy of its data, and \
                 others talk to that: stop one of them, and start it with an empty directory"
            ));
        }
        unready
    }
}
