//! The shell around a partition's engine: its inbox, its tickets, and what its
//! effects do.
//!
//! Whoever has something for a partition puts it into the inbox and schedules
//! the partition; a worker gives it a turn (see [`crate::workers`]). A turn takes
//! a bounded number of requests, feeds the engine, and performs the effects. The
//! threads of consensus and of the journal only note what became of batches, how
//! far the store has come, and whether this node leads the partition.
//!
//! Each time that it leads, in another term, it begins with a new engine: what
//! an engine knows beyond the store is of its own term.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use stead_consensus::{Batch, Consensus, Proposal};
use stead_journal::StoreReader;
use stead_model::{Address, EntityType, LogIndex, PartitionId, RequestId, Term};
use stead_partition::{
    Answer, AppendFailure, BatchNumber, Command, Counters, Deployment, Effect, Engine,
    EngineConfig, Input, Query, Ticket,
};
use tokio::sync::oneshot;

use crate::{
    api::{CommandCall, QueryCall},
    bridge::Bridge,
    clock,
    confirming::Confirming,
    guests::{SandboxGuests, TypeCode},
    store::Reader,
    workers::Turns,
};

/// The most requests that are taken out of the inbox in one turn.
const REQUESTS_PER_TURN: usize = 256;

/// A request for an entity.
pub enum Request {
    /// A command, with its id and whether that was minted just now.
    Command(CommandCall, RequestId, bool),
    /// A query.
    Query(QueryCall),
    /// To store a snapshot now.
    TakeSnapshot(Address),
    /// To tell how an entity fares.
    Inspect(Address),
}

/// A change of types.
#[derive(Clone)]
pub enum Change {
    /// A type is in service as this.
    Deploy(Deployment<TypeCode>),
    /// A type is out of service.
    Undeploy(stead_model::EntityType),
    /// The node stops.
    Drain,
}

/// What became of a batch.
struct Outcome {
    /// The term in which it was proposed.
    term: Term,
    batch: BatchNumber,
    result: Result<LogIndex, AppendFailure>,
}

#[derive(Default)]
struct Inbox {
    requests: VecDeque<(Request, oneshot::Sender<Answer>)>,
    changes: Vec<Change>,
    /// In the order in which they were proposed.
    outcomes: Vec<Outcome>,
    applied: LogIndex,
    /// In which term this node leads.
    leads: Option<Term>,
    /// Whether it does, as a quorum said to a question.
    confirmed: Option<(u64, bool)>,
    broken: Option<String>,
}

struct Core {
    config: EngineConfig,
    engine: Engine<SandboxGuests>,
    guests: SandboxGuests,
    reader: Reader,
    tickets: HashMap<Ticket, oneshot::Sender<Answer>>,
    confirming: Confirming,
    next_ticket: u64,
    /// The term in which the engine leads.
    term: Option<Term>,
    /// Proposed and not yet committed; then committed and not yet applied.
    in_flight: VecDeque<BatchNumber>,
    unapplied: VecDeque<(LogIndex, BatchNumber)>,
    /// What a new engine must be told.
    deployments: BTreeMap<EntityType, Deployment<TypeCode>>,
    draining: bool,
    effects: Vec<Effect>,
    /// The first batch that was not taken, and why; those after it aren't either.
    refused: Option<(BatchNumber, AppendFailure)>,
}

/// One partition on this node.
pub struct Partition {
    id: PartitionId,
    consensus: Consensus,
    bridge: Weak<Bridge>,
    inbox: Mutex<Inbox>,
    /// The most requests that wait in the inbox. As many may wait behind it, in
    /// the engine.
    inbox_max: usize,
    core: Mutex<Core>,
    /// What the engine counted after its last turn.
    counters: Mutex<Counters>,
    /// Whether there is something that time alone may change.
    ticks: AtomicU64,
}

impl Partition {
    /// The partition as recovery left it. It serves once this node leads it.
    pub fn new(
        id: PartitionId,
        consensus: Consensus,
        config: EngineConfig,
        bridge: Weak<Bridge>,
    ) -> Self {
        let inbox_max = config.waiting_max;
        let core = Core {
            engine: Engine::new(config.clone()),
            config,
            guests: SandboxGuests,
            reader: Reader(consensus.reader(id)),
            tickets: HashMap::new(),
            confirming: Confirming::default(),
            next_ticket: 0,
            term: None,
            in_flight: VecDeque::new(),
            unapplied: VecDeque::new(),
            deployments: BTreeMap::new(),
            draining: false,
            effects: Vec::new(),
            refused: None,
        };
        Self {
            id,
            inbox: Mutex::default(),
            inbox_max,
            core: Mutex::new(core),
            counters: Mutex::default(),
            ticks: AtomicU64::new(0),
            consensus,
            bridge,
        }
    }

    /// Puts a request in. `Err` gives the answer if it isn't taken.
    pub fn ask(&self, request: Request) -> Result<oneshot::Receiver<Answer>, Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut inbox = self.inbox();
        if let Some(why) = &inbox.broken {
            return Err(Answer::Unavailable(why.clone()));
        }
        if inbox.leads.is_none() {
            drop(inbox);
            return Err(Answer::Unavailable(self.why_not()));
        }
        if inbox.requests.len() >= self.inbox_max {
            return Err(Answer::MailboxFull);
        }
        inbox.requests.push_back((request, sender));
        Ok(receiver)
    }

    /// Puts a change of types in.
    pub fn change(&self, change: Change) {
        self.inbox().changes.push(change);
    }

    /// This node leads the partition in a term, or doesn't.
    pub fn leads(&self, term: Option<Term>) {
        self.inbox().leads = term;
    }

    /// The store has come this far.
    pub fn applied(&self, through: LogIndex) {
        self.inbox().applied = through;
    }

    fn confirmed(&self, question: u64, leads: bool) {
        self.inbox().confirmed = Some((question, leads));
    }

    fn outcome(&self, outcome: Outcome) {
        self.inbox().outcomes.push(outcome);
    }

    /// Why it doesn't serve.
    fn why_not(&self) -> String {
        match self.consensus.failure(self.id) {
            Some(failure) => failure.to_string(),
            None => format!("partition {} has no leader on this node", self.id),
        }
    }

    /// What the store shows, once it shows all that was committed at this call.
    pub async fn settled(&self) -> StoreReader {
        let target = self.consensus.committed(self.id);
        let mut applied = self.consensus.applied(self.id);
        if *applied.borrow() < target {
            self.consensus.flush(self.id);
            // An error would mean that the journal is gone.
            let _ = applied.wait_for(|applied| *applied >= target).await;
        }
        self.consensus.reader(self.id)
    }

    /// Resolves when the store comes further than it is now.
    pub async fn goes_on(&self) {
        let _ = self.consensus.applied(self.id).changed().await;
    }

    /// What the engine has counted.
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether time alone can change something here.
    pub fn wants_ticks(&self) -> bool {
        self.ticks.load(Ordering::Acquire) > 0
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        let empty = self.inbox().requests.is_empty();
        let core = self.core();
        empty && core.engine.is_idle() && core.tickets.is_empty() && core.confirming.is_empty()
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A turn that panicked leaves the partition broken, and `ask` refuses.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns for Partition {
    fn turn(&self) -> bool {
        let mut core = self.core();
        let core = &mut *core;
        let now = clock::now();
        let (more, requests) = {
            let mut inbox = self.inbox();
            let (leads, applied) = (inbox.leads, inbox.applied);
            let outcomes = std::mem::take(&mut inbox.outcomes);
            let changes = std::mem::take(&mut inbox.changes);
            let confirmed = inbox.confirmed.take();
            let count = inbox.requests.len().min(REQUESTS_PER_TURN);
            let requests: Vec<_> = inbox.requests.drain(..count).collect();
            let more = !inbox.requests.is_empty();
            drop(inbox);
            changes.into_iter().for_each(|change| core.change(change));
            core.settle(outcomes, applied);
            if core.term != leads {
                self.change_leadership(core, leads);
            }
            if let Some((question, leads)) = confirmed {
                core.confirming.answered(question, leads, || self.why_not());
            }
            (more, requests)
        };
        for (request, sender) in requests {
            match core.term {
                Some(_) => core.request(request, sender, now),
                None => drop(sender.send(Answer::Unavailable(self.why_not()))),
            }
        }
        let engine_more = core.engine.turn(now, &mut core.guests, &core.reader, &mut core.effects);
        self.perform(core);
        while let Some(refused) = core.refused.take() {
            core.input(Input::AppendFailed { from: refused.0, failure: refused.1 });
            self.perform(core);
        }
        if let Some(question) = core.confirming.ask() {
            self.confirm(question);
        }
        let counters = core.engine.counters(&core.guests);
        self.ticks.store(counters.live + counters.waiting, Ordering::Release);
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = counters;
        more || engine_more
    }

    fn broken(&self, message: &str) {
        tracing::error!(
            partition = %self.id,
            message,
            "a partition stopped serving: a bug of Stead's, or an invariant that did not hold"
        );
        let waiting = {
            let mut inbox = self.inbox();
            inbox.broken = Some(format!("partition {} stopped serving: {message}", self.id));
            std::mem::take(&mut inbox.requests)
        };
        // Their senders are dropped, which tells the callers.
        drop(waiting);
        self.core().tickets.clear();
    }
}

impl Partition {
    fn perform(&self, core: &mut Core) {
        for effect in core.effects.drain(..) {
            match effect {
                Effect::Answer { ticket, answer } => {
                    let Some(sender) = core.tickets.remove(&ticket) else { continue };
                    if answer.depends_on_leading() && !self.consensus.is_alone() {
                        core.confirming.hold(sender, answer);
                    } else {
                        // Whoever asked may have gone; the outcome stands.
                        let _ = sender.send(answer);
                    }
                }
                Effect::Append { batch, at, items } => {
                    if core.refused.is_some() {
                        // It was built on what was refused, and goes with it.
                    } else if let Some(shortage) = self.consensus.shortage() {
                        let failure = AppendFailure::Full(shortage.to_string());
                        core.refused = Some((batch, failure));
                    } else if let Some(term) = core.term {
                        core.in_flight.push_back(batch);
                        self.propose(term, batch, Batch { at, items });
                    }
                }
                Effect::ApplySoon => self.consensus.flush(self.id),
            }
        }
    }
}

impl Partition {
    fn propose(&self, term: Term, batch: BatchNumber, said: Batch) {
        let (id, bridge) = (self.id, self.bridge.clone());
        let done = move |result: Result<LogIndex, stead_consensus::ProposalError>| {
            let result = result.map_err(|error| AppendFailure::Lost(error.to_string()));
            if let Some(bridge) = bridge.upgrade() {
                bridge.with(id, |partition| partition.outcome(Outcome { term, batch, result }));
            }
        };
        self.consensus.propose(Proposal {
            partition: self.id,
            term,
            batch: said,
            done: Box::new(done),
        });
    }

    /// Asks a quorum whether this node still leads.
    fn confirm(&self, question: u64) {
        let (id, bridge) = (self.id, self.bridge.clone());
        self.consensus.confirm(id, move |leads| {
            if let Some(bridge) = bridge.upgrade() {
                bridge.with(id, |partition| partition.confirmed(question, leads));
            }
        });
    }

    /// The engine of the term before answers whom it can; a new one begins.
    fn change_leadership(&self, core: &mut Core, term: Option<Term>) {
        if core.term.is_some() {
            let from = core.in_flight.front().copied().unwrap_or(BatchNumber(u64::MAX));
            let failure = AppendFailure::Lost(self.why_not());
            core.input(Input::AppendFailed { from, failure });
            self.perform(core);
        }
        core.confirming.give_up(|| self.why_not());
        core.begin(term);
    }
}

impl Core {
    /// Begins with a new engine.
    fn begin(&mut self, term: Option<Term>) {
        self.engine = Engine::new(self.config.clone());
        self.effects.clear();
        self.refused = None;
        // Whoever still waits is told that the outcome isn't known.
        self.tickets.clear();
        self.in_flight.clear();
        self.unapplied.clear();
        self.term = term;
        let deployments: Vec<_> = self.deployments.values().cloned().collect();
        for deployment in deployments {
            self.input(Input::Deploy(deployment));
        }
        if self.draining {
            self.input(Input::Drain);
        }
    }

    fn change(&mut self, change: Change) {
        let input = match change {
            Change::Deploy(deployment) => {
                self.deployments.insert(deployment.entity_type.clone(), deployment.clone());
                Input::Deploy(deployment)
            }
            Change::Undeploy(entity_type) => {
                self.deployments.remove(&entity_type);
                Input::Undeploy(entity_type)
            }
            Change::Drain => {
                self.draining = true;
                Input::Drain
            }
        };
        self.input(input);
    }

    /// Tells the engine how far its batches have come.
    fn settle(&mut self, outcomes: Vec<Outcome>, applied: LogIndex) {
        let mut committed = None;
        for Outcome { term, batch, result } in outcomes {
            // Of another term, or built on one that failed: it was dealt with.
            if Some(term) != self.term || self.in_flight.front() != Some(&batch) {
                continue;
            }
            match result {
                Ok(index) => {
                    self.in_flight.pop_front();
                    self.unapplied.push_back((index, batch));
                    committed = Some(batch);
                }
                Err(failure) => {
                    if let Some(through) = committed.take() {
                        self.input(Input::Committed { through });
                    }
                    self.in_flight.clear();
                    self.input(Input::AppendFailed { from: batch, failure });
                }
            }
        }
        if let Some(through) = committed {
            self.input(Input::Committed { through });
        }
        let mut shown = None;
        while self.unapplied.front().is_some_and(|(index, _)| *index <= applied) {
            shown = self.unapplied.pop_front();
        }
        if let Some((_, through)) = shown {
            self.input(Input::Applied { through });
        }
    }

    fn input(&mut self, input: Input<TypeCode>) {
        let now = clock::now();
        self.engine.step(input, now, &mut self.guests, &self.reader, &mut self.effects);
    }

    fn request(
        &mut self,
        request: Request,
        sender: oneshot::Sender<Answer>,
        now: stead_model::TimestampMs,
    ) {
        if sender.is_closed() {
            return;
        }
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let input = match request {
            Request::Command(call, request, fresh) => Input::Command(Command {
                ticket,
                address: call.address,
                name: call.name,
                body: call.body.as_ref().into(),
                request,
                fresh,
                deadline: clock::deadline(call.deadline),
            }),
            Request::Query(call) => Input::Query(Query {
                ticket,
                address: call.address,
                name: call.name,
                body: call.body.as_ref().into(),
                deadline: clock::deadline(call.deadline),
            }),
            Request::TakeSnapshot(address) => Input::TakeSnapshot { ticket, address },
            Request::Inspect(address) => Input::Inspect { ticket, address },
        };
        self.tickets.insert(ticket, sender);
        self.engine.step(input, now, &mut self.guests, &self.reader, &mut self.effects);
    }
}
