//! The handle on all groups of a node, which run on a thread of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use stead_journal::{
    Disk, Journal, JournalError, JournalOptions, JournalStatus, LogState, RecoveryReport, Step,
    Stepper, StoreReader, Work,
};
use stead_model::{Entry, LogIndex, LogPosition, NodeId, PartitionId, Term};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    ConsensusError, GroupView, MembersChange, MembersError, PlantedBug, ProposalError,
    hub::{ConsensusEvents, Hub},
    presence::Presence,
    service::Task,
    starting::{Formation, Opened},
    transfers::{Transfer, TransferLimits, TransferTotals, Transfers},
    types::Batch,
};

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

/// What a simulation does for a node, and to it.
pub struct Simulated {
    /// Who steps its journal.
    pub stepper: Arc<dyn Stepper>,
    /// A bug put in on purpose.
    pub planted: Option<PlantedBug>,
}

/// The journal of a node, and consensus on what it says. Cheap to clone.
#[derive(Clone)]
pub struct Consensus(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) journal: Journal,
    pub(crate) hub: Arc<Hub>,
    pub(crate) node: NodeId,
    pub(crate) presence: Arc<Presence>,
    pub(crate) transfers: Transfers,
    pub(crate) is_alone: bool,
    pub(crate) tasks: mpsc::UnboundedSender<Task>,
    pub(crate) stop: Mutex<Option<oneshot::Sender<()>>>,
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
    /// What runs in the thread's place, if there is none.
    pub(crate) task: Mutex<Option<tokio::task::JoinHandle<()>>>,
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

    /// Answers a message that another node's [`Carrier`](crate::Carrier) has carried. It is taken
    /// at this call; calls for messages of one lane must be made in their order. `answer` is
    /// called from consensus's thread, and must be quick; it is let go without a call if
    /// the node stops.
    pub fn serve(
        &self,
        from: NodeId,
        message: impl Into<Bytes>,
        answer: impl FnOnce(Vec<u8>) + Send + 'static,
    ) {
        let _ = self.0.tasks.send(Task::Serve(from, message.into(), Box::new(answer)));
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

    /// Changes whenever it is news who leads some partition. For those who wait for a
    /// [leader](Self::leader).
    #[must_use]
    pub fn leaders(&self) -> watch::Receiver<()> {
        self.0.presence.leaders()
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

    /// The partitions whose group has stopped on this node until it is started anew, and
    /// why: what it has contradicts what others have, most likely.
    #[must_use]
    pub fn halted(&self) -> BTreeMap<PartitionId, String> {
        self.0.hub.stopped().clone()
    }

    /// Those, and the ones whose storage has [failed](Self::failure): the partitions whose
    /// replica here takes no part.
    #[must_use]
    pub fn stopped(&self) -> BTreeSet<PartitionId> {
        let mut stopped: BTreeSet<PartitionId> = self.0.hub.stopped().keys().copied().collect();
        let all = (0_u16..).map(PartitionId).take(self.0.hub.leads.len());
        stopped.extend(all.filter(|partition| self.failure(*partition).is_some()));
        stopped
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

    /// Has the entry that comes next applied at once, when it is committed.
    pub fn apply_next(&self, partition: PartitionId) {
        let applied = self.0.journal.log(partition).applied();
        self.0.journal.flush(partition, applied.index.next());
    }

    /// Has what is committed applied soon, rather than gathered for a while.
    pub fn flush(&self, partition: PartitionId) {
        self.0.journal.flush(partition, self.committed(partition));
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

    /// What is wrong with the journal, for people.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.0.journal.problems()
    }

    /// How the journal fares. Opens its files, to add up their sizes.
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
