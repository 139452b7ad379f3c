//! Letting activations go: after a fault, when they are idle, when there are
//! too many or they take too much memory. The journal has all that they know.

use stead_model::{Address, TimestampMs};

use super::{
    Engine, MEMORY_LOOK_EVERY_MS, Ports, SWEEP_EVERY_MS, SWEPT_AT_ONCE, Step,
    entities::{Phase, Slot},
    instances::InstanceId,
};
use crate::{
    ports::{GuestFault, Guests, StoreReader},
    vocabulary::{Answer, Incident, Ticket},
};

impl<G: Guests> Engine<G> {
    /// A guest failed in a call on a live entity. Nothing of the call is
    /// recorded. The answer waits for nothing: it tells nothing of the state.
    pub(super) fn fault<S: StoreReader>(
        &mut self,
        slot: Slot,
        ticket: Option<Ticket>,
        fault: GuestFault,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let Some(address) = self.entities.get(slot).map(|entity| entity.address.clone()) else {
            return;
        };
        let incident = self.incident(&address, &fault);
        match fault {
            GuestFault::Refused(_) => {}
            GuestFault::Trap(_)
            | GuestFault::Deadline(_)
            | GuestFault::Memory(_)
            | GuestFault::Stack
            | GuestFault::Host(_) => {
                if let Some(instance) = self.live_instance(slot) {
                    self.instances.discard(instance);
                }
                let until = step.now.plus_ms(self.config.quarantine_ms);
                self.instances.quarantine(&address, until);
            }
        }
        self.let_go(slot, ports);
        if let Some(ticket) = ticket {
            step.answer(ticket, Answer::Fault { incident, fault });
        }
    }

    /// Gives a guest's fault a number and says it in the log.
    pub(super) fn incident(&mut self, address: &Address, fault: &GuestFault) -> Incident {
        self.incidents += 1;
        self.counters.faults += 1;
        tracing::warn!(entity = %address, incident = self.incidents, %fault, "a guest failed");
        Incident(self.incidents)
    }

    /// Lets an entity's activation go. It is `Down` afterwards.
    pub(super) fn let_go<S: StoreReader>(&mut self, slot: Slot, ports: &mut Ports<'_, G, S>) {
        match self.set_phase(slot, Phase::Down) {
            Phase::Live { instance, entity } => self.release(instance, entity, ports),
            Phase::Replaying(replay) => self.release(replay.instance, replay.entity, ports),
            Phase::Down | Phase::Empty | Phase::Queued | Phase::Unreadable(_) => {}
        }
    }

    /// Gives a handle back to its instance; an entity's own instance goes with it.
    pub(super) fn release<S: StoreReader>(
        &mut self,
        instance: InstanceId,
        handle: G::Entity,
        ports: &mut Ports<'_, G, S>,
    ) {
        self.instances.discard_own(instance);
        let Some(place) = self.instances.get_mut(instance) else { return };
        if let Err(fault) = ports.guests.release(place, handle) {
            tracing::warn!(%fault, "an instance failed as it let an entity go");
            self.instances.discard(instance);
        }
    }

    /// Looks at some of the entities, and lets those go that are not needed.
    pub(super) fn sweep<S: StoreReader>(&mut self, now: TimestampMs, ports: &mut Ports<'_, G, S>) {
        if now.get().abs_diff(self.swept_at.get()) < SWEEP_EVERY_MS {
            return;
        }
        self.swept_at = now;
        self.instances.release_quarantined(now);
        self.look_at_memory(now, ports);
        for _ in 0..SWEPT_AT_ONCE.min(self.entities.slots()) {
            self.hand = if self.hand + 1 < self.entities.slots() { self.hand + 1 } else { 0 };
            if let Some(slot) = self.entities.slot_at(self.hand) {
                self.look_at(slot, now, ports);
            }
        }
    }

    fn look_at<S: StoreReader>(
        &mut self,
        slot: Slot,
        now: TimestampMs,
        ports: &mut Ports<'_, G, S>,
    ) {
        let crowded = self.live > self.config.live_max;
        let Some(entity) = self.entities.get_mut(slot) else { return };
        if entity.waiting.is_some() || !self.batches.is_applied(entity.touched) {
            return;
        }
        let gone = match &entity.phase {
            Phase::Queued | Phase::Replaying(_) => false,
            Phase::Down | Phase::Empty => true,
            Phase::Unreadable(why) => now >= why.until,
            Phase::Live { instance, .. } => {
                let idle = now.get().saturating_sub(entity.used.get()) > self.config.idle_ms_max;
                let unused = crowded && !std::mem::take(&mut entity.recently_used);
                idle || unused || !self.instances.exists(*instance)
            }
        };
        if gone {
            self.let_go(slot, ports);
            self.entities.remove(slot);
            self.counters.passivations += 1;
        }
    }

    /// Linear memory only grows, so what entities that are gone have left behind
    /// is got back by discarding the whole instance.
    fn look_at_memory<S: StoreReader>(&mut self, now: TimestampMs, ports: &mut Ports<'_, G, S>) {
        if now.get().abs_diff(self.memory_looked_at.get()) < MEMORY_LOOK_EVERY_MS {
            return;
        }
        self.memory_looked_at = now;
        let bytes = self.instances.memory_bytes(ports.guests);
        if bytes > self.config.memory_bytes_max
            && self.instances.discard_largest_shared(ports.guests)
        {
            tracing::info!(
                bytes,
                bytes_max = self.config.memory_bytes_max,
                "an instance was discarded for its memory; its entities are replayed when needed"
            );
        }
    }
}
