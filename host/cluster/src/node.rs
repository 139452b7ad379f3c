//! A node: the rooms below, opened together, and the way of a call through them.

use std::{
    ops::RangeInclusive,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use stead_consensus::{Consensus, ConsensusError, ConsensusEvents, Formation};
use stead_journal::{Disk, JournalError, JournalOptions, RecoveryReport};
use stead_model::{
    Address, ComponentHash, EntityId, EntityType, GuestLimits, Manifest, PartitionCount,
    PartitionId, RequestId, SequenceNumber, TimestampMs, TypeVersion,
};
use stead_partition::{Answer, Deployment, EngineConfig};
use stead_sandbox::{Sandbox, SandboxOptions, worker_stack_bytes};

use crate::{
    api::{
        CallError, CommandCall, CommandReply, ComponentInfo, DeployError, DeployedType,
        EntityStatus, EventPage, NodeStatus, QueryCall, Service, SnapshotView, VersionInfo,
    },
    bridge::Bridge,
    calls::{Asked, unavailable},
    catalog::{Blobs, CatalogStore, TypeFacts},
    clock,
    deployments::{self, Deployments},
    guests::TypeCode,
    history,
    partition::{Change, Partition, Request},
    status,
    workers::{RunQueue, Workers},
};

/// How often partitions with something in memory get a turn for time's sake.
const TICK: Duration = Duration::from_millis(250);

/// How long is waited for the partitions to be served.
const LEADERS_PATIENCE: Duration = Duration::from_secs(60);

/// How a node is opened.
pub struct NodeOptions {
    /// Where catalog, components and compilations are kept.
    pub directory: PathBuf,
    /// Where the journal is kept.
    pub disk: Arc<dyn Disk>,
    /// How the journal is kept.
    pub journal: JournalOptions,
    /// How guests are kept.
    pub sandbox: SandboxOptions,
    /// What each partition's engine may use.
    pub engine: EngineConfig,
    /// Threads for guests; 0 for one for each core.
    pub workers: usize,
}

/// Why a node can't be opened. Each says what and where.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal can't be.
    #[error("the journal can't be opened: {0}")]
    Journal(#[from] ConsensusError),
    /// The partitions have no leaders.
    #[error(
        "partition {0} is not served {seconds} s after the journal was opened; see the log",
        seconds = LEADERS_PATIENCE.as_secs()
    )]
    NoLeader(PartitionId),
    /// The node can't be part of a cluster.
    #[error("the node can't be part of a cluster: {0}")]
    Cluster(String),
    /// The catalog or the components can't be.
    #[error("the catalog can't be opened: {0}")]
    Catalog(String),
    /// The sandbox can't be set up.
    #[error("{0}")]
    Sandbox(#[from] stead_sandbox::SandboxError),
    /// The system can't give what is needed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A node. Cheap to clone; all clones are the same node.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    partitions: RunQueue<Partition>,
    count: PartitionCount,
    consensus: Consensus,
    deployments: Deployments,
    identity: String,
    incidents: String,
    started_at: TimestampMs,
    recovery: RecoveryReport,
    stopping: AtomicBool,
    caller_patience: Duration,
    component_bytes_max: u64,
    _sandbox: Arc<Sandbox>,
}

/// The node's threads; they end when it is dropped.
pub struct NodeThreads {
    node: Node,
    _workers: Workers<Partition>,
    ticker: Option<std::thread::JoinHandle<()>>,
}

impl Node {
    /// Opens a node: recovers the journal, loads what is deployed, starts the
    /// threads. Blocks meanwhile.
    ///
    /// # Errors
    /// The first thing that can't be opened; nothing is left running.
    pub fn open(options: NodeOptions) -> Result<(Self, NodeThreads), OpenError> {
        let (node, threads) = Self::open_in(options, Formation::Alone)?;
        node.wait_for_leaders()?;
        Ok((node, threads))
    }

    /// Opens a node as [`Self::open`] does, alone or with others. Which partitions
    /// it leads is not waited for.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_in(
        options: NodeOptions,
        formation: Formation,
    ) -> Result<(Self, NodeThreads), OpenError> {
        let limits: GuestLimits = options.sandbox.limits.clone();
        let count = options.journal.partitions;
        let patience = Duration::from_millis(options.engine.requests.deadline_ms_max);
        let component_bytes_max = options.sandbox.load.component_bytes_max as u64;
        std::fs::create_dir_all(&options.directory).map_err(|source| OpenError::System {
            what: "the data directory can't be created",
            source,
        })?;
        let sandbox = Arc::new(Sandbox::new(options.sandbox)?);
        let bridge = Arc::new(Bridge::default());
        let events: Arc<dyn ConsensusEvents> = Arc::clone(&bridge) as _;
        let (consensus, recovery) =
            Consensus::open(options.disk, options.journal, formation, events)?;
        let catalog_error = |error: &dyn std::fmt::Display| OpenError::Catalog(error.to_string());
        let blobs = Blobs::open(&options.directory.join("components"))
            .map_err(|error| catalog_error(&error))?;
        let catalog = CatalogStore::open(&options.directory.join("catalog.redb"))
            .map_err(|error| catalog_error(&error))?;
        let (deployments, services) = Deployments::open(Arc::clone(&sandbox), blobs, catalog);
        let identity = consensus.node().to_string();
        let incidents = format!("{}-{:x}", identity.get(..8).unwrap_or("node"), clock::now().get());
        let partitions = count
            .all()
            .map(|id| {
                let incidents = format!("{incidents}-{id}").into();
                let config = EngineConfig { incidents, ..options.engine.clone() };
                Partition::new(id, consensus.clone(), config, Arc::downgrade(&bridge))
            })
            .collect();
        let partitions = RunQueue::new(partitions);
        bridge.begin(partitions.clone());
        let inner = Inner {
            incidents,
            partitions: partitions.clone(),
            count,
            consensus,
            deployments,
            identity,
            started_at: clock::now(),
            recovery,
            stopping: AtomicBool::new(false),
            caller_patience: patience,
            component_bytes_max,
            _sandbox: sandbox,
        };
        let node = Self(Arc::new(inner));
        for service in services {
            node.tell(&deployments::Change::Deployed(service));
        }
        let threads = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let failed = |source| OpenError::System { what: "a thread can't be started", source };
        let workers = partitions.start(threads, worker_stack_bytes(&limits)).map_err(failed)?;
        let ticker = std::thread::Builder::new()
            .name("stead-ticker".into())
            .spawn({
                let node = node.clone();
                move || node.tick()
            })
            .map_err(failed)?;
        let threads = NodeThreads { node: node.clone(), _workers: workers, ticker: Some(ticker) };
        node.tell_leaders();
        Ok((node, threads))
    }

    /// Tells the partitions that this node leads: it may have been said before
    /// there was anybody to hear it.
    fn tell_leaders(&self) {
        for (at, id) in self.0.count.all().enumerate() {
            let term = *self.0.consensus.leads(id).borrow();
            if let (Some(partition), Some(_)) = (self.0.partitions.task(at), term) {
                partition.leads(term);
                self.0.partitions.schedule(at);
            }
        }
    }

    /// Waits until all partitions are served: alone, a node soon leads them all.
    fn wait_for_leaders(&self) -> Result<(), OpenError> {
        let until = Instant::now() + LEADERS_PATIENCE;
        for id in self.0.count.all() {
            let leads = self.0.consensus.leads(id);
            while leads.borrow().is_none() {
                if Instant::now() >= until || self.0.consensus.failure(id).is_some() {
                    return Err(OpenError::NoLeader(id));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.tell_leaders();
        Ok(())
    }

    /// What recovery did when the node was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.0.recovery
    }

    /// Takes no more requests, and waits until those that were taken are
    /// finished, or the time is up. Whether all were.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.0.stopping.store(true, Ordering::Release);
        for (at, partition) in self.0.partitions.tasks().enumerate() {
            partition.change(Change::Drain);
            self.0.partitions.schedule(at);
        }
        let until = Instant::now() + patience;
        loop {
            if self.0.partitions.tasks().all(Partition::is_idle) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn tick(&self) {
        while !self.0.stopping.load(Ordering::Acquire) {
            std::thread::park_timeout(TICK);
            for (at, partition) in self.0.partitions.tasks().enumerate() {
                if partition.wants_ticks() {
                    self.0.partitions.schedule(at);
                }
            }
        }
    }

    /// Tells all partitions of a change.
    fn tell(&self, change: &deployments::Change) {
        let change = match change {
            deployments::Change::Deployed(service) => {
                let deployed = &service.deployed;
                Change::Deploy(Deployment {
                    entity_type: deployed.manifest.entity_type.clone(),
                    version: deployed.version,
                    component: TypeCode {
                        component: service.component.clone(),
                        entity_type: deployed.manifest.entity_type.clone(),
                    },
                    description: Arc::new(deployed.description.clone()),
                    manifest: Arc::new(deployed.manifest.clone()),
                })
            }
            deployments::Change::Undeployed(entity_type) => Change::Undeploy(entity_type.clone()),
        };
        for (at, partition) in self.0.partitions.tasks().enumerate() {
            partition.change(change.clone());
            self.0.partitions.schedule(at);
        }
    }

    fn partition(&self, address: &Address) -> Result<(usize, &Partition), CallError> {
        let at = usize::from(self.0.count.partition_of(address).get());
        match self.0.partitions.task(at) {
            Some(partition) => Ok((at, partition)),
            None => Err(unavailable("the entity's partition is not on this node")),
        }
    }

    /// Puts a request to its partition and waits for the answer until a deadline.
    async fn ask(
        &self,
        asked: &Asked<'_>,
        request: Request,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(unavailable("the node is stopping"));
        }
        if let Some(why) = self.0.deployments.problem(&asked.address.entity_type) {
            return Err(unavailable(why));
        }
        let (at, partition) = self.partition(asked.address)?;
        let receiver = partition.ask(request).map_err(|answer| asked.error(answer))?;
        self.0.partitions.schedule(at);
        match tokio::time::timeout_at(deadline.into(), receiver).await {
            Ok(Ok(answer @ Answer::Unreadable(_))) => {
                self.unless_failed(asked.address)?;
                Ok(answer)
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(asked.outcome_unknown("the partition stopped serving".into())),
            Err(_) => Err(asked.outcome_unknown("the deadline passed".into())),
        }
    }

    fn asked<'a>(&'a self, address: &'a Address, what: &'static str) -> Asked<'a> {
        let (incidents, partitions) = (self.0.incidents.as_str(), self.0.count);
        Asked { address, what, name: "", request: None, incidents, partitions }
    }

    /// Runs what blocks on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, DeployError> + Send + 'static,
    ) -> Result<T, DeployError> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(DeployError::Stopping);
        }
        let node = self.clone();
        match tokio::task::spawn_blocking(move || work(&node)).await {
            Ok(result) => result,
            Err(error) => Err(DeployError::Storage(format!("the work was broken off: {error}"))),
        }
    }

    /// Reads what the store shows, on a thread that may block.
    async fn reading<T: Send + 'static>(
        &self,
        address: &Address,
        read: impl FnOnce(&stead_journal::StoreReader) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, CallError> {
        let (_, partition) = self.partition(address)?;
        let reader = match tokio::time::timeout(self.0.caller_patience, partition.settled()).await {
            Ok(reader) => reader,
            Err(_) => return Err(unavailable("the store is behind the log")),
        };
        history::read(move || read(&reader)).await
    }

    /// Of an entity that can't be read, whether that is for the failure of a replica of
    /// which there are others: one of those comes to lead.
    fn unless_failed(&self, address: &Address) -> Result<(), CallError> {
        let (consensus, partition) = (&self.0.consensus, self.0.count.partition_of(address));
        match consensus.failure(partition) {
            Some(_) if !consensus.is_alone() => {
                Err(unavailable(format!("the replica of partition {partition} here has failed")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Node {
    pub(crate) fn consensus(&self) -> &Consensus {
        &self.0.consensus
    }

    /// Hands a command to its entity under an id; `fresh` if that can't have been
    /// sent before.
    pub(crate) async fn command_as(
        &self,
        call: CommandCall,
        request: RequestId,
        fresh: bool,
    ) -> Result<CommandReply, CallError> {
        let (address, name, deadline) = (call.address.clone(), call.name.clone(), call.deadline);
        let asked =
            Asked { name: &name, request: Some(&request), ..self.asked(&address, "command") };
        let sent = Request::Command(call, request.clone(), fresh);
        let answer = self.ask(&asked, sent, deadline).await?;
        asked.command_reply(answer)
    }

    /// Entities in some partitions, as this node's stores show them.
    pub(crate) async fn entities_in(
        &self,
        partitions: Vec<PartitionId>,
        entity_type: EntityType,
        after: Option<EntityId>,
        count_max: usize,
    ) -> Result<Vec<EntityId>, CallError> {
        let mut readers = Vec::new();
        for id in partitions {
            let Some(partition) = self.0.partitions.task(usize::from(id.get())) else { continue };
            let settled = tokio::time::timeout(self.0.caller_patience, partition.settled()).await;
            readers.push(settled.map_err(|_| unavailable("the store is behind the log"))?);
        }
        history::read(move || history::entities(&readers, &entity_type, after.as_ref(), count_max))
            .await
    }

    /// Takes over a type's facts that the cluster agreed on. Blocks while it
    /// compiles.
    pub(crate) fn follow_type(
        &self,
        entity_type: &EntityType,
        facts: TypeFacts,
    ) -> Result<(), DeployError> {
        self.0.deployments.follow(entity_type, facts, |change| self.tell(&change))
    }

    pub(crate) fn plan_deploy(
        &self,
        component: ComponentHash,
        manifest: Manifest,
        now: TimestampMs,
    ) -> Result<TypeFacts, DeployError> {
        self.0.deployments.plan_deploy(component, manifest, now)
    }

    pub(crate) fn plan_rollback(
        &self,
        entity_type: &EntityType,
        version: TypeVersion,
    ) -> Result<TypeFacts, DeployError> {
        self.0.deployments.plan_rollback(entity_type, version)
    }

    pub(crate) fn plan_undeploy(&self, entity_type: &EntityType) -> Result<TypeFacts, DeployError> {
        self.0.deployments.plan_undeploy(entity_type)
    }

    /// A component that is here. Reads from the disk.
    pub(crate) fn component(&self, hash: ComponentHash) -> Result<Option<Vec<u8>>, DeployError> {
        self.0.deployments.blob(hash)
    }

    /// Keeps a component that came from another node, if it is the one that it
    /// should be.
    pub(crate) fn keep_component(
        &self,
        hash: ComponentHash,
        bytes: &[u8],
    ) -> Result<(), DeployError> {
        self.0.deployments.keep_blob(hash, bytes)
    }

    /// The most bytes that a component may have.
    pub(crate) fn component_bytes_max(&self) -> u64 {
        self.0.component_bytes_max
    }
}

impl Service for Node {
    async fn command(&self, call: CommandCall) -> Result<CommandReply, CallError> {
        let (request, fresh) = match &call.request {
            Some(request) => (request.clone(), false),
            None => (RequestId::mint(clock::now(), rand::random()), true),
        };
        self.command_as(call, request, fresh).await
    }

    async fn query(&self, call: QueryCall) -> Result<Vec<u8>, CallError> {
        let (address, name, deadline) = (call.address.clone(), call.name.clone(), call.deadline);
        let asked = Asked { name: &name, ..self.asked(&address, "query") };
        let answer = self.ask(&asked, Request::Query(call), deadline).await?;
        asked.query_reply(answer)
    }

    fn types(&self) -> Arc<Vec<Arc<DeployedType>>> {
        self.0.deployments.types()
    }

    fn versions(&self, entity_type: &EntityType) -> Result<Vec<VersionInfo>, DeployError> {
        self.0.deployments.versions(entity_type)
    }

    async fn upload(&self, component: bytes::Bytes) -> Result<ComponentInfo, DeployError> {
        self.blocking(move |node| node.0.deployments.upload(&component)).await
    }

    async fn deploy(
        &self,
        component: ComponentHash,
        manifest: Manifest,
    ) -> Result<Arc<DeployedType>, DeployError> {
        self.blocking(move |node| {
            node.0
                .deployments
                .deploy(component, manifest, clock::now(), |change| node.tell(&change))
        })
        .await
    }

    async fn rollback(
        &self,
        entity_type: EntityType,
        version: TypeVersion,
    ) -> Result<Arc<DeployedType>, DeployError> {
        self.blocking(move |node| {
            node.0.deployments.rollback(&entity_type, version, |change| node.tell(&change))
        })
        .await
    }

    async fn undeploy(&self, entity_type: EntityType) -> Result<(), DeployError> {
        self.blocking(move |node| {
            node.0.deployments.undeploy(&entity_type, |change| node.tell(&change))
        })
        .await
    }

    async fn events(
        &self,
        address: Address,
        range: RangeInclusive<u64>,
        count_max: usize,
    ) -> Result<EventPage, CallError> {
        let of = address.clone();
        self.reading(&of, move |reader| history::page(reader, &address, &range, count_max)).await
    }

    async fn events_after(&self, address: Address, _after: SequenceNumber) {
        let Ok((_, partition)) = self.partition(&address) else { return };
        let _ = tokio::time::timeout(Duration::from_secs(1), partition.goes_on()).await;
    }

    async fn snapshot(&self, address: Address) -> Result<Option<SnapshotView>, CallError> {
        let of = address.clone();
        self.reading(&of, move |reader| history::newest_snapshot(reader, &address)).await
    }

    async fn take_snapshot(&self, address: Address) -> Result<SnapshotView, CallError> {
        let asked = self.asked(&address, "snapshot");
        let deadline = Instant::now() + self.0.caller_patience;
        let request = Request::TakeSnapshot(address.clone());
        match self.ask(&asked, request, deadline).await? {
            Answer::SnapshotStored(_) => {}
            answer => return Err(asked.error(answer)),
        }
        let stored = self.snapshot(address.clone()).await?;
        stored.ok_or_else(|| unavailable("the entity's life ended meanwhile"))
    }

    async fn inspect(&self, address: Address) -> Result<EntityStatus, CallError> {
        let asked = self.asked(&address, "entity");
        let deadline = Instant::now() + self.0.caller_patience;
        let answer = self.ask(&asked, Request::Inspect(address.clone()), deadline).await?;
        let inspection = asked.inspection(answer)?;
        let of = address.clone();
        let (record, snapshot) =
            self.reading(&of, move |reader| history::standing(reader, &address)).await?;
        let partition = self.0.count.partition_of(&of).get();
        Ok(status::entity(&of, partition, inspection, record, snapshot))
    }

    async fn entities(
        &self,
        entity_type: EntityType,
        after: Option<EntityId>,
        count_max: usize,
    ) -> Result<Vec<EntityId>, CallError> {
        let all: Vec<PartitionId> = self.0.count.all().collect();
        self.entities_in(all, entity_type, after, count_max).await
    }

    fn status(&self) -> NodeStatus {
        let inner = &*self.0;
        let problems = self.ailments();
        let stopping = inner.stopping.load(Ordering::Acquire);
        status::node(
            &status::Facts {
                identity: &inner.identity,
                started_at: inner.started_at,
                recovery: &inner.recovery,
                journal: inner.consensus.status(),
                partitions: inner.count,
                types: inner.deployments.types().len(),
                stopping,
                problems,
            },
            inner.partitions.tasks().map(Partition::counters),
        )
    }
}

impl Node {
    /// What is wrong with it, for people: of [`Service::status`] what costs nothing to know.
    pub(crate) fn problems(&self) -> Vec<String> {
        let refused = self.0.partitions.tasks().map(|task| task.counters().audits_failed).sum();
        let mut problems = self.0.consensus.problems();
        problems.extend(self.ailments());
        problems.extend(status::refused_snapshots(refused));
        problems
    }

    /// What is wrong beside the journal.
    fn ailments(&self) -> Vec<String> {
        let mut ailments = self.0.deployments.problems();
        let halted = self.0.consensus.halted().into_iter();
        ailments.extend(halted.map(|(partition, why)| {
            format!("the replica of partition {partition} takes no part any more: {why}")
        }));
        ailments
    }
}

impl NodeThreads {
    /// Ends the threads and closes the stores, so that the next start has
    /// nothing to recover. Call [`Node::drain`] first.
    ///
    /// # Errors
    /// If a store could not be closed; what was acknowledged is in the log.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.end();
        self.node.0.consensus.close()
    }

    fn end(&mut self) {
        self.node.0.stopping.store(true, Ordering::Release);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            let _ = ticker.join();
        }
    }
}

impl Drop for NodeThreads {
    fn drop(&mut self) {
        self.end();
    }
}
