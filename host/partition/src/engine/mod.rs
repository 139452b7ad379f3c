//! The engine itself: what it holds, and how inputs and turns drive it.

mod activation;
mod audit;
mod batches;
mod changes;
mod entities;
mod index;
mod instances;
mod letting_go;
mod replay;
mod serving;
mod sweeping;
mod types;
mod work;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use stead_model::{Address, TimestampMs};

use self::{
    audit::Audit,
    batches::Batches,
    entities::{Entities, Phase, Slot},
    instances::{InstanceId, Instances},
    sweeping::Sweeping,
    types::Types,
    work::Work,
};
use crate::{
    config::{EngineConfig, PlantedBug},
    ports::{Guests, StoreReader},
    vocabulary::{Answer, BatchNumber, Counters, Effect, Input, Inspection, Ticket},
};

/// How many requests that waited are served in one turn.
const SERVED_PER_TURN: usize = 256;

/// The rooms below, as a step needs them.
struct Ports<'a, G, S> {
    guests: &'a mut G,
    store: &'a S,
}

/// What one step knows of the world, and what it wants done.
struct Step<'a> {
    now: TimestampMs,
    effects: &'a mut Vec<Effect>,
}

impl Step<'_> {
    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.effects.push(Effect::Answer { ticket, answer });
    }
}

/// The engine of one partition. See the crate's own page for how it works.
///
/// The caller feeds it a bounded number of inputs with [`Self::step`], then
/// gives it a [`Self::turn`], and performs the effects in their order.
pub struct Engine<G: Guests> {
    config: EngineConfig,
    types: Types<G>,
    entities: Entities<G::Entity>,
    instances: Instances<G>,
    batches: Batches,
    /// Entities with requests that can be served.
    runnable: VecDeque<Slot>,
    /// Wanted entities whose batches are not all applied.
    awaiting_store: VecDeque<Slot>,
    /// Wanted entities that wait for others to be replayed.
    queued: VecDeque<Slot>,
    /// Entities that are being replayed.
    replaying: VecDeque<Slot>,
    audit: Option<Audit<G::Entity>>,
    live: usize,
    waiting: usize,
    incidents: u64,
    draining: bool,
    /// Why nothing can be recorded any more.
    lost: Option<String>,
    sweeping: Sweeping,
    counters: Counters,
}

impl<G: Guests> Engine<G> {
    /// An engine that knows no types and holds no entities.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            config,
            types: Types::new(),
            entities: Entities::default(),
            instances: Instances::default(),
            batches: Batches::default(),
            runnable: VecDeque::new(),
            awaiting_store: VecDeque::new(),
            queued: VecDeque::new(),
            replaying: VecDeque::new(),
            audit: None,
            live: 0,
            waiting: 0,
            incidents: 0,
            draining: false,
            lost: None,
            sweeping: Sweeping::default(),
            counters: Counters::default(),
        }
    }

    /// Takes one input.
    pub fn step<S: StoreReader>(
        &mut self,
        input: Input<G::Component>,
        now: TimestampMs,
        guests: &mut G,
        store: &S,
        effects: &mut Vec<Effect>,
    ) {
        let mut ports = Ports { guests, store };
        let mut step = Step { now, effects };
        match input {
            Input::Command(command) => {
                let (address, work) = Work::command(command);
                self.admit(&address, work, &mut ports, &mut step);
            }
            Input::Query(query) => {
                let (address, work) = Work::query(query);
                self.admit(&address, work, &mut ports, &mut step);
            }
            Input::TakeSnapshot { ticket, address } => {
                self.admit(&address, Work::snapshot(ticket), &mut ports, &mut step);
            }
            Input::Inspect { ticket, address } => {
                let inspection = self.inspect(&address, now, ports.guests);
                step.answer(ticket, Answer::Inspection(inspection));
            }
            Input::Committed { through } => {
                for (ticket, answer) in self.batches.commit(through) {
                    step.answer(ticket, answer);
                }
                // What they asked for before could show nothing that wasn't committed.
                if !self.awaiting_store.is_empty() || self.audit_is_awaited() {
                    Self::apply_soon(&mut step);
                }
            }
            Input::Applied { through } => {
                self.batches.apply(through);
                self.queued.append(&mut self.awaiting_store);
            }
            Input::AppendFailed { from, failure } => {
                self.append_failed(from, &failure, &mut ports, &mut step);
            }
            Input::Deploy(deployment) => self.deploy(deployment, &mut step),
            Input::Undeploy(entity_type) => self.undeploy(&entity_type, &mut step),
            Input::Drain => {
                self.draining = true;
                self.abandon_audit("the node is stopping", &mut step);
            }
        }
    }

    /// Goes on with what waits, and appends what was recorded. Whether there is
    /// more to do that doesn't wait for an input.
    pub fn turn<S: StoreReader>(
        &mut self,
        now: TimestampMs,
        guests: &mut G,
        store: &S,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let mut ports = Ports { guests, store };
        let mut step = Step { now, effects };
        self.advance_replays(&mut ports, &mut step);
        self.advance_audit(&mut ports, &mut step);
        self.serve_waiting(&mut ports, &mut step);
        self.append_open(&mut step);
        self.sweep(now, &mut ports);
        self.has_more()
    }

    /// Whether nothing is under way: no request waits, and no batch either.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.batches.is_settled() && self.audit.is_none()
    }

    /// What was done so far, and what is held.
    #[must_use]
    pub fn counters(&self, guests: &G) -> Counters {
        Counters {
            live: self.live as u64,
            waiting: self.waiting as u64,
            memory_bytes: self.instances.memory_bytes(guests) as u64,
            ..self.counters
        }
    }

    /// Whether the open batch takes more, and there is room for more answers to
    /// wait: those to queries and rejections put nothing into a batch.
    fn has_room(&self) -> bool {
        self.batches.open_items() < self.config.batch_items_max
            && self.batches.open_bytes() < self.config.batch_bytes_max
            && self.batches.held() < self.config.held_max
    }

    fn has_more(&self) -> bool {
        let can_append = self.batches.in_flight() < self.config.in_flight_max;
        (self.has_room() && (!self.runnable.is_empty() || self.audit_ready()))
            || !self.replaying.is_empty()
            || (!self.queued.is_empty() && self.replaying.len() < self.config.replays_max)
            || (self.batches.open_items() > 0 && can_append)
    }

    fn append_open(&mut self, step: &mut Step<'_>) {
        if self.batches.in_flight() >= self.config.in_flight_max {
            return;
        }
        if let Some((batch, items)) = self.batches.close() {
            step.effects.push(Effect::Append { batch, at: step.now, items });
        }
    }

    /// Gives an answer when a batch is committed.
    fn answer_when(
        &mut self,
        batch: BatchNumber,
        ticket: Ticket,
        answer: Answer,
        step: &mut Step<'_>,
    ) {
        let at_once = match (self.config.planted, &answer) {
            (Some(PlantedBug::AnswersBeforeCommit), _)
            | (Some(PlantedBug::QueriesBeforeCommit), Answer::QueryReply(_)) => true,
            (_, _) => false,
        };
        let held = if at_once { Some(answer) } else { self.batches.hold(batch, ticket, answer) };
        if let Some(answer) = held {
            step.answer(ticket, answer);
        }
    }

    /// Sets an entity's phase, and keeps count of the live ones. The phase before.
    fn set_phase(&mut self, slot: Slot, phase: Phase<G::Entity>) -> Phase<G::Entity> {
        let Some(entity) = self.entities.get_mut(slot) else { return phase };
        let is_live = |phase: &Phase<_>| usize::from(matches!(phase, Phase::Live { .. }));
        self.live = self.live + is_live(&phase) - is_live(&entity.phase);
        std::mem::replace(&mut entity.phase, phase)
    }

    /// Calls a guest with a live entity; `None` if it isn't live any more.
    fn with_live<T>(
        &mut self,
        slot: Slot,
        call: impl FnOnce(&mut G::Instance, &mut G::Entity, &Address) -> T,
    ) -> Option<T> {
        let entity = self.entities.get_mut(slot)?;
        let Phase::Live { instance, entity: handle } = &mut entity.phase else { return None };
        let place = self.instances.get_mut(*instance)?;
        Some(call(place, handle, &entity.address))
    }

    fn live_instance(&self, slot: Slot) -> Option<InstanceId> {
        match self.entities.get(slot)?.phase {
            Phase::Live { instance, .. } => Some(instance),
            _ => None,
        }
    }

    fn inspect(&self, address: &Address, now: TimestampMs, guests: &G) -> Inspection {
        let quarantined = self.instances.quarantined(address, now);
        let entity = self.entities.find(address).and_then(|slot| self.entities.get(slot));
        let Some(entity) = entity else { return Inspection { quarantined, ..Default::default() } };
        let instance = match entity.phase {
            Phase::Live { instance, .. } if self.instances.exists(instance) => Some(instance),
            _ => None,
        };
        let live = instance.is_some();
        let memory = instance.map(|instance| self.instances.memory_bytes_of(instance, guests));
        Inspection {
            live,
            instance_memory_bytes: memory.map(|bytes| bytes as u64),
            last_sequence: live.then_some(entity.last_sequence),
            waiting: entity.waiting_len(),
            last_replay_events: live.then_some(u64::from(entity.replayed_events)),
            last_replay_us: live.then_some(u64::from(entity.replayed_us)),
            quarantined,
            unreadable: match &entity.phase {
                Phase::Unreadable(why) => Some(why.reason.as_ref().to_owned()),
                _ => None,
            },
        }
    }
}
