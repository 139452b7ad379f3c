//! Bringing entities into memory.
//!
//! A small one is there at once. A long history is folded a crossing at each
//! turn, so that its neighbours are served in between; and only so many are
//! replayed at a time, the others wait their turn.

use stead_model::SequenceNumber;

use super::{
    Engine, Ports, Step,
    entities::{Phase, Slot, Unreadable},
    replay::{self, Crossing, Replay, ReplayError, Wanted},
};
use crate::{
    config::PlantedBug,
    ports::{EntityRecord, Guests, StoreReader},
};

impl<G: Guests> Engine<G> {
    /// Brings an entity into memory if it isn't, now or soon.
    pub(super) fn bring<S: StoreReader>(
        &mut self,
        slot: Slot,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let Some(entity) = self.entities.get(slot) else { return };
        match entity.phase {
            Phase::Live { .. } | Phase::Queued | Phase::Replaying(_) | Phase::Unreadable(_) => {}
            Phase::Empty => self.begin_life(slot, ports, step),
            Phase::Down
                if !self.batches.is_applied(entity.touched)
                    && self.config.planted != Some(PlantedBug::StoreReadTooSoon) =>
            {
                self.set_phase(slot, Phase::Queued);
                self.awaiting_store.push_back(slot);
                Self::apply_soon(step);
            }
            Phase::Down if self.replaying.len() >= self.config.replays_max => {
                self.set_phase(slot, Phase::Queued);
                self.queued.push_back(slot);
            }
            Phase::Down => self.activate(slot, ports, step),
        }
    }

    /// Takes every replay a crossing on, and begins others in their place.
    pub(super) fn advance_replays<S: StoreReader>(
        &mut self,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        for _ in 0..self.replaying.len() {
            let Some(slot) = self.replaying.pop_front() else { break };
            let phase = self.set_phase(slot, Phase::Down);
            match phase {
                Phase::Replaying(replay) => self.advance(slot, *replay, ports, step),
                other => {
                    self.set_phase(slot, other);
                }
            }
        }
        for _ in 0..self.queued.len() {
            if self.replaying.len() >= self.config.replays_max {
                break;
            }
            let Some(slot) = self.queued.pop_front() else { break };
            let queued =
                self.entities.get(slot).is_some_and(|entity| matches!(entity.phase, Phase::Queued));
            if queued {
                self.set_phase(slot, Phase::Down);
                self.bring(slot, ports, step);
                self.wake_if_decided(slot);
            }
        }
    }

    fn wake_if_decided(&mut self, slot: Slot) {
        let decided = self.entities.get(slot).is_some_and(|entity| match entity.phase {
            Phase::Live { .. } | Phase::Unreadable(_) | Phase::Down | Phase::Empty => true,
            Phase::Queued | Phase::Replaying(_) => false,
        });
        if decided {
            self.wake(slot);
        }
    }

    fn activate<S: StoreReader>(
        &mut self,
        slot: Slot,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let Some(entity) = self.entities.get(slot) else { return };
        match ports.store.entity(&entity.address) {
            Err(fault) => self.unreadable(slot, ReplayError::Store(fault), step),
            Ok(record) => {
                let record = record.unwrap_or(EntityRecord {
                    last_sequence: SequenceNumber::default(),
                    life_begins_after: SequenceNumber::default(),
                    first_stored: SequenceNumber::default().next(),
                });
                let Some(entity) = self.entities.get_mut(slot) else { return };
                entity.last_sequence = record.last_sequence;
                entity.life_begins_after = record.life_begins_after;
                entity.snapshot_sequence = record.life_begins_after;
                if record.last_sequence == record.life_begins_after {
                    self.begin_life(slot, ports, step);
                } else {
                    self.begin_replay(slot, &record, ports, step);
                }
            }
        }
    }

    /// An entity without events.
    fn begin_life<S: StoreReader>(
        &mut self,
        slot: Slot,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let Some(instance) = self.instance_for(slot, ports, step) else { return };
        let Some(entity) = self.entities.get(slot) else { return };
        let Some(place) = self.instances.get_mut(instance) else { return };
        match ports.guests.create(place, &entity.address) {
            Ok(handle) => {
                let sequence = entity.last_sequence;
                self.activated(slot, Phase::Live { instance, entity: handle }, sequence, (0, 0, 0));
            }
            Err(fault) => {
                self.instances.discard(instance);
                self.unreadable(slot, ReplayError::Guest(fault), step);
            }
        }
    }

    fn begin_replay<S: StoreReader>(
        &mut self,
        slot: Slot,
        record: &EntityRecord,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let Some(instance) = self.instance_for(slot, ports, step) else { return };
        let Some(entity) = self.entities.get(slot) else { return };
        let Some(kind) = self.types.get(&entity.address.entity_type) else { return };
        let wanted = Wanted {
            address: &entity.address,
            record,
            snapshot_at_most: record.last_sequence,
            through: record.last_sequence,
        };
        let (component, store) = (&kind.deployment.component, ports.store);
        let (instances, guests, mut faults) = (&mut self.instances, &mut *ports.guests, Vec::new());
        let begun =
            replay::begin(instances, guests, store, component, instance, &wanted, &mut faults);
        // A restore that traps must not take its neighbours down at each activation.
        let address = entity.address.clone();
        for fault in faults {
            self.incident(&address, &fault);
            self.keep_apart_after(&address, &fault, step);
        }
        match begun {
            Ok(replay) => self.advance(slot, replay, ports, step),
            Err(error) => self.unreadable(slot, error, step),
        }
    }

    /// Takes a replay a crossing on; the entity is then live, still replaying,
    /// down, or unreadable.
    fn advance<S: StoreReader>(
        &mut self,
        slot: Slot,
        mut replay: Replay<G::Entity>,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let Some(entity) = self.entities.get(slot) else { return };
        let crossing =
            Crossing { events_max: self.config.replay_events, bytes_max: self.config.replay_bytes };
        let (instances, store) = (&mut self.instances, ports.store);
        let before = replay.events;
        let advanced = replay.advance(instances, ports.guests, store, &entity.address, crossing);
        self.counters.replayed_events += replay.events - before;
        match advanced {
            Ok(()) if replay.is_done() => {
                let Replay { instance, entity, began_after, events, bytes, began_us, .. } = replay;
                let took_us = ports.guests.clock_us().saturating_sub(began_us);
                self.activated(
                    slot,
                    Phase::Live { instance, entity },
                    began_after,
                    (events, bytes, took_us),
                );
            }
            Ok(()) => {
                self.set_phase(slot, Phase::Replaying(Box::new(replay)));
                self.replaying.push_back(slot);
            }
            Err(ReplayError::InstanceGone) => {
                self.set_phase(slot, Phase::Queued);
                self.queued.push_back(slot);
            }
            Err(error) => {
                // After a fault the instance is gone, and there is nothing to give back.
                self.release(replay.instance, replay.entity, ports);
                self.unreadable(slot, error, step);
            }
        }
    }

    fn activated(
        &mut self,
        slot: Slot,
        live: Phase<G::Entity>,
        snapshot_sequence: SequenceNumber,
        (events, bytes, took_us): (u64, u64, u64),
    ) {
        self.set_phase(slot, live);
        self.counters.activations += 1;
        let version = self.entities.get(slot).and_then(|entity| {
            self.types.get(&entity.address.entity_type).map(|kind| kind.deployment.version)
        });
        if let Some(entity) = self.entities.get_mut(slot) {
            entity.version = version.unwrap_or_default();
            entity.snapshot_sequence = snapshot_sequence;
            entity.bytes_since_snapshot = u32::try_from(bytes).unwrap_or(u32::MAX);
            entity.replayed_events = u32::try_from(events).unwrap_or(u32::MAX);
            entity.replayed_us = u32::try_from(took_us).unwrap_or(u32::MAX);
        }
        self.wake(slot);
    }

    fn instance_for<S: StoreReader>(
        &mut self,
        slot: Slot,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) -> Option<super::InstanceId> {
        let address = &self.entities.get(slot)?.address;
        let kind = self.types.get(&address.entity_type)?;
        let apart = kind.isolated() || self.instances.quarantined(address, step.now);
        let component = &kind.deployment.component;
        match self.instances.for_entity(ports.guests, component, address, apart) {
            Ok(instance) => Some(instance),
            Err(fault) => {
                self.unreadable(slot, ReplayError::Guest(fault), step);
                None
            }
        }
    }

    /// The entity can't be brought back, for a while at least. All who wait for
    /// it are told.
    fn unreadable(&mut self, slot: Slot, error: ReplayError, step: &mut Step<'_>) {
        let Some(entity) = self.entities.get(slot) else { return };
        let address = entity.address.clone();
        let (reason, fault) = match error {
            ReplayError::Guest(fault) => {
                self.keep_apart_after(&address, &fault, step);
                let incident = self.incident(&address, &fault);
                (fault.to_string(), Some((incident, fault)))
            }
            ReplayError::Unreadable(why) => (why, None),
            ReplayError::Store(fault) => (fault.to_string(), None),
            ReplayError::InstanceGone => ("its instance was discarded".to_owned(), None),
        };
        tracing::warn!(entity = %address, %reason, "an entity can't be brought back");
        let until = step.now.plus_ms(self.config.unreadable_retry_ms);
        let why = Unreadable { reason: reason.into(), until, fault };
        let answer = why.answer();
        self.set_phase(slot, Phase::Unreadable(Box::new(why)));
        while let Some(work) = self.entities.get_mut(slot).and_then(|e| e.next_waiting()) {
            self.waiting -= 1;
            step.answer(work.ticket, answer.clone());
        }
    }
}
