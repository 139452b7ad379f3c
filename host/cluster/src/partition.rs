//! The shell around a partition's engine in its seat: its inbox, and what its deeds
//! come to.
//!
//! Whoever has something for a partition puts it into the inbox and schedules
//! the partition; a worker gives it a turn (see [`crate::workers`]). A turn takes
//! a bounded number of requests, feeds the seat, and performs its deeds. The
//! threads of consensus and of the journal only note what became of batches, how
//! far the store has come, and whether this node leads the partition. What follows
//! from that is the seat's to decide ([`stead_partition::seat`]).

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use stead_consensus::{Batch, Consensus, Proposal, ProposalError};
use stead_journal::StoreReader;
use stead_model::{Address, LogIndex, PartitionId, RequestId, Term};
use stead_partition::{
    Answer, AppendFailure, Counters, EngineConfig,
    seat::{self, Around, Deed, News, Outcome, Seat},
};
use tokio::sync::oneshot;

use crate::{
    api::{CommandCall, QueryCall},
    bridge::Bridge,
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

impl Request {
    /// As the seat takes it.
    fn seated(self) -> seat::Request {
        match self {
            Self::Command(call, request, fresh) => seat::Request::Command {
                address: call.address,
                name: call.name,
                body: call.body.as_ref().into(),
                request,
                fresh,
                deadline: clock::deadline(call.deadline),
            },
            Self::Query(call) => seat::Request::Query {
                address: call.address,
                name: call.name,
                body: call.body.as_ref().into(),
                deadline: clock::deadline(call.deadline),
            },
            Self::TakeSnapshot(address) => seat::Request::TakeSnapshot(address),
            Self::Inspect(address) => seat::Request::Inspect(address),
        }
    }
}

/// A change of types.
pub type Change = seat::Change<TypeCode>;

type Asker = oneshot::Sender<Answer>;

#[derive(Default)]
struct Inbox {
    requests: VecDeque<(Request, Asker)>,
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
    seat: Seat<SandboxGuests, Asker>,
    guests: SandboxGuests,
    reader: Reader,
    deeds: Vec<Deed<Asker>>,
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
            seat: Seat::new(config),
            guests: SandboxGuests,
            reader: Reader(consensus.reader(id)),
            deeds: Vec::new(),
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

    /// This node leads the partition in a term, or doesn't. What was asked while it
    /// led in another is turned away: by now it may have been tried elsewhere.
    pub fn leads(&self, term: Option<Term>) {
        let turned_away = {
            let mut inbox = self.inbox();
            if inbox.leads == term {
                return;
            }
            inbox.leads = term;
            std::mem::take(&mut inbox.requests)
        };
        for (_, asker) in turned_away {
            // Whoever asked may have gone.
            let _ = asker.send(Answer::Unavailable(self.why_not()));
        }
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
        let mut applied = self.consensus.applied(self.id);
        self.consensus.apply_next(self.id);
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
        empty && core.seat.is_idle()
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
        let Core { seat, guests, reader, deeds } = &mut *core;
        let (more, news) = self.news();
        let mut around = Around {
            now: clock::now(),
            guests,
            store: reader,
            is_alone: self.consensus.is_alone(),
            shortage: &|| self.consensus.shortage().map(|shortage| shortage.to_string()),
            why_not: &|| self.why_not(),
        };
        let wants_more = seat.turn(news, &mut around, deeds);
        for deed in deeds.drain(..) {
            self.perform(deed);
        }
        let counters = seat.counters(guests);
        self.ticks.store(counters.live + counters.waiting, Ordering::Release);
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = counters;
        more || wants_more
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
        self.core().seat.forget_all();
    }
}

impl Partition {
    /// What has come since the last turn, and whether there is more of it.
    fn news(&self) -> (bool, News<TypeCode, Asker>) {
        let mut inbox = self.inbox();
        let count = inbox.requests.len().min(REQUESTS_PER_TURN);
        let requests: Vec<_> = inbox.requests.drain(..count).collect();
        let more = !inbox.requests.is_empty();
        let (changes, outcomes) =
            (std::mem::take(&mut inbox.changes), std::mem::take(&mut inbox.outcomes));
        let (applied, leads, confirmed) = (inbox.applied, inbox.leads, inbox.confirmed.take());
        drop(inbox);
        let there = requests.into_iter().filter(|(_, asker)| !asker.is_closed());
        let requests = there.map(|(request, asker)| (request.seated(), asker)).collect();
        (more, News { changes, outcomes, applied, leads, confirmed, requests })
    }

    fn perform(&self, deed: Deed<Asker>) {
        match deed {
            // Whoever asked may have gone; the outcome stands.
            Deed::Tell(asker, answer) => drop(asker.send(answer)),
            Deed::ApplySoon => self.consensus.flush(self.id),
            Deed::Propose { term, batch, at, items } => {
                let (id, bridge) = (self.id, self.bridge.clone());
                let done = move |result: Result<LogIndex, ProposalError>| {
                    let result = result.map_err(|error| AppendFailure::Lost(error.to_string()));
                    if let Some(bridge) = bridge.upgrade() {
                        let outcome = Outcome { term, batch, result };
                        bridge.with(id, |partition| partition.outcome(outcome));
                    }
                };
                self.consensus.propose(Proposal {
                    partition: self.id,
                    term,
                    batch: Batch { at, items },
                    done: Box::new(done),
                });
            }
            Deed::Confirm(question) => {
                let (id, bridge) = (self.id, self.bridge.clone());
                self.consensus.confirm(id, move |leads| {
                    if let Some(bridge) = bridge.upgrade() {
                        bridge.with(id, |partition| partition.confirmed(question, leads));
                    }
                });
            }
        }
    }
}
