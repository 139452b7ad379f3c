//! What runs on consensus's thread: it passes on what is proposed, asked and
//! received, and looks after the groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    ServerState,
    async_runtime::WatchReceiver,
    errors::{ClientWriteError, RaftError},
    raft::ClientWriteResult,
};
use stead_journal::{JournalError, JournalOptions};
use stead_model::{LogIndex, LogPosition, NodeId, PartitionId, Term};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    GroupView, MembersChange, MembersError, PlantedBug, Proposal, ProposalError,
    carrier::{Carrier, Lane},
    electing::{self, Opinion, View},
    handover,
    hub::Hub,
    keeping::{Keeping, Others},
    leadership::read_index,
    member::{Looked, Member},
    members,
    network::Network,
    presence::Presence,
    recovering,
    told::Told,
    transfers::Transfers,
    types::{Committed, Group, log_index, raft_index},
    wire::{self, Message, Reply, Request},
};

/// How often the groups are looked after, and how often while none has anything to wait
/// for.
const LOOK: Duration = Duration::from_millis(40);
const LOOK_IDLY: Duration = LEADS;
/// How often a node says which groups it leads.
const LEADS: Duration = Duration::from_millis(250);
/// How often it is looked at what of the log others have come to have.
const LET_GO: Duration = Duration::from_secs(1);
/// How soon followers are told again what is committed, and how often at least while
/// nothing else is said to them.
const SPREAD_SOON: Duration = Duration::from_millis(500);
const SPREAD_SELDOM: Duration = Duration::from_secs(30);
/// How long a change of members may be half done, until the leader finishes it.
const HALF_DONE: Duration = Duration::from_secs(1);
/// How soon it says so when it leads another: others may have been elected with it.
const SAY_SOON: Duration = Duration::from_millis(3);

/// Where the answer to another node's message goes.
type Answer = Box<dyn FnOnce(Vec<u8>) + Send>;

/// What the service is told to do.
pub(crate) enum Task {
    Propose(Proposal),
    /// A message of another node, and where the answer goes.
    Serve(NodeId, Bytes, Answer),
    /// A store is durable up to here.
    Checkpointed(PartitionId, LogPosition),
    /// Whether a node is there.
    Presence(NodeId, bool),
    /// Whether this node still leads, asked of a quorum.
    Confirm(PartitionId, Box<dyn FnOnce(bool) + Send>),
    /// The first members of a group.
    Begin(PartitionId, BTreeSet<NodeId>, oneshot::Sender<Result<(), MembersError>>),
    /// Leadership is to go to another.
    Transfer(PartitionId, NodeId),
    /// What was held back meanwhile is proposed.
    HandoverEnds(PartitionId),
    /// The group's replica stands at once if nobody leads it.
    Stand(PartitionId),
    /// The others are to hear soon what this node leads.
    SayLeads,
    /// A change of a group's members.
    Change(PartitionId, MembersChange, oneshot::Sender<Result<(), MembersError>>),
    /// The group goes on with this node alone: another is given up, and the term is to
    /// be above this one.
    GoOnAlone(PartitionId, NodeId, Term, oneshot::Sender<Result<LogPosition, MembersError>>),
    /// How a group is doing.
    View(PartitionId, oneshot::Sender<GroupView>),
    /// How all are.
    Views(oneshot::Sender<Vec<GroupView>>),
}

/// How much log is kept for replicas that are behind, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    bytes_max: u64,
    age_max: Duration,
    since: Instant,
}

impl Keep {
    pub(crate) fn of(options: &JournalOptions) -> Self {
        Self {
            bytes_max: options.log_keep_bytes,
            age_max: Duration::from_millis(options.log_keep_ms),
            since: Instant::now(),
        }
    }
}

/// The groups of a node.
pub(crate) struct Service {
    pub(crate) node: NodeId,
    pub(crate) members: BTreeMap<PartitionId, Arc<Member>>,
    /// The partitions that this node can't take part in, and what it has of them.
    pub(crate) unstarted: BTreeMap<PartitionId, GroupView>,
    pub(crate) carrier: Option<Arc<dyn Carrier>>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) keep: Keep,
    /// The stores that this node sends.
    pub(crate) transfers: Transfers,
    /// To itself.
    pub(crate) tasks: mpsc::UnboundedSender<Task>,
}

impl Service {
    /// Runs until it is told to stop.
    pub(crate) async fn run(
        &self,
        mut tasks: mpsc::UnboundedReceiver<Task>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut looked: Vec<Looked> = self.members.values().map(|_| Looked::default()).collect();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = Instant::now();
        let mut let_go = tokio::time::interval(LET_GO);
        let_go.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut say_soon = false;
        loop {
            tokio::select! {
                Some(task) = tasks.recv() => {
                    match task {
                        Task::Presence(node, there) => {
                            if self.is_news(node, there) {
                                if there {
                                    // It may have missed what others were told.
                                    looked.iter_mut().for_each(|it| it.spread_again = None);
                                }
                                look.reset_immediately();
                            }
                        }
                        Task::Stand(partition) => {
                            let mut all = self.members.iter().zip(&mut looked);
                            let found = all.find(|((at, _), _)| **at == partition);
                            // One that stands already would only begin again.
                            if let Some(((_, member), looked)) = found
                                && View::of(member).state != ServerState::Candidate
                            {
                                looked.standing.hasten(Instant::now());
                                look.reset_immediately();
                            }
                        }
                        Task::SayLeads => {
                            self.presence.leaders_changed();
                            if !say_soon {
                                say_soon = true;
                                look.reset_after(SAY_SOON);
                            }
                        }
                        task => self.take(task).await,
                    }
                }
                _ = look.tick(), if self.carrier.is_some() => {
                    let soon = self.look_after(&mut looked).await;
                    if std::mem::take(&mut say_soon) || said.elapsed() >= LEADS {
                        said = Instant::now();
                        self.say_what_it_leads();
                    }
                    if !soon {
                        look.reset_after(LOOK_IDLY.min(LEADS.saturating_sub(said.elapsed())));
                    }
                }
                _ = let_go.tick() => self.let_all_go().await,
                _ = &mut stopped => return,
            }
        }
    }

    fn member(&self, partition: PartitionId) -> Option<&Arc<Member>> {
        self.members.get(&partition)
    }

    fn network(&self, member: &Member) -> Network {
        Network::of(member, self.carrier.clone(), self.transfers.clone())
    }

    /// Notes that a node is there, or isn't, and whether that is news: it is said again
    /// and again. Who was there all the time refuses what it refused, and was told what
    /// all are told.
    fn is_news(&self, node: NodeId, there: bool) -> bool {
        let is_news = self.presence.set(node, there);
        if is_news {
            self.members.values().for_each(|member| member.refusing.note(node, false));
            tracing::info!(node = %node.short(), there, "a node's presence has changed");
        }
        is_news
    }

    async fn take(&self, task: Task) {
        match task {
            // Taken where the groups are looked after.
            Task::Presence(..) | Task::Stand(_) | Task::SayLeads => {}
            Task::Propose(proposal) => match self.member(proposal.partition) {
                Some(member) => {
                    if let Some(proposal) = member.handover.hold(proposal) {
                        propose(member, proposal).await;
                    }
                }
                None => (proposal.done)(Err(ProposalError::NotLeader { leader: None })),
            },
            Task::Serve(from, message, answer) => self.serve(from, &message, answer),
            Task::Checkpointed(partition, through) => {
                if let Some(member) = self.member(partition) {
                    lock(&member.keeping).checkpointed(through.index);
                    // The log is let go only behind a snapshot, which is the store.
                    let _ = member.raft.trigger().snapshot().await;
                }
            }
            Task::Confirm(partition, done) => match self.member(partition).cloned() {
                Some(member) if member.planted == Some(PlantedBug::LeadershipUnconfirmed) => {
                    done(true);
                }
                Some(member) => drop(tokio::spawn(async move {
                    let read = member.raft.ensure_linearizable(read_index()).await;
                    done(read.is_ok());
                })),
                None => done(false),
            },
            Task::Begin(partition, members, answer) => {
                let begun = match self.member(partition) {
                    Some(member) => member
                        .raft
                        .initialize(members)
                        .await
                        .map_err(|error| MembersError { partition, why: error.to_string() }),
                    None => {
                        Err(MembersError { partition, why: "there is no such partition".into() })
                    }
                };
                let _ = answer.send(begun);
            }
            Task::Transfer(partition, to) => {
                if let Some(member) = self.member(partition).cloned() {
                    let (network, tasks) = (self.network(&member), self.tasks.clone());
                    tokio::spawn(async move {
                        if handover::hand_over(&member, &network, to).await {
                            let _ = tasks.send(Task::HandoverEnds(partition));
                        }
                    });
                }
            }
            Task::HandoverEnds(partition) => {
                if let Some(member) = self.member(partition) {
                    for held in member.handover.end() {
                        propose(member, held).await;
                    }
                }
            }
            Task::Change(partition, change, answer) => {
                let Some(member) = self.member(partition).cloned() else {
                    let why = "there is no such partition".into();
                    return drop(answer.send(Err(MembersError { partition, why })));
                };
                tokio::spawn(async move {
                    let _ = answer.send(members::change(&member, partition, change).await);
                });
            }
            Task::GoOnAlone(partition, lost, above, answer) => {
                let Some(member) = self.member(partition).cloned() else {
                    let why = "there is no such partition".into();
                    return drop(answer.send(Err(MembersError { partition, why })));
                };
                let node = self.node;
                self.presence.set(lost, false);
                tokio::spawn(async move {
                    let done = recovering::go_on_alone(&member, partition, node, lost, above).await;
                    let _ = answer.send(done);
                });
            }
            Task::View(partition, answer) => {
                let _ = answer.send(self.view(partition));
            }
            Task::Views(answer) => {
                let all = self.members.keys().chain(self.unstarted.keys());
                let all: BTreeSet<PartitionId> = all.copied().collect();
                let _ =
                    answer.send(all.into_iter().map(|partition| self.view(partition)).collect());
            }
        }
    }

    /// How a group is doing, be it that it has stopped here.
    fn view(&self, partition: PartitionId) -> GroupView {
        match (self.member(partition), self.unstarted.get(&partition)) {
            (Some(member), _) if self.hub.takes_part(partition) => GroupView::of(member),
            (Some(member), _) => GroupView::of(member).stopped(),
            (None, Some(unstarted)) => unstarted.clone(),
            (None, None) => GroupView::default(),
        }
    }

    /// Answers a message. What it asks of a group is handed to the group here, in
    /// the order of the messages.
    fn serve(&self, from: NodeId, message: &[u8], answer: Answer) {
        let say = |answer: Answer, reply: &Reply| answer(wire::encode(reply));
        let (partition, request) = match wire::decode(message) {
            Ok(Message::To(partition, request)) => (PartitionId(partition), request),
            Ok(Message::Leads(leads)) => {
                let leads = leads.into_iter().map(|(p, term)| (PartitionId(p), Term(term)));
                self.presence.heard(from, leads, Instant::now());
                return say(answer, &Reply::Heard);
            }
            Err(error) => {
                tracing::warn!(from = %from.short(), %error, "a message was refused");
                return say(answer, &Reply::Failed(error.to_string()));
            }
        };
        let Some(member) = self.member(partition).cloned() else {
            let why = match self.unstarted.contains_key(&partition) {
                true => stopped_here(partition),
                false => format!("there is no partition {partition} here"),
            };
            return say(answer, &Reply::Failed(why));
        };
        if !self.hub.takes_part(partition) {
            return say(answer, &Reply::Failed(stopped_here(partition)));
        }
        let (node, presence) = (self.node, Arc::clone(&self.presence));
        let (network, hub) = (self.network(&member), Arc::clone(&self.hub));
        tokio::spawn(async move {
            let reply =
                answer_of(&member, (from, node), &presence, (&network, &hub), request).await;
            say(answer, &reply.unwrap_or_else(Reply::Failed));
        });
    }

    /// Has groups elect that nobody leads, and followers hear what is committed
    /// when there is nothing more to tell them of it. Whether any of them is to be looked
    /// at again soon.
    async fn look_after(&self, looked: &mut [Looked]) -> bool {
        let now = Instant::now();
        let mut soon = false;
        for ((&partition, member), looked) in self.members.iter().zip(looked) {
            if !self.hub.takes_part(partition) {
                continue;
            }
            let goes_on = member.planted == Some(PlantedBug::FailedReplicasGoOn);
            if let Some(failure) = member.log.failure().filter(|_| !goes_on) {
                self.give_up(partition, member, &failure);
                continue;
            }
            let view = View::of(member);
            if looked.standing.is_due(&view, partition, self.node, &self.presence, now) {
                let (member, network, node) = (Arc::clone(member), self.network(member), self.node);
                tokio::spawn(async move {
                    electing::stand(&member, &view, &network, node, false).await
                });
                soon = true;
                continue;
            }
            soon |= looked.standing.waits();
            let leads = view.state == ServerState::Leader;
            let has_quorum = !leads || view.has_quorum(self.node, &self.presence, &member.refusing);
            self.presence.set_quorum(partition, has_quorum);
            if !leads {
                looked.finish = None;
                continue;
            }
            self.finish_change(member, &view, looked, now);
            let committed = member.log.state().committed;
            let is_new = committed != looked.spread;
            let again = looked.spread_again.is_none_or(|again| now >= again);
            soon |= committed != looked.committed || looked.finish.is_some();
            if committed == looked.committed && (is_new || again) {
                // Once may be lost, and nothing else may come for long.
                looked.spread_wait = match is_new || looked.spread_again.is_none() {
                    true => SPREAD_SOON,
                    false => (looked.spread_wait * 2).min(SPREAD_SELDOM),
                };
                looked.spread = committed;
                looked.spread_again = Some(now + looked.spread_wait);
                if let Err(fatal) = member.raft.trigger().heartbeat().await {
                    self.hub.has_ended(partition, &fatal);
                }
            }
            looked.committed = committed;
        }
        soon
    }

    /// Ends a group whose storage has failed, here. It might go on as long as nothing of
    /// it is read or written, and lead meanwhile; others had better.
    fn give_up(&self, partition: PartitionId, member: &Arc<Member>, failure: &JournalError) {
        self.hub.has_failed(partition, failure.to_string());
        let member = Arc::clone(member);
        // One that has ended by itself is no error.
        tokio::spawn(async move { drop(member.raft.shutdown().await) });
    }

    /// Lets go what of all groups' logs nobody needs any more.
    async fn let_all_go(&self) {
        let Some(first) = self.members.values().next() else { return };
        let surplus = first.log.surplus(self.keep.bytes_max);
        for member in self.members.values() {
            let through = surplus.get(&member.log.partition()).copied().unwrap_or_default();
            self.let_go(member, through).await;
        }
    }

    /// Lets go what of a group's log nobody needs any more, and in any case what is
    /// surplus and durable.
    async fn let_go(&self, member: &Member, surplus: LogIndex) {
        let (purged, running) = {
            let metrics = member.raft.metrics();
            let seen = metrics.borrow_watched();
            (seen.purged, seen.running_state.clone())
        };
        if let Err(fatal) = running {
            self.hub.has_ended(member.log.partition(), &fatal);
        }
        let purged = purged.map_or(LogIndex(0), |id| log_index(id.index));
        if !lock(&member.keeping).holds(purged) {
            return;
        }
        let view = GroupView::of(member);
        let others = || view.voters.union(&view.learners).filter(|node| **node != self.node);
        let others = match view.leader {
            _ if others().next().is_none() => Others::None,
            Some(leader) if leader == self.node => {
                let have = |node| view.matched.get(node).copied().unwrap_or_default();
                Others::Have(others().map(have).min().unwrap_or_default())
            }
            _ => {
                let there = self.presence.there();
                if others().all(|node| there.contains(node)) { Others::There } else { Others::Away }
            }
        };
        let (age_max, now) = (self.keep.age_max, self.keep.since.elapsed());
        let released = lock(&member.keeping).release(others, purged, surplus, age_max, now);
        if let Some(through) = released {
            // A group that has stopped needs nothing. What goes is seen the next time.
            let _ = member.raft.trigger().purge_log(raft_index(through)).await;
        }
    }

    /// Has a change of members finished whose second half nobody proposes: who began
    /// it led before, or has given up.
    fn finish_change(&self, member: &Arc<Member>, view: &View, looked: &mut Looked, now: Instant) {
        let sets = view.members.get_joint_config();
        let (true, Some(voters)) = (sets.len() > 1, sets.last()) else {
            looked.finish = None;
            return;
        };
        if now < *looked.finish.get_or_insert(now + HALF_DONE) {
            return;
        }
        looked.finish = Some(now + HALF_DONE);
        let (member, voters) = (Arc::clone(member), voters.clone());
        let partition = member.log.partition();
        tokio::spawn(async move {
            // If somebody else is about it after all, that one finishes it.
            let finished = members::change(&member, partition, MembersChange::Voters(voters)).await;
            tracing::info!(%partition, ?finished, "a half done change of members is finished");
        });
    }

    /// Tells every node that has a part in any group what this node leads.
    fn say_what_it_leads(&self) {
        let Some(carrier) = &self.carrier else { return };
        let mut nodes = self.presence.there();
        let mut leads = Vec::new();
        for (partition, member) in &self.members {
            let goes_on = member.planted == Some(PlantedBug::FailedReplicasGoOn);
            if !self.hub.takes_part(*partition) && !goes_on {
                continue;
            }
            let view = View::of(member);
            nodes.extend(view.members.nodes().map(|(node, _)| *node));
            if view.state == ServerState::Leader {
                leads.push((partition.get(), view.term.get()));
            }
        }
        nodes.remove(&self.node);
        let message = wire::encode(&Message::Leads(leads));
        for node in nodes {
            let said = carrier.carry(node, Lane::Control, message.clone(), LEADS * 4);
            // Who can't be reached hears it another time.
            tokio::spawn(async move { drop(said.await) });
        }
    }
}

fn stopped_here(partition: PartitionId) -> String {
    format!("the replica of partition {partition} here takes no part any more")
}

fn lock(keeping: &Mutex<Keeping>) -> MutexGuard<'_, Keeping> {
    keeping.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer_of(
    member: &Member,
    (from, node): (NodeId, NodeId),
    presence: &Presence,
    (network, hub): (&Network, &Hub),
    request: Request,
) -> Result<Reply, String> {
    let partition = member.log.partition();
    match request {
        Request::Append { vote, before, entries, committed } => {
            let request = wire::read_append(partition, vote, before, &entries, committed)
                .map_err(|error| error.to_string())?;
            let _not_installing = member.installing.read().await;
            let appended = member.raft.append_entries(request).await;
            appended.map(wire::appended).map_err(|error| {
                if let RaftError::Fatal(fatal) = &error {
                    hub.has_ended(partition, fatal);
                }
                error.to_string()
            })
        }
        Request::Vote { vote, last, transfer } => {
            // A leader's lease stands in the way of a vote only as long as this
            // node has no reason to think that it is gone. Nothing is read by
            // leases.
            let leaderless =
                View::of(member).is_leaderless(partition, node, presence, Instant::now());
            let request = openraft::raft::VoteRequest {
                vote: vote.into(),
                last_log_id: last.into(),
                leadership_transfer: transfer || leaderless,
            };
            let voted = member.raft.vote(request).await;
            voted.map(|voted| wire::voted(&voted)).map_err(|error| error.to_string())
        }
        Request::WouldVote { last, bidden } => {
            let opinion = electing::would_vote(member, last.into(), bidden, node, presence).await;
            if opinion == Opinion::HasMore {
                let _ = hub.tasks.send(Task::Stand(partition));
            }
            Ok(Reply::WouldVote(opinion == Opinion::Would))
        }
        Request::StoreChunk { id, nth, rows } => {
            member.incoming.chunk(&member.log, from, (id, nth), rows.0).await
        }
        Request::StoreEnd { id, vote, last, members_at, members } => {
            member.incoming.end(member, (from, id), vote, last, (members_at, &members)).await
        }
        Request::StoreChunks { id } => {
            Ok(Reply::StoreChunks(member.incoming.chunks(from, id).await))
        }
        Request::Stand { term, last } => {
            let last = (term, last.into());
            if presence.has_resigned() {
                return Ok(Reply::Stood(false));
            }
            Ok(Reply::Stood(handover::stand(member, network, node, from, last).await))
        }
    }
}

async fn propose(member: &Member, proposal: Proposal) {
    let Proposal { term, batch, mut done, .. } = proposal;
    if member.planted == Some(PlantedBug::CommitsBeforeQuorum) {
        done(Ok(member.log.state().last.index.next()));
        done = Box::new(drop);
    }
    let told = Told::new(move |result: Option<ClientWriteResult<Group>>| {
        done(match result {
            Some(Ok(response)) => Ok(log_index(response.log_id.index)),
            Some(Err(error)) => Err(refusal(&error)),
            None => Err(ProposalError::Stopped("it was stopped or has failed".into())),
        });
    });
    let term = match member.planted {
        Some(PlantedBug::ProposalTermIgnored) => View::of(member).term,
        _ => term,
    };
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
