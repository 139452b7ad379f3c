//! An engine in its place on a node: what it is told, in which order, and what its
//! effects come to.
//!
//! A node leads a partition for a term, loses it, and may lead it again in another.
//! Each time that it leads the seat begins with a new engine: what an engine knows
//! beyond the store is of its own term. The seat keeps who waits for which answer,
//! which batches are on their way, and which answers wait until a quorum has
//! confirmed that this node still leads.
//!
//! It does nothing itself either. What has come since goes in as [`News`], with the
//! time and the ports; what is to be done comes out as [`Deed`]s, in their order.

mod confirming;

use std::collections::{BTreeMap, VecDeque};

use stead_model::{Address, EntityType, Item, LogIndex, RequestId, Term, TimestampMs};

use self::confirming::Confirming;
use crate::{
    Answer, AppendFailure, BatchNumber, Body, Command, Counters, Deployment, Effect, Engine,
    EngineConfig, Input, Query, Ticket,
    ports::{Guests, StoreReader},
};

/// A request for an entity.
#[derive(Debug, Clone)]
pub enum Request {
    /// A command.
    Command {
        /// The entity.
        address: Address,
        /// The command's name.
        name: std::sync::Arc<str>,
        /// Its argument.
        body: Body,
        /// Its idempotency key.
        request: RequestId,
        /// Whether that was minted for this very attempt.
        fresh: bool,
        /// A command not begun by then is not begun.
        deadline: TimestampMs,
    },
    /// A query.
    Query {
        /// The entity.
        address: Address,
        /// The query's name.
        name: std::sync::Arc<str>,
        /// Its argument.
        body: Body,
        /// A query not begun by then is not begun.
        deadline: TimestampMs,
    },
    /// To store a snapshot now.
    TakeSnapshot(Address),
    /// To tell how an entity fares.
    Inspect(Address),
}

/// A change of types.
#[derive(Debug, Clone)]
pub enum Change<C> {
    /// A type is in service as this.
    Deploy(Deployment<C>),
    /// A type is out of service.
    Undeploy(EntityType),
    /// The node stops.
    Drain,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The term in which it was proposed.
    pub term: Term,
    /// Which one.
    pub batch: BatchNumber,
    /// The index of its entry, which is committed; or why there is none.
    pub result: Result<LogIndex, AppendFailure>,
}

/// What has come for a partition since its last turn.
pub struct News<C, W> {
    /// Changes of types, in their order.
    pub changes: Vec<Change<C>>,
    /// What became of batches, in the order in which they were proposed.
    pub outcomes: Vec<Outcome>,
    /// How far the store has come.
    pub applied: LogIndex,
    /// In which term this node leads, if it does.
    pub leads: Option<Term>,
    /// Whether a quorum has confirmed that it does, and to which question.
    pub confirmed: Option<(u64, bool)>,
    /// Requests, and who waits for the answer.
    pub requests: Vec<(Request, W)>,
}

/// What stands around an engine when it takes a turn.
pub struct Around<'a, G, S> {
    /// The time.
    pub now: TimestampMs,
    /// Runs guests.
    pub guests: &'a mut G,
    /// The partition's store.
    pub store: &'a S,
    /// Whether nobody else can lead.
    pub is_alone: bool,
    /// Why nothing new should be appended for now, if so.
    pub shortage: &'a dyn Fn() -> Option<String>,
    /// What those are told whom this node can't serve.
    pub why_not: &'a dyn Fn() -> String,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Deed<W> {
    /// Give somebody an answer.
    Tell(W, Answer),
    /// Propose a batch; what becomes of it is told as an [`Outcome`].
    Propose {
        /// In which term this node must lead.
        term: Term,
        /// Which batch.
        batch: BatchNumber,
        /// When it was made.
        at: TimestampMs,
        /// What it says.
        items: Vec<Item>,
    },
    /// Have what is committed applied soon.
    ApplySoon,
    /// Ask a quorum whether this node still leads; the answer is told under this
    /// number.
    Confirm(u64),
}

/// The place of one partition's engine.
pub struct Seat<G: Guests, W> {
    config: EngineConfig,
    engine: Engine<G>,
    tickets: BTreeMap<Ticket, W>,
    confirming: Confirming<W>,
    next_ticket: u64,
    /// The term in which the engine leads.
    term: Option<Term>,
    /// Proposed and not yet committed; then committed and not yet applied.
    in_flight: VecDeque<BatchNumber>,
    unapplied: VecDeque<(LogIndex, BatchNumber)>,
    /// What a new engine must be told.
    deployments: BTreeMap<EntityType, Deployment<G::Component>>,
    draining: bool,
    effects: Vec<Effect>,
    /// The first batch that was not taken, and why; those after it aren't either.
    refused: Option<(BatchNumber, AppendFailure)>,
}

impl<G: Guests, W> Seat<G, W> {
    /// A partition that this node doesn't lead yet.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            engine: Engine::new(config.clone()),
            config,
            tickets: BTreeMap::new(),
            confirming: Confirming::default(),
            next_ticket: 0,
            term: None,
            in_flight: VecDeque::new(),
            unapplied: VecDeque::new(),
            deployments: BTreeMap::new(),
            draining: false,
            effects: Vec::new(),
            refused: None,
        }
    }

    /// Takes what has come, and has the engine take a turn. Whether it wants
    /// another.
    pub fn turn<S: StoreReader>(
        &mut self,
        news: News<G::Component, W>,
        around: &mut Around<'_, G, S>,
        deeds: &mut Vec<Deed<W>>,
    ) -> bool {
        let News { changes, outcomes, applied, leads, confirmed, requests } = news;
        for change in changes {
            self.change(change, around);
        }
        self.settle(outcomes, applied, around);
        if self.term != leads {
            self.change_leadership(leads, around, deeds);
        }
        if let Some((question, leads)) = confirmed {
            let why_not = if leads { String::new() } else { (around.why_not)() };
            tell(deeds, self.confirming.answered(question, leads, &why_not));
        }
        for (request, waiter) in requests {
            match self.term {
                Some(_) => self.request(request, waiter, around),
                None => deeds.push(Deed::Tell(waiter, Answer::Unavailable((around.why_not)()))),
            }
        }
        let more = self.engine.turn(around.now, around.guests, around.store, &mut self.effects);
        self.perform(around, deeds);
        while let Some((from, failure)) = self.refused.take() {
            self.input(Input::AppendFailed { from, failure }, around);
            self.perform(around, deeds);
        }
        deeds.extend(self.confirming.ask().map(Deed::Confirm));
        more
    }

    /// Everybody who waits is given up: their waiters are dropped.
    pub fn forget_all(&mut self) {
        self.tickets.clear();
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.engine.is_idle() && self.tickets.is_empty() && self.confirming.is_empty()
    }

    /// What the engine has counted.
    #[must_use]
    pub fn counters(&self, guests: &G) -> Counters {
        self.engine.counters(guests)
    }

    fn input<S: StoreReader>(&mut self, input: Input<G::Component>, around: &mut Around<'_, G, S>) {
        self.engine.step(input, around.now, around.guests, around.store, &mut self.effects);
    }

    fn perform<S>(&mut self, around: &Around<'_, G, S>, deeds: &mut Vec<Deed<W>>) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Answer { ticket, answer } => {
                    let Some(waiter) = self.tickets.remove(&ticket) else { continue };
                    if answer.depends_on_leading() && !around.is_alone {
                        self.confirming.hold(waiter, answer);
                    } else {
                        deeds.push(Deed::Tell(waiter, answer));
                    }
                }
                Effect::Append { batch, at, items } => {
                    if self.refused.is_some() {
                        // It was built on what was refused, and goes with it.
                    } else if let Some(shortage) = (around.shortage)() {
                        self.refused = Some((batch, AppendFailure::Full(shortage)));
                    } else if let Some(term) = self.term {
                        self.in_flight.push_back(batch);
                        deeds.push(Deed::Propose { term, batch, at, items });
                    }
                }
                Effect::ApplySoon => deeds.push(Deed::ApplySoon),
            }
        }
    }

    /// The engine of the term before answers whom it can; a new one begins.
    fn change_leadership<S: StoreReader>(
        &mut self,
        term: Option<Term>,
        around: &mut Around<'_, G, S>,
        deeds: &mut Vec<Deed<W>>,
    ) {
        let why_not = (around.why_not)();
        if self.term.is_some() {
            let from = self.in_flight.front().copied().unwrap_or(BatchNumber(u64::MAX));
            let failure = AppendFailure::Lost(why_not.clone());
            self.input(Input::AppendFailed { from, failure }, around);
            self.perform(around, deeds);
        }
        tell(deeds, self.confirming.give_up(&why_not));
        self.begin(term, around);
    }

    /// Begins with a new engine.
    fn begin<S: StoreReader>(&mut self, term: Option<Term>, around: &mut Around<'_, G, S>) {
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
            self.input(Input::Deploy(deployment), around);
        }
        if self.draining {
            self.input(Input::Drain, around);
        }
    }

    fn change<S: StoreReader>(
        &mut self,
        change: Change<G::Component>,
        around: &mut Around<'_, G, S>,
    ) {
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
        self.input(input, around);
    }

    /// Tells the engine how far its batches have come.
    fn settle<S: StoreReader>(
        &mut self,
        outcomes: Vec<Outcome>,
        applied: LogIndex,
        around: &mut Around<'_, G, S>,
    ) {
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
                        self.input(Input::Committed { through }, around);
                    }
                    self.in_flight.clear();
                    self.input(Input::AppendFailed { from: batch, failure }, around);
                }
            }
        }
        if let Some(through) = committed {
            self.input(Input::Committed { through }, around);
        }
        let mut shown = None;
        while self.unapplied.front().is_some_and(|(index, _)| *index <= applied) {
            shown = self.unapplied.pop_front();
        }
        if let Some((_, through)) = shown {
            self.input(Input::Applied { through }, around);
        }
    }

    fn request<S: StoreReader>(
        &mut self,
        request: Request,
        waiter: W,
        around: &mut Around<'_, G, S>,
    ) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let input = match request {
            Request::Command { address, name, body, request, fresh, deadline } => {
                Input::Command(Command { ticket, address, name, body, request, fresh, deadline })
            }
            Request::Query { address, name, body, deadline } => {
                Input::Query(Query { ticket, address, name, body, deadline })
            }
            Request::TakeSnapshot(address) => Input::TakeSnapshot { ticket, address },
            Request::Inspect(address) => Input::Inspect { ticket, address },
        };
        self.tickets.insert(ticket, waiter);
        self.input(input, around);
    }
}

fn tell<W>(deeds: &mut Vec<Deed<W>>, said: Vec<(W, Answer)>) {
    deeds.extend(said.into_iter().map(|(waiter, answer)| Deed::Tell(waiter, answer)));
}
