//! All groups of a node, on a thread of their own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use openraft::{
    Config, Raft, SnapshotPolicy,
    errors::ClientWriteError,
    raft::{ClientWriteResult, responder::Responder},
};
use stead_journal::{
    Disk, Journal, JournalError, JournalEvents, JournalOptions, JournalStatus, PartitionLog,
    RecoveryReport, StoreReader,
};
use stead_model::{LogIndex, LogPosition, NodeId, PartitionId, Term};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    ConsensusError, ProposalError, adopt,
    leadership::{self, Leadership},
    log::GroupLog,
    machine::Machine,
    network::Nobody,
    types::{Batch, Committed, Group, log_index},
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
    fn new(tell: impl FnOnce(Option<T>) + Send + 'static) -> Self {
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
    proposals: mpsc::UnboundedSender<Proposal>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Passes on what the journal tells.
struct Hub {
    events: Arc<dyn ConsensusEvents>,
    leads: Vec<watch::Sender<Option<Term>>>,
    applied: Vec<watch::Sender<LogIndex>>,
    checkpoints: mpsc::UnboundedSender<(PartitionId, LogPosition)>,
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
        let _ = self.checkpoints.send((partition, through));
    }
}

/// One group.
struct Member {
    raft: Raft<Group, Machine>,
    log: PartitionLog,
}

impl Consensus {
    /// Opens the journal and starts the groups. Blocks meanwhile. A journal that
    /// was made just now becomes one of a cluster of this node alone.
    ///
    /// # Errors
    /// As [`Journal::open`], or if a group can't be started.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        events: Arc<dyn ConsensusEvents>,
    ) -> Result<(Self, RecoveryReport), ConsensusError> {
        let partitions = options.partitions;
        let (checkpoints, checkpointed) = mpsc::unbounded_channel();
        let hub = Arc::new(Hub {
            events,
            leads: partitions.all().map(|_| watch::Sender::default()).collect(),
            applied: partitions.all().map(|_| watch::Sender::default()).collect(),
            checkpoints,
        });
        let (journal, report) = Journal::open(disk, options, Arc::clone(&hub) as _)?;
        let node = journal.node();
        let logs: Vec<PartitionLog> = partitions.all().map(|p| journal.log(p)).collect();
        for (log, applied) in logs.iter().zip(&hub.applied) {
            adopt::adopt(log, node)?;
            applied.send_replace(log.applied().index);
        }
        let (proposals, proposed) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let (begun, begins) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("stead-consensus".into()).spawn({
            let (journal, hub) = (journal.clone(), Arc::clone(&hub));
            move || {
                runtime.block_on(async move {
                    let started = start(node, logs, &journal, &hub).await;
                    let members = match started {
                        Ok(members) => members,
                        Err(error) => return drop(begun.send(Err(error))),
                    };
                    let _ = begun.send(Ok(()));
                    run(&members, proposed, checkpointed, stopped).await;
                    for member in &members {
                        // One that has failed has stopped already.
                        let _ = tokio::time::timeout(STOP_PATIENCE, member.raft.shutdown()).await;
                    }
                });
            }
        })?;
        let begun = begins.recv().unwrap_or_else(|_| {
            Err(ConsensusError::Thread(std::io::Error::other("it ended at once")))
        });
        let inner = Inner {
            journal,
            hub,
            node,
            proposals,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
        };
        begun?;
        Ok((Self(Arc::new(inner)), report))
    }

    /// Proposes a batch. Never waits; the caller bounds how much it has under way.
    pub fn propose(&self, proposal: Proposal) {
        if let Err(refused) = self.0.proposals.send(proposal) {
            let why = "the node is stopping".to_owned();
            (refused.0.done)(Err(ProposalError::Stopped(why)));
        }
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

/// openraft's settings: no clock of its own, and snapshots when we say so.
fn config() -> Config {
    Config {
        cluster_name: "stead".into(),
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        // What was committed last may not have been written down.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

async fn start(
    node: NodeId,
    logs: Vec<PartitionLog>,
    journal: &Journal,
    hub: &Arc<Hub>,
) -> Result<Vec<Member>, ConsensusError> {
    let config = Arc::new(config());
    let mut members = Vec::with_capacity(logs.len());
    for log in logs {
        let partition = log.partition();
        let failed = |cause: String| ConsensusError::Group { partition, cause };
        let (storage, machine) = (GroupLog(log.clone()), Machine(log.clone()));
        let raft = Raft::new(node, Arc::clone(&config), Nobody, storage, machine)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if let Some(applied) = hub.applied.get(usize::from(partition.get())) {
            let (journal, hub) = (journal.clone(), Arc::clone(hub));
            tokio::spawn(leadership::watch(
                raft.clone(),
                log.clone(),
                applied.subscribe(),
                move || journal.flush(partition),
                move |leadership| hub.leadership(partition, leadership),
            ));
        }
        members.push(Member { raft, log });
    }
    // All at once, so that they share the log's syncs.
    let stand = members.iter().map(|member| stand_alone(member, node));
    for outcome in futures::future::join_all(stand).await {
        outcome?;
    }
    Ok(members)
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

/// Passes on what is proposed and what is made durable, until the node stops.
async fn run(
    members: &[Member],
    mut proposed: mpsc::UnboundedReceiver<Proposal>,
    mut checkpointed: mpsc::UnboundedReceiver<(PartitionId, LogPosition)>,
    mut stopped: oneshot::Receiver<()>,
) {
    let member = |partition: PartitionId| members.get(usize::from(partition.get()));
    loop {
        tokio::select! {
            Some(proposal) = proposed.recv() => match member(proposal.partition) {
                Some(member) => propose(member, proposal).await,
                None => (proposal.done)(Err(ProposalError::NotLeader { leader: None })),
            },
            Some((partition, through)) = checkpointed.recv() => {
                if let Some(member) = member(partition) {
                    release(member, through).await;
                }
            }
            _ = &mut stopped => return,
        }
    }
}

async fn propose(member: &Member, proposal: Proposal) {
    let Proposal { term, batch, done, .. } = proposal;
    let told = Told::new(move |result: Option<ClientWriteResult<Group>>| {
        done(match result {
            Some(Ok(response)) => Ok(log_index(response.log_id.index)),
            Some(Err(error)) => Err(refusal(&error)),
            None => Err(ProposalError::Stopped("it was stopped or has failed".into())),
        });
    });
    let write = member.raft.write(batch).with_leader(Committed::new(term.get())).responder(told);
    // What can't be handed over is dropped, which tells.
    let _ = write.await;
}

fn refusal(error: &ClientWriteError<Group>) -> ProposalError {
    let leader = match error {
        ClientWriteError::ForwardToLeader(forward) => forward.leader_id,
        _ => None,
    };
    ProposalError::NotLeader { leader }
}

/// The log up to a checkpoint is not needed here any more.
async fn release(member: &Member, through: LogPosition) {
    if through.index == LogIndex(0) {
        return;
    }
    // A group that has stopped needs nothing.
    let trigger = member.raft.trigger();
    if trigger.snapshot().await.is_ok() {
        let _ = trigger.purge_log(crate::types::raft_index(through.index)).await;
    }
}
