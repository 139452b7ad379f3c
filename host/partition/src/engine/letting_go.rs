//! Letting activations go, after a fault above all. The journal has all that
//! they know.

use stead_model::Address;

use super::{
    Engine, Ports, Step,
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
            }
        }
        self.keep_apart_after(&address, &fault, step);
        self.let_go(slot, ports);
        if let Some(ticket) = ticket {
            step.answer(ticket, Answer::Fault { incident, fault });
        }
    }

    /// Keeps an entity in an instance of its own for a while if the fault was its
    /// own doing. The host's troubles would only grow with more instances.
    pub(super) fn keep_apart_after(
        &mut self,
        address: &Address,
        fault: &GuestFault,
        step: &Step<'_>,
    ) {
        match fault {
            GuestFault::Trap(_)
            | GuestFault::Deadline(_)
            | GuestFault::Memory(_)
            | GuestFault::Stack => {
                let until = step.now.plus_ms(self.config.quarantine_ms);
                self.instances.quarantine(address, until);
            }
            GuestFault::Refused(_) | GuestFault::Host(_) => {}
        }
    }

    /// Gives a guest's fault a number and says it in the log.
    pub(super) fn incident(&mut self, address: &Address, fault: &GuestFault) -> Incident {
        self.incidents += 1;
        self.counters.faults += 1;
        let incident = format_args!("{}-{}", self.config.incidents, self.incidents);
        tracing::warn!(entity = %address, %incident, %fault, "a guest failed");
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
}
