//! One node: its consensus and journal, and an engine for each partition in its seat.
//! Everything runs on a runtime of the node's own, whose clock the run moves on;
//! when the machine crashes, the runtime goes, and all that was under way on it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use stead_consensus::{
    Batch, Consensus, ConsensusEvents, Formation, Proposal, ProposalError, Simulated,
};
use stead_journal::{JournalOptions, StoreReader, disk::sim::SimDisk};
use stead_model::{
    Address, Event, LogIndex, NodeId, PartitionCount, PartitionId, RequestId, SequenceNumber, Term,
};
use stead_partition::{
    Answer, AppendFailure, EngineConfig,
    ports::{EntityRecord, RecordedReply, StoreFault, StoreReader as Port, StoredSnapshot},
    seat::{Around, Change, Deed, News, Outcome, Request, Seat},
};
use tokio::{runtime::Runtime, sync::oneshot};

use crate::{
    clock::Clock,
    guests::{Natives, deployment},
    network::{Link, Machine, Network},
    placing,
    planted::Planted,
    random::Random,
    stepper::{Agenda, Wishes},
    trace::Trace,
};

/// The most requests that wait in an inbox.
const INBOX_MAX: usize = 256;
/// The most turns that a partition takes at once.
const TURNS_MAX: u32 = 50;

/// What a partition is told between turns.
#[derive(Default)]
struct Inbox {
    requests: VecDeque<(Request, oneshot::Sender<Answer>)>,
    changes: Vec<Change<()>>,
    outcomes: Vec<Outcome>,
    applied: LogIndex,
    leads: Option<Term>,
    confirmed: Option<(u64, bool)>,
    /// There is something new.
    rung: bool,
}

impl Inbox {
    /// What was asked of one term is not answered in another.
    fn leads(&mut self, term: Option<Term>) {
        if self.leads != term {
            self.leads = term;
            for (_, asker) in self.requests.drain(..) {
                let _ = asker.send(Answer::Unavailable("the leader changes".into()));
            }
        }
    }
}

/// What others know of a node, and tell it.
pub struct Node {
    /// Where it runs.
    pub machine: Machine,
    /// The network.
    pub network: Network,
    /// Its clock.
    pub clock: Clock,
    /// The partition count.
    pub count: PartitionCount,
    /// What happened.
    pub trace: Trace,
    /// Which nodes it heard are there or gone, and since when, in milliseconds of the
    /// run.
    pub heard: Mutex<BTreeMap<NodeId, (bool, u64)>>,
    consensus: OnceLock<Consensus>,
    inboxes: Vec<Mutex<Inbox>>,
    /// What went wrong that can't be a fault's doing.
    troubles: Mutex<Vec<String>>,
}

impl Node {
    /// Its consensus.
    pub fn consensus(&self) -> &Consensus {
        self.consensus.get().expect("a node is known to others once it is open")
    }

    /// Its name.
    pub fn id(&self) -> NodeId {
        self.consensus().node()
    }

    fn inbox(&self, partition: PartitionId) -> Option<MutexGuard<'_, Inbox>> {
        let inbox = self.inboxes.get(usize::from(partition.get()))?;
        Some(inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, partition: PartitionId, tell: impl FnOnce(&mut Inbox)) {
        if let Some(mut inbox) = self.inbox(partition) {
            tell(&mut inbox);
            inbox.rung = true;
        }
    }

    /// Puts a request in. `Err` gives the answer if it isn't taken.
    pub fn ask(&self, request: Request) -> Result<oneshot::Receiver<Answer>, Answer> {
        let (sender, receiver) = oneshot::channel();
        let (Request::Command { address, .. }
        | Request::Query { address, .. }
        | Request::TakeSnapshot(address)
        | Request::Inspect(address)) = &request;
        let partition = self.count.partition_of(address);
        let Some(mut inbox) = self.inbox(partition) else {
            return Err(Answer::Unavailable("there is no such partition".into()));
        };
        if inbox.leads.is_none() {
            return Err(Answer::Unavailable(why_not(partition)));
        }
        if inbox.requests.len() >= INBOX_MAX {
            return Err(Answer::MailboxFull);
        }
        inbox.requests.push_back((request, sender));
        inbox.rung = true;
        Ok(receiver)
    }

    fn trouble(&self, what: String) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What went wrong since this was last asked.
    pub fn take_troubles(&self) -> Vec<String> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn why_not(partition: PartitionId) -> String {
    format!("partition {partition} has no leader on this node")
}

/// Hears what consensus tells. The node has consensus, so this must not have the node.
struct Ears(Weak<Node>);

impl ConsensusEvents for Ears {
    fn leads(&self, partition: PartitionId, term: Term) {
        let Some(node) = self.0.upgrade() else { return };
        node.trace.note(format_args!("m{} leads {partition} in {term}", node.machine));
        node.tell(partition, |inbox| inbox.leads(Some(term)));
    }

    fn follows(&self, partition: PartitionId, leader: Option<NodeId>) {
        let Some(node) = self.0.upgrade() else { return };
        let leader = leader.map(NodeId::short);
        node.trace.note(format_args!("m{} follows in {partition}: {leader:?}", node.machine));
        node.tell(partition, |inbox| inbox.leads(None));
    }

    fn applied(&self, partition: PartitionId, through: LogIndex) {
        let Some(node) = self.0.upgrade() else { return };
        node.tell(partition, |inbox| inbox.applied = through);
    }
}

/// A node that runs.
pub struct Running {
    /// What is known of it.
    pub node: Arc<Node>,
    runtime: Runtime,
    wishes: Arc<Wishes>,
    agenda: Agenda,
    random: Random,
    seats: Vec<Seat<Natives, oneshot::Sender<Answer>>>,
    guests: Natives,
    /// When its partitions next take turns because time has passed.
    next_turn: u64,
    habits: Habits,
    /// What engines have proposed and consensus hasn't heard of yet, in order, and when
    /// it does.
    proposed: VecDeque<(u64, Proposal)>,
}

/// How a run's nodes go about things, which is another way in each run.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// How many entities of a partition stay in memory.
    live_max: usize,
    /// How long what is committed may wait to be applied to a store, in milliseconds.
    apply_ms_max: u64,
    /// How long a proposal may be on its way from an engine to consensus, in
    /// milliseconds, and that one in so many is.
    proposal_ms_max: u64,
    proposals_late: u64,
}

impl Habits {
    /// By chance.
    pub fn new(random: &mut Random) -> Self {
        Self {
            live_max: random.of(&[1, 2, 4]).unwrap_or(4),
            apply_ms_max: random.of(&[4, 4, 40]).unwrap_or(4),
            proposal_ms_max: random.of(&[1, 30, 400]).unwrap_or(1),
            proposals_late: random.within(2..30),
        }
    }
}

/// What a node is started with.
pub struct Start {
    /// Where.
    pub machine: Machine,
    /// On which disk.
    pub disk: SimDisk,
    /// The partition count.
    pub count: PartitionCount,
    /// The network.
    pub network: Network,
    /// The machine's clock.
    pub clock: Clock,
    /// What happened.
    pub trace: Trace,
    /// Its chance.
    pub random: Random,
    /// The bug that is put in.
    pub planted: Option<Planted>,
    /// When the run's leader of the facts plans, if it does.
    pub placing: Option<stead_placement::Settings>,
    /// The run's habits.
    pub habits: Habits,
}

fn options(count: PartitionCount, planted: Option<Planted>) -> JournalOptions {
    JournalOptions {
        partitions: count,
        segment_bytes: 32 << 10,
        checkpoint_age_ms: 900,
        checkpoint_bytes: 24 << 10,
        cache_bytes: 2 << 20,
        log_bytes_max: 1 << 30,
        recent_bytes: 6 << 10,
        planted: planted.and_then(Planted::of_journal),
        ..JournalOptions::default()
    }
}

fn config(planted: Option<Planted>, habits: Habits) -> EngineConfig {
    EngineConfig {
        entity_waiting_max: 32,
        waiting_max: 128,
        batch_items_max: 8,
        in_flight_max: 4,
        live_max: habits.live_max,
        idle_ms_max: 700,
        replay_events: 5,
        replays_max: 2,
        unreadable_retry_ms: 200,
        planted: planted.and_then(Planted::of_engine),
        ..EngineConfig::default()
    }
}

impl Running {
    /// Starts a node.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start(start: Start, now: u64) -> Result<Self, String> {
        let Start {
            machine,
            disk,
            count,
            network,
            clock,
            trace,
            mut random,
            planted,
            placing: settings,
            habits,
        } = start;
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(tokio::runtime::RngSeed::from_bytes(&seed))
            .unhandled_panic(tokio::runtime::UnhandledPanic::ShutdownRuntime)
            .build()
            .map_err(|error| error.to_string())?;
        let node = Arc::new(Node {
            machine,
            network: network.clone(),
            clock: clock.clone(),
            count,
            trace,
            heard: Mutex::default(),
            consensus: OnceLock::new(),
            inboxes: count.all_and_system().map(|_| Mutex::default()).collect(),
            troubles: Mutex::default(),
        });
        let wishes = Wishes::new(random.fork(), clock);
        let name = Arc::new(OnceLock::new());
        let link = Link { network, machine, node: Arc::clone(&name) };
        let simulated = Simulated {
            stepper: Arc::clone(&wishes) as _,
            planted: planted.and_then(Planted::of_consensus),
        };
        let starting = Consensus::start(
            Arc::new(disk),
            options(count, planted),
            Formation::Together(Arc::new(link)),
            Arc::new(Ears(Arc::downgrade(&node))),
            simulated,
        );
        let started = runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), starting).await });
        let (consensus, _) =
            started.map_err(|_| "it takes for ever")?.map_err(|error| error.to_string())?;
        // They are set once, here.
        let _ = name.set(consensus.node());
        let seats = count.all_and_system().map(|_| Seat::new(config(planted, habits))).collect();
        for partition in count.all() {
            node.tell(partition, |inbox| {
                inbox.applied = *consensus.applied(partition).borrow();
                inbox.changes.push(Change::Deploy(deployment()));
            });
        }
        let _ = node.consensus.set(consensus);
        if let Some(settings) = settings {
            runtime.spawn(placing::place(Arc::clone(&node), settings));
        }
        Ok(Self {
            node,
            runtime,
            wishes,
            agenda: Agenda::new(now, habits.apply_ms_max),
            random,
            seats,
            guests: Natives,
            next_turn: now,
            habits,
            proposed: VecDeque::new(),
        })
    }

    /// Has something done on the node.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Calls something within the node's runtime.
    pub fn within<T>(&self, call: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.enter();
        call()
    }

    /// Waits for something that the node does by itself.
    pub fn wait<T>(&self, for_what: impl Future<Output = T>) -> T {
        self.runtime.block_on(for_what)
    }

    /// One more millisecond passes.
    pub fn tick(&mut self, now: u64, slow_ms: u64) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        let consensus = self.node.consensus();
        self.agenda.step(now, consensus, &self.wishes, &mut self.random, slow_ms);
        // A worker may be busy.
        if !self.random.one_in(4) {
            self.turns(now);
        }
        self.propose(now);
    }

    /// A proposal goes from an engine's worker to the thread of consensus, and either
    /// may be busy. Those of a node keep their order.
    fn propose_soon(&mut self, now: u64, proposal: Proposal) {
        let Habits { proposal_ms_max, proposals_late, .. } = self.habits;
        let late = self.random.one_in(proposals_late);
        let takes = if late { self.random.below(proposal_ms_max) } else { 0 };
        let before = self.proposed.back().map_or(0, |(due, _)| *due);
        self.proposed.push_back((before.max(now + takes), proposal));
    }

    fn propose(&mut self, now: u64) {
        while self.proposed.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, proposal)) = self.proposed.pop_front() {
                self.node.consensus().propose(proposal);
            }
        }
    }

    fn turns(&mut self, now: u64) {
        let by_time = self.next_turn <= now;
        if by_time {
            self.next_turn = now + 50;
        }
        for partition in self.node.count.all() {
            let rung = self.node.inbox(partition).is_some_and(|inbox| inbox.rung);
            if !rung && !by_time {
                continue;
            }
            for _ in 0..TURNS_MAX {
                if !self.turn(now, partition) {
                    break;
                }
            }
        }
    }

    fn turn(&mut self, now: u64, partition: PartitionId) -> bool {
        let Some(seat) = self.seats.get_mut(usize::from(partition.get())) else { return false };
        let node = &self.node;
        let Some(mut inbox) = node.inbox(partition) else { return false };
        inbox.rung = false;
        let news = News {
            changes: std::mem::take(&mut inbox.changes),
            outcomes: std::mem::take(&mut inbox.outcomes),
            applied: inbox.applied,
            leads: inbox.leads,
            confirmed: inbox.confirmed.take(),
            requests: inbox.requests.drain(..).filter(|(_, asker)| !asker.is_closed()).collect(),
        };
        drop(inbox);
        let consensus = node.consensus();
        let mut around = Around {
            now: node.clock.now(),
            guests: &mut self.guests,
            store: &Store(consensus.reader(partition)),
            is_alone: false,
            shortage: &|| consensus.shortage().map(|shortage| shortage.to_string()),
            why_not: &|| why_not(partition),
        };
        let mut deeds = Vec::new();
        let more = seat.turn(news, &mut around, &mut deeds);
        let node = Arc::clone(node);
        for deed in deeds {
            if let Some(proposal) = perform(&node, partition, deed) {
                self.propose_soon(now, proposal);
            }
        }
        more || node.inbox(partition).is_some_and(|inbox| inbox.rung)
    }

    /// Stops in good order.
    ///
    /// # Errors
    /// What kept the journal from being closed.
    pub fn stop(self) -> Result<(), String> {
        let node = Arc::clone(&self.node);
        self.runtime.block_on(async move {
            node.consensus().resign();
            node.consensus().end().await.map_err(|error| error.to_string())
        })
    }
}

/// Does what a seat wants done; what it proposes is given back.
fn perform(
    node: &Arc<Node>,
    partition: PartitionId,
    deed: Deed<oneshot::Sender<Answer>>,
) -> Option<Proposal> {
    // A task of consensus may outlive the node; it must not keep it.
    let weak: Weak<Node> = Arc::downgrade(node);
    match deed {
        // Whoever asked may have gone; the outcome stands.
        Deed::Tell(asker, answer) => drop(asker.send(answer)),
        Deed::ApplySoon => node.consensus().flush(partition),
        Deed::Propose { term, batch, at, items } => {
            return Some(Proposal {
                partition,
                term,
                batch: Batch { at, items },
                done: Box::new(move |result| {
                    let Some(node) = weak.upgrade() else { return };
                    if let Err(ProposalError::Stopped(why)) = &result {
                        node.trouble(format!("the group of {partition} has stopped: {why}"));
                    }
                    let result = result.map_err(|error| AppendFailure::Lost(error.to_string()));
                    node.tell(partition, |inbox| {
                        inbox.outcomes.push(Outcome { term, batch, result })
                    });
                }),
            });
        }
        Deed::Confirm(question) => node.consensus().confirm(partition, move |leads| {
            if let Some(node) = weak.upgrade() {
                node.tell(partition, |inbox| inbox.confirmed = Some((question, leads)));
            }
        }),
    }
    None
}

/// The engine's port to the store.
struct Store(StoreReader);

fn fault(error: impl std::fmt::Display) -> StoreFault {
    StoreFault(error.to_string())
}

impl Port for Store {
    fn entity(&self, address: &Address) -> Result<Option<EntityRecord>, StoreFault> {
        let record = self.0.entity(address).map_err(fault)?;
        Ok(record.map(|record| EntityRecord {
            last_sequence: record.last_sequence,
            life_begins_after: record.life_begins_after,
            first_stored: record.first_stored,
        }))
    }

    fn snapshot(
        &self,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Result<Option<StoredSnapshot>, StoreFault> {
        let snapshot = self.0.snapshot(address, at_most).map_err(fault)?;
        Ok(snapshot.map(|snapshot| StoredSnapshot {
            sequence: snapshot.sequence,
            version: snapshot.version,
            state: snapshot.state,
        }))
    }

    fn events(
        &self,
        address: &Address,
        from: SequenceNumber,
        to: SequenceNumber,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Event>, StoreFault> {
        self.0.replay(address, from, to, count_max, bytes_max).map_err(fault)
    }

    fn reply(
        &self,
        address: &Address,
        request: &RequestId,
    ) -> Result<Option<RecordedReply>, StoreFault> {
        let reply = self.0.reply(address, request).map_err(fault)?;
        Ok(reply.map(|reply| RecordedReply {
            digest: reply.digest,
            reply: reply.reply,
            sequence: reply.sequence,
            expires: reply.expires,
        }))
    }
}
