//! All groups of a node, on a thread of their own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use openraft::{Config, Raft, SnapshotPolicy, raft::responder::Responder};
use stead_journal::{
    Disk, Journal, JournalError, JournalEvents, JournalOptions, JournalStatus, LogState,
    PartitionLog, RecoveryReport, Step, Stepper, StoreReader, Work,
};
use stead_model::{Entry, LogIndex, LogPosition, NodeId, PartitionId, Term};
use tokio::sync::{RwLock, mpsc, oneshot, watch};

use crate::{
    ConsensusError, GroupView, MembersChange, MembersError, PlantedBug, ProposalError, adopt,
    carrier::Carrier,
    electing::SeenMembership,
    handover::{Bidden, Handover},
    keeping::Keeping,
    leadership::{self, Leadership},
    log::GroupLog,
    machine::Machine,
    member::Member,
    network::Network,
    presence::Presence,
    receiving::Incoming,
    service::{Keep, Service, Task},
    transfers::{Transfer, TransferLimits, TransferTotals, Transfers},
    types::{Batch, Group},
};

/// How long is waited for the groups to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Who is told of what happens to the partitions on this node. Called from the
/// threads of consensus and of the journal; must be quick.
pub trait ConsensusEvents: Send + Sync + 'static {
    /// This node leads a partition from now on, in this term. Its store shows
    /// all that was committed before. What it proposes in another term is
    /// refused.
    fn leads(&self, partition: PartitionId, term: Term);

    /// This node doesn't lead a partition, or doesn't yet.
    fn follows(&self, partition: PartitionId, leader: Option<NodeId>);

    /// A partition's store shows entries up to this one.
    fn applied(&self, partition: PartitionId, through: LogIndex);
}

/// What is to be appended.
pub struct Proposal {
    /// The partition.
    pub partition: PartitionId,
    /// The term in which this node must lead it.
    pub term: Term,
    /// What it says.
    pub batch: Batch,
    /// Called once: with the index of its entry when it is committed, or with
    /// what is known. Called from consensus's thread; must be quick. Proposals of
    /// one partition and term are committed in their order, and what is called
    /// for one is called after what is called for those before it.
    pub done: Box<dyn FnOnce(Result<LogIndex, ProposalError>) + Send>,
}

/// Who is told what became of something that was handed to openraft.
pub(crate) struct Told<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Told<T> {
    pub(crate) fn new(tell: impl FnOnce(Option<T>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }
}

impl<T: Send + 'static> Responder<Group, T> for Told<T> {
    fn on_complete(mut self, result: T) {
        if let Some(tell) = self.0.take() {
            tell(Some(result));
        }
    }
}

/// A group that stops forgets what it was handed.
impl<T> Drop for Told<T> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(None);
        }
    }
}

/// The journal of a node, and consensus on what it says. Cheap to clone.
#[derive(Clone)]
pub struct Consensus(Arc<Inner>);

struct Inner {
    journal: Journal,
    hub: Arc<Hub>,
    node: NodeId,
    presence: Arc<Presence>,
    transfers: Transfers,
    is_alone: bool,
    tasks: mpsc::UnboundedSender<Task>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What runs in the thread's place, if there is none.
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Passes on what the journal tells.
struct Hub {
    events: Arc<dyn ConsensusEvents>,
    leads: Vec<watch::Sender<Option<Term>>>,
    applied: Vec<watch::Sender<LogIndex>>,
    tasks: mpsc::UnboundedSender<Task>,
}

impl Hub {
    fn leadership(&self, partition: PartitionId, leadership: Leadership) {
        let leads = self.leads.get(usize::from(partition.get()));
        let say = |term| {
            if let Some(leads) = leads {
                leads.send_replace(term);
            }
        };
        match leadership {
            Leadership::Here(term) => {
                say(Some(term));
                self.events.leads(partition, term);
                let _ = self.tasks.send(Task::SayLeads);
            }
            Leadership::Elsewhere(leader) => {
                say(None);
                self.events.follows(partition, leader);
            }
        }
    }
}

impl JournalEvents for Hub {
    fn applied(&self, partition: PartitionId, through: LogIndex) {
        if let Some(applied) = self.applied.get(usize::from(partition.get())) {
            applied.send_replace(through);
        }
        self.events.applied(partition, through);
    }

    fn checkpointed(&self, partition: PartitionId, through: LogPosition) {
        // When nobody listens any more, the log is kept.
        let _ = self.tasks.send(Task::Checkpointed(partition, through));
    }
}

/// What a simulation does for a node, and to it.
pub struct Simulated {
    /// Who steps its journal.
    pub stepper: Arc<dyn Stepper>,
    /// A bug put in on purpose.
    pub planted: Option<PlantedBug>,
}

/// With whom a node forms a cluster.
#[derive(Clone)]
pub enum Formation {
    /// With nobody: each group has this node as its only member, from the start.
    Alone,
    /// With others. A group has no members until it is [begun](Consensus::begin)
    /// on one of them.
    Together(Arc<dyn Carrier>),
}

impl Consensus {
    /// Opens the journal and starts the groups. Blocks meanwhile.
    ///
    /// # Errors
    /// As [`Journal::open`], or if a group can't be started.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        formation: Formation,
        events: Arc<dyn ConsensusEvents>,
    ) -> Result<(Self, RecoveryReport), ConsensusError> {
        let opened = Opened::open(&options.clone(), &formation, events, |events| {
            Journal::open(disk, options, events)
        })?;
        let (begun, begins) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (inner, report, groups) = opened.inner(&formation, None);
        let thread =
            std::thread::Builder::new().name("stead-consensus".into()).spawn(move || {
                runtime.block_on(async move {
                    match groups.start().await {
                        Ok(started) => {
                            let _ = begun.send(Ok(()));
                            started.run().await;
                        }
                        Err(error) => drop(begun.send(Err(error))),
                    }
                });
            })?;
        *inner.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        let begun = begins.recv().unwrap_or_else(|_| {
            Err(ConsensusError::Thread(std::io::Error::other("it ended at once")))
        });
        begun?;
        Ok((Self(Arc::new(inner)), report))
    }

    /// Opens the journal and starts the groups as [`Self::open`] does, all of it on
    /// the runtime that this is called on, without any thread. The journal's work is
    /// done within [`Self::step`].
    ///
    /// # Errors
    /// As [`Self::open`].
    #[must_use]
    pub fn start(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        formation: Formation,
        events: Arc<dyn ConsensusEvents>,
        simulated: Simulated,
    ) -> BoxFuture<'static, Result<(Self, RecoveryReport), ConsensusError>> {
        let Simulated { stepper, planted } = simulated;
        Box::pin(async move {
            let opened = Opened::open(&options.clone(), &formation, events, |events| {
                Journal::open_stepped(disk, options, events, stepper)
            })?;
            let (inner, report, groups) = opened.inner(&formation, planted);
            let started = groups.start().await?;
            let task = tokio::spawn(started.run());
            *inner.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
            Ok((Self(Arc::new(inner)), report))
        })
    }

    /// Does one piece of the journal's work; see [`Journal::step`].
    pub fn step(&self, work: Work, now: Duration) -> Step {
        self.0.journal.step(work, now)
    }

    /// Proposes a batch. Never waits; the caller bounds how much it has under way.
    pub fn propose(&self, proposal: Proposal) {
        if let Err(refused) = self.0.tasks.send(Task::Propose(proposal))
            && let Task::Propose(proposal) = refused.0
        {
            let why = "the node is stopping".to_owned();
            (proposal.done)(Err(ProposalError::Stopped(why)));
        }
    }

    /// Asks a quorum whether this node still leads a partition, and tells `done`,
    /// from consensus's thread. If it does, what its store and its engine showed
    /// at the time of this call was not out of date. Not told if the node stops.
    pub fn confirm(&self, partition: PartitionId, done: impl FnOnce(bool) + Send + 'static) {
        let _ = self.0.tasks.send(Task::Confirm(partition, Box::new(done)));
    }

    /// Answers a message that another node's [`Carrier`] has carried. It is taken
    /// at this call; calls for messages of one lane must be made in their order.
    pub fn serve(
        &self,
        from: NodeId,
        message: impl Into<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<u8>, ProposalError>> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.tasks.send(Task::Serve(from, message.into(), answer));
        Box::pin(async move {
            answered.await.map_err(|_| ProposalError::Stopped("the node is stopping".into()))
        })
    }

    /// Says whether another node is there. Of a node that is gone, the groups that
    /// it led elect another leader.
    pub fn presence(&self, node: NodeId, there: bool) {
        let _ = self.0.tasks.send(Task::Presence(node, there));
    }

    /// Gives a group its first members. To be called on one node only.
    ///
    /// # Errors
    /// If it has members.
    pub async fn begin(
        &self,
        partition: PartitionId,
        members: impl IntoIterator<Item = NodeId>,
    ) -> Result<(), MembersError> {
        let (answer, answered) = oneshot::channel();
        let task = Task::Begin(partition, members.into_iter().collect(), answer);
        let _ = self.0.tasks.send(task);
        let stopping = |_| MembersError { partition, why: "the node is stopping".into() };
        answered.await.map_err(stopping)?
    }

    /// Hands a group's leadership over to another of its voters, if this node
    /// leads it. What is proposed meanwhile waits. If the other doesn't come to
    /// lead within a second or two, this node goes on; whoever wants it asks again.
    pub fn transfer(&self, partition: PartitionId, to: NodeId) {
        let _ = self.0.tasks.send(Task::Transfer(partition, to));
    }

    /// From now on this node doesn't come to lead anything.
    pub fn resign(&self) {
        self.0.presence.resign();
    }

    /// Changes a group's members, if this node leads it; the change is committed
    /// when this returns.
    ///
    /// # Errors
    /// If this node doesn't lead the group, or another change is under way. It may
    /// have been made nevertheless.
    pub async fn change(
        &self,
        partition: PartitionId,
        change: MembersChange,
    ) -> Result<(), MembersError> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.tasks.send(Task::Change(partition, change, answer));
        let stopping = |_| MembersError { partition, why: "the node is stopping".into() };
        answered.await.map_err(stopping)?
    }

    /// Has a group go on with this node as its only member, because the majority of its
    /// members is lost for good, `lost` among them. The new term is above `above`. What
    /// others had beyond this node's log is lost, and they must never take part again.
    /// Where this node's log ended.
    ///
    /// # Errors
    /// If this node has nothing of the group, or the group has stopped.
    pub async fn go_on_alone(
        &self,
        partition: PartitionId,
        lost: NodeId,
        above: Term,
    ) -> Result<LogPosition, MembersError> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.tasks.send(Task::GoOnAlone(partition, lost, above, answer));
        let stopping = |_| MembersError { partition, why: "the node is stopping".into() };
        answered.await.map_err(stopping)?
    }

    /// Says how stores are sent to other nodes, from now on.
    pub fn limit_transfers(&self, limits: TransferLimits) {
        self.0.transfers.limit(limits);
    }

    /// The stores that this node is sending to others.
    #[must_use]
    pub fn transfers(&self) -> Vec<Transfer> {
        self.0.transfers.list()
    }

    /// What has been sent of stores since this node started.
    #[must_use]
    pub fn transfer_totals(&self) -> TransferTotals {
        self.0.transfers.totals()
    }

    /// How a group is doing, as far as this node knows. All empty if there is no
    /// such partition, or the node is stopping.
    pub async fn view(&self, partition: PartitionId) -> GroupView {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.tasks.send(Task::View(partition, answer));
        answered.await.unwrap_or_default()
    }

    /// How all groups are doing, in the order of their partitions, as [`Self::view`] has
    /// it. None if the node is stopping.
    pub async fn views(&self) -> Vec<GroupView> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.tasks.send(Task::Views(answer));
        answered.await.unwrap_or_default()
    }

    /// Why nothing new should be taken for now, if so: the disk has no room.
    #[must_use]
    pub fn shortage(&self) -> Option<JournalError> {
        self.0.journal.shortage()
    }

    /// In which term this node leads a partition, if it does; now and from now on.
    ///
    /// # Panics
    /// If there is no such partition.
    #[must_use]
    pub fn leads(&self, partition: PartitionId) -> watch::Receiver<Option<Term>> {
        let leads = self.0.hub.leads.get(usize::from(partition.get()));
        leads.expect("a partition of this journal").subscribe()
    }

    /// Who leads a partition, as far as this node knows: itself, or whoever said
    /// so last. Nobody, if this node does and can commit nothing.
    #[must_use]
    pub fn leader(&self, partition: PartitionId) -> Option<NodeId> {
        let here = self.0.hub.leads.get(usize::from(partition.get()))?.borrow().is_some();
        if here {
            self.has_quorum(partition).then_some(self.0.node)
        } else {
            self.0.presence.leader_of(partition)
        }
    }

    /// Whether enough of a partition's voters are there to commit anything, if this
    /// node leads it. A node that is cut off with what it leads goes on leading it
    /// until it hears of another leader, and had better take nothing meanwhile: what
    /// became of that it couldn't say.
    #[must_use]
    pub fn has_quorum(&self, partition: PartitionId) -> bool {
        self.0.presence.has_quorum(partition)
    }

    /// Whether this node was opened to be alone: nobody else can lead.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.is_alone
    }

    /// Why a partition can't be served by this node, if its storage has failed.
    #[must_use]
    pub fn failure(&self, partition: PartitionId) -> Option<JournalError> {
        self.0.journal.failure(partition)
    }

    /// How far a partition's log is committed, as far as this node knows.
    #[must_use]
    pub fn committed(&self, partition: PartitionId) -> LogIndex {
        self.0.journal.log(partition).state().committed
    }

    /// How this node's log of a partition stands.
    #[must_use]
    pub fn log_state(&self, partition: PartitionId) -> LogState {
        self.0.journal.log(partition).state()
    }

    /// Entries of this node's log of a partition, committed or not, from one on: as
    /// many as have so many bytes. May read from the disk.
    ///
    /// # Errors
    /// If what is read isn't what was written.
    pub fn entries(
        &self,
        partition: PartitionId,
        from: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Entry>>, JournalError> {
        let log = self.0.journal.log(partition);
        log.read(from, log.state().last.index.next(), bytes_max)
    }

    /// How far a partition's store has come, now and from now on.
    ///
    /// # Panics
    /// If there is no such partition.
    #[must_use]
    pub fn applied(&self, partition: PartitionId) -> watch::Receiver<LogIndex> {
        let applied = self.0.hub.applied.get(usize::from(partition.get()));
        applied.expect("a partition of this journal").subscribe()
    }

    /// Has what is committed applied soon, rather than gathered for a while.
    pub fn flush(&self, partition: PartitionId) {
        self.0.journal.flush(partition);
    }

    /// Reads a partition's store.
    ///
    /// # Panics
    /// If there is no such partition.
    #[must_use]
    pub fn reader(&self, partition: PartitionId) -> StoreReader {
        self.0.journal.reader(partition)
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// How the journal fares.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        self.0.journal.status()
    }

    /// Stops what was [started](Self::start), then closes the journal; see
    /// [`Journal::close`].
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub async fn end(&self) -> Result<(), JournalError> {
        self.0.stop();
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // One that panicked has ended, too.
            let _ = task.await;
        }
        self.0.journal.close()
    }

    /// Stops the groups, then closes the journal; see [`Journal::close`].
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub fn close(&self) -> Result<(), JournalError> {
        self.0.stop();
        self.0.journal.close()
    }
}

impl Inner {
    fn stop(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            let _ = stop.send(());
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long an append or a heartbeat may take, in milliseconds; a connection
/// that breaks is noticed sooner.
const APPEND_MS: u64 = 1_000;
/// A leader's lease, in milliseconds: for ever. Who leads is not decided by
/// clocks here, and nothing is read by lease.
const LEASE_MS: u64 = 10 * 365 * 24 * 3_600 * 1_000;

/// openraft's settings: no clock of its own, and snapshots when we say so.
fn config() -> Config {
    Config {
        cluster_name: "stead".into(),
        heartbeat_interval: APPEND_MS,
        // A leader whose lease has run out takes nothing, and a replica votes for
        // nobody while its leader's lease lasts, unless the service says so.
        election_timeout_min: LEASE_MS - 1,
        election_timeout_max: LEASE_MS,
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        snapshot_policy: SnapshotPolicy::Never,
        // What is let go is said by `keeping`, and by nobody else.
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 1,
        // What was committed last may not have been written down.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

/// A journal that is open, before its groups are started.
struct Opened {
    journal: Journal,
    report: RecoveryReport,
    hub: Arc<Hub>,
    logs: Vec<PartitionLog>,
    keep: Keep,
    tasks: mpsc::UnboundedSender<Task>,
    taken: mpsc::UnboundedReceiver<Task>,
}

impl Opened {
    fn open(
        options: &JournalOptions,
        formation: &Formation,
        events: Arc<dyn ConsensusEvents>,
        open: impl FnOnce(Arc<dyn JournalEvents>) -> Result<(Journal, RecoveryReport), JournalError>,
    ) -> Result<Self, ConsensusError> {
        let (partitions, keep) = (options.partitions, Keep::of(options));
        let (tasks, taken) = mpsc::unbounded_channel();
        let hub = Arc::new(Hub {
            events,
            leads: partitions.all_and_system().map(|_| watch::Sender::default()).collect(),
            applied: partitions.all_and_system().map(|_| watch::Sender::default()).collect(),
            tasks: tasks.clone(),
        });
        let (journal, report) = open(Arc::clone(&hub) as _)?;
        let node = journal.node();
        let logs: Vec<PartitionLog> = partitions.all_and_system().map(|p| journal.log(p)).collect();
        for (log, applied) in logs.iter().zip(&hub.applied) {
            if matches!(formation, Formation::Alone) {
                adopt::adopt(log, node)?;
            }
            applied.send_replace(log.applied().index);
        }
        Ok(Self { journal, report, hub, logs, keep, tasks, taken })
    }

    /// The handle, and the groups that are to be started.
    fn inner(
        self,
        formation: &Formation,
        planted: Option<PlantedBug>,
    ) -> (Inner, RecoveryReport, Groups) {
        let Self { journal, report, hub, logs, keep, tasks, taken } = self;
        let transfers = Transfers::default();
        let (stop, stopped) = oneshot::channel();
        let (node, presence) = (journal.node(), Arc::new(Presence::default()));
        let carrier = match formation {
            Formation::Alone => None,
            Formation::Together(carrier) => Some(Arc::clone(carrier)),
        };
        let groups = Groups {
            node,
            logs,
            carrier,
            journal: journal.clone(),
            hub: Arc::clone(&hub),
            presence: Arc::clone(&presence),
            planted,
            keep,
            transfers: transfers.clone(),
            tasks: tasks.clone(),
            taken,
            stopped,
        };
        let inner = Inner {
            journal,
            hub,
            node,
            presence,
            transfers,
            is_alone: matches!(formation, Formation::Alone),
            tasks,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(None),
            task: Mutex::new(None),
        };
        (inner, report, groups)
    }
}

/// The groups of a node, before they are started.
struct Groups {
    node: NodeId,
    logs: Vec<PartitionLog>,
    carrier: Option<Arc<dyn Carrier>>,
    journal: Journal,
    hub: Arc<Hub>,
    presence: Arc<Presence>,
    planted: Option<PlantedBug>,
    keep: Keep,
    transfers: Transfers,
    tasks: mpsc::UnboundedSender<Task>,
    taken: mpsc::UnboundedReceiver<Task>,
    stopped: oneshot::Receiver<()>,
}

/// The groups of a node, started.
struct Started {
    service: Service,
    taken: mpsc::UnboundedReceiver<Task>,
    stopped: oneshot::Receiver<()>,
}

impl Started {
    /// Serves until it is told to stop, and stops the groups.
    async fn run(self) {
        self.service.run(self.taken, self.stopped).await;
        for member in &self.service.members {
            // One that has failed has stopped already.
            let _ = tokio::time::timeout(STOP_PATIENCE, member.raft.shutdown()).await;
        }
    }
}

impl Groups {
    async fn start(self) -> Result<Started, ConsensusError> {
        let Self { node, logs, carrier, journal, hub, presence, planted, .. } = self;
        let Self { keep, transfers, tasks, taken, stopped, .. } = self;
        let config = Arc::new(config());
        transfers.number_from(journal.draw()?);
        let mut members = Vec::with_capacity(logs.len());
        for log in logs {
            let partition = log.partition();
            let failed = |cause: String| ConsensusError::Group { partition, cause };
            let bidden = Bidden::default();
            let network = Network::of(&log, carrier.clone(), bidden.clone(), transfers.clone());
            let (storage, machine) = (GroupLog(log.clone(), planted), Machine(log.clone()));
            let raft = Raft::new(node, Arc::clone(&config), network, storage, machine)
                .await
                .map_err(|error| failed(error.to_string()))?;
            if let Some(applied) = hub.applied.get(usize::from(partition.get())) {
                let (journal, hub) = (journal.clone(), Arc::clone(&hub));
                tokio::spawn(leadership::watch(
                    raft.clone(),
                    log.clone(),
                    applied.subscribe(),
                    planted,
                    move || journal.flush(partition),
                    move |leadership| hub.leadership(partition, leadership),
                ));
            }
            let (incoming, installing) = (Incoming::default(), RwLock::default());
            let handover = Handover::default();
            let mut keeping = Keeping::default();
            keeping.checkpointed(log.checkpointed().index);
            members.push(Arc::new(Member {
                raft,
                log,
                membership: SeenMembership::default(),
                incoming,
                installing,
                keeping: Mutex::new(keeping),
                handover,
                bidden,
                planted,
            }));
        }
        if carrier.is_none() {
            // All at once, so that they share the log's syncs.
            let stand = members.iter().map(|member| stand_alone(member, node));
            for outcome in futures::future::join_all(stand).await {
                outcome?;
            }
        }
        let service = Service { node, members, carrier, presence, keep, transfers, tasks };
        Ok(Started { service, taken, stopped })
    }
}

/// Has a group of this node alone elect it.
async fn stand_alone(member: &Member, node: NodeId) -> Result<(), ConsensusError> {
    let partition = member.log.partition();
    let failed = |cause: String| ConsensusError::Group { partition, cause };
    let initialized =
        member.raft.is_initialized().await.map_err(|error| failed(error.to_string()))?;
    let result = if initialized {
        member.raft.trigger().elect(false).await.map_err(|error| error.to_string())
    } else {
        let members = std::collections::BTreeSet::from([node]);
        member.raft.initialize(members).await.map_err(|error| error.to_string())
    };
    result.map_err(failed)
}
