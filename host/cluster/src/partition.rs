//! The shell around a partition's engine: its inbox, its tickets, and what its
//! effects do.
//!
//! Whoever has something for a partition puts it into the inbox and schedules
//! the partition; a worker gives it a turn (see [`crate::workers`]). A turn takes
//! a bounded number of requests, feeds the engine, and performs the effects. The
//! journal's threads only note how far the log and the store have come.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use stead_journal::{Alone, StoreReader};
use stead_model::{Address, Entry, LogIndex, PartitionId, RequestId, Term};
use stead_partition::{
    Answer, AppendFailure, BatchNumber, Command, Counters, Deployment, Effect, Engine,
    EngineConfig, Input, Query, Ticket,
};
use tokio::sync::{oneshot, watch};

use crate::{
    api::{CommandCall, QueryCall},
    clock,
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

#[derive(Default)]
struct Inbox {
    requests: VecDeque<(Request, oneshot::Sender<Answer>)>,
    changes: Vec<Change>,
    durable: LogIndex,
    applied: LogIndex,
    /// Every report of an entry that was not written, in order.
    failed: Vec<(LogIndex, AppendFailure)>,
    broken: Option<String>,
}

struct Core {
    engine: Engine<SandboxGuests>,
    guests: SandboxGuests,
    reader: Reader,
    tickets: HashMap<Ticket, oneshot::Sender<Answer>>,
    next_ticket: u64,
    next_index: LogIndex,
    /// Appended and not yet durable; then durable and not yet applied.
    in_flight: VecDeque<(LogIndex, BatchNumber)>,
    unapplied: VecDeque<(LogIndex, BatchNumber)>,
    /// Entries that were built on one that failed. The journal reports each of
    /// them as well, perhaps after their indexes were used again.
    failures_to_come: VecDeque<LogIndex>,
    effects: Vec<Effect>,
}

/// One partition on this node.
pub struct Partition {
    id: PartitionId,
    journal: Alone,
    inbox: Mutex<Inbox>,
    /// The most requests that wait in the inbox. As many may wait behind it, in
    /// the engine.
    inbox_max: usize,
    core: Mutex<Core>,
    /// What the engine counted after its last turn.
    counters: Mutex<Counters>,
    /// How far the log is durable, for those who want to read what they wrote.
    durable: AtomicU64,
    /// How far the store has come.
    applied: watch::Sender<u64>,
    /// Whether there is something that time alone may change.
    ticks: AtomicU64,
}

impl Partition {
    /// The partition as recovery left it.
    pub fn new(id: PartitionId, journal: Alone, config: EngineConfig) -> Self {
        let last = journal.last_index(id);
        let inbox_max = config.waiting_max;
        let core = Core {
            engine: Engine::new(config),
            guests: SandboxGuests,
            reader: Reader(journal.reader(id)),
            tickets: HashMap::new(),
            next_ticket: 0,
            next_index: last.next(),
            in_flight: VecDeque::new(),
            unapplied: VecDeque::new(),
            failures_to_come: VecDeque::new(),
            effects: Vec::new(),
        };
        Self {
            id,
            inbox: Mutex::default(),
            inbox_max,
            core: Mutex::new(core),
            counters: Mutex::default(),
            durable: AtomicU64::new(last.get()),
            applied: watch::Sender::new(last.get()),
            ticks: AtomicU64::new(0),
            journal,
        }
    }

    /// Puts a request in. `Err` gives the answer if it isn't taken.
    pub fn ask(&self, request: Request) -> Result<oneshot::Receiver<Answer>, Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut inbox = self.inbox();
        if let Some(why) = &inbox.broken {
            return Err(Answer::Unavailable(why.clone()));
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

    /// The log is durable up to here.
    pub fn durable(&self, through: LogIndex) {
        self.durable.fetch_max(through.get(), Ordering::AcqRel);
        self.inbox().durable = through;
    }

    /// The store has come this far.
    pub fn applied(&self, through: LogIndex) {
        self.inbox().applied = through;
        self.applied.send_replace(through.get());
    }

    /// Entries from here on were not written.
    pub fn failed(&self, from: LogIndex, failure: AppendFailure) {
        self.inbox().failed.push((from, failure));
    }

    /// What the store shows, once it shows all that was durable at this call.
    pub async fn settled(&self) -> StoreReader {
        let target = self.durable.load(Ordering::Acquire);
        if *self.applied.borrow() < target {
            self.journal.flush(self.id);
            let mut applied = self.applied.subscribe();
            // An error would mean that the partition is gone, and it owns the sender.
            let _ = applied.wait_for(|applied| *applied >= target).await;
        }
        self.journal.reader(self.id)
    }

    /// Resolves when the store comes further than it is now.
    pub async fn goes_on(&self) {
        let mut applied = self.applied.subscribe();
        let _ = applied.changed().await;
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
        empty && core.engine.is_idle() && core.tickets.is_empty()
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
            let durable = inbox.durable;
            let applied = inbox.applied;
            let failed = std::mem::take(&mut inbox.failed);
            let changes = std::mem::take(&mut inbox.changes);
            let count = inbox.requests.len().min(REQUESTS_PER_TURN);
            let requests: Vec<_> = inbox.requests.drain(..count).collect();
            let more = !inbox.requests.is_empty();
            drop(inbox);
            core.log_advanced(durable, applied, failed);
            for change in changes {
                core.input(match change {
                    Change::Deploy(deployment) => Input::Deploy(deployment),
                    Change::Undeploy(entity_type) => Input::Undeploy(entity_type),
                    Change::Drain => Input::Drain,
                });
            }
            (more, requests)
        };
        for (request, sender) in requests {
            core.request(request, sender, now);
        }
        let engine_more = core.engine.turn(now, &mut core.guests, &core.reader, &mut core.effects);
        self.perform(core);
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
                    if let Some(sender) = core.tickets.remove(&ticket) {
                        // Whoever asked may have gone; the outcome stands.
                        let _ = sender.send(answer);
                    }
                }
                Effect::Append { batch, at, items } => {
                    let index = core.next_index;
                    core.next_index = index.next();
                    core.in_flight.push_back((index, batch));
                    let entry = Entry { partition: self.id, term: Term(1), index, at, items };
                    self.journal.append(entry);
                }
                Effect::ApplySoon => self.journal.flush(self.id),
            }
        }
    }
}

impl Core {
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

    /// Tells the engine how far its batches have come.
    fn log_advanced(
        &mut self,
        durable: LogIndex,
        applied: LogIndex,
        failed: Vec<(LogIndex, AppendFailure)>,
    ) {
        let mut committed = None;
        while self.in_flight.front().is_some_and(|(index, _)| *index <= durable) {
            let Some(batch) = self.in_flight.pop_front() else { break };
            committed = Some(batch.1);
            self.unapplied.push_back(batch);
        }
        if let Some(through) = committed {
            self.input(Input::Committed { through });
        }
        for (from, failure) in failed {
            self.append_failed(from, failure);
        }
        let mut shown = None;
        while self.unapplied.front().is_some_and(|(index, _)| *index <= applied) {
            shown = self.unapplied.pop_front();
        }
        if let Some((_, through)) = shown {
            self.input(Input::Applied { through });
        }
    }

    /// The journal reports each entry that it did not write, once and in order:
    /// the first, and then those that were appended after it before this was
    /// known. The engine is told of the first; the others went with it.
    fn append_failed(&mut self, from: LogIndex, failure: AppendFailure) {
        if self.failures_to_come.front() == Some(&from) {
            self.failures_to_come.pop_front();
            return;
        }
        let Some(at) = self.in_flight.iter().position(|(index, _)| *index == from) else {
            tracing::error!(index = %from, "an entry failed that is not under way");
            return;
        };
        let lost: Vec<_> = self.in_flight.drain(at..).collect();
        self.failures_to_come.extend(lost.iter().skip(1).map(|(index, _)| *index));
        if let Some(&(index, batch)) = lost.first() {
            self.next_index = index;
            self.input(Input::AppendFailed { from: batch, failure });
        }
    }
}
