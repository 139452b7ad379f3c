//! Snapshots, and the check that comes before one is stored.
//!
//! A snapshot replaces events, so it must say what they say. The live entity's
//! state is taken; then the events up to there are folded again, in a scratch
//! entity that starts from the snapshot before; and only if its state is the
//! same, byte for byte, and restoring it gives the same again, is the snapshot
//! appended to the log. So a snapshot that can't be restored, state that was
//! changed without an event, and a fold that isn't exact are all found before
//! they can do harm. It costs one more fold of each event. What can't be found is
//! code that says the same untruth every time; it harms its own entities only.

use stead_model::{Address, EntityType, Item, SequenceNumber, SnapshotItem, TypeVersion};

use super::{
    Engine, Ports, Step,
    entities::{Phase, Slot},
    replay::{self, Crossing, Replay, ReplayError, Wanted},
};
use crate::{
    config::PlantedBug,
    ports::{GuestFault, Guests, StoreReader},
    vocabulary::{Answer, BatchNumber, Effect, Ticket},
};

/// A snapshot that is taken and not yet trusted.
pub struct Audit<E> {
    address: Address,
    version: TypeVersion,
    sequence: SequenceNumber,
    state: Vec<u8>,
    /// The batch that must be applied before the events can be read back.
    pub needs: BatchNumber,
    ticket: Option<Ticket>,
    scratch: Option<Replay<E>>,
}

#[cfg(test)]
impl<E> Audit<E> {
    pub fn scratch_instance(&self) -> Option<super::InstanceId> {
        self.scratch.as_ref().map(|scratch| scratch.instance)
    }
}

impl<G: Guests> Engine<G> {
    /// Whether the policy of its type wants a snapshot of an entity now.
    pub(super) fn wants_snapshot(&self, slot: Slot) -> bool {
        let Some(entity) = self.entities.get(slot) else { return false };
        let Some(kind) = self.types.get(&entity.address.entity_type) else { return false };
        let policy = &kind.deployment.manifest.snapshot;
        let events = entity.last_sequence.get() - entity.snapshot_sequence.get();
        let due = |since: u64, every: u64| every > 0 && since >= every;
        !kind.snapshots_off
            && self.audit.is_none()
            && (due(events, policy.every_events)
                || due(u64::from(entity.bytes_since_snapshot), policy.every_bytes))
            && !kind.without_snapshots.contains(&entity.address.id)
    }

    /// The code failed at this entity's snapshot. It isn't asked for another, or
    /// each command would end in the same failure and a replay.
    fn go_without_snapshots(&mut self, slot: Slot) {
        let Some(address) = self.entities.get(slot).map(|entity| entity.address.clone()) else {
            return;
        };
        tracing::warn!(entity = %address, "no more snapshots until the type is deployed anew");
        if let Some(kind) = self.types.get_mut(&address.entity_type) {
            kind.go_without_snapshots(&address.id);
        }
    }

    /// Takes a live entity's state, to be audited and stored.
    pub(super) fn take_snapshot<S: StoreReader>(
        &mut self,
        slot: Slot,
        ticket: Option<Ticket>,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        if let Some(ticket) = ticket
            && let Some(why) = self.snapshot_refusal(slot)
        {
            step.answer(ticket, Answer::SnapshotRefused(why));
            return;
        }
        let taken = self.with_live(slot, |instance, entity, address| {
            ports.guests.snapshot(instance, entity, address)
        });
        let state = match taken {
            None => return,
            Some(Ok(state)) => state,
            Some(Err(fault)) => {
                self.go_without_snapshots(slot);
                return self.fault(slot, ticket, fault, ports, step);
            }
        };
        let Some(entity) = self.entities.get_mut(slot) else { return };
        // Whatever becomes of this one, the next is due only after as much again.
        entity.snapshot_sequence = entity.last_sequence;
        entity.bytes_since_snapshot = 0;
        let (address, sequence) = (entity.address.clone(), entity.last_sequence);
        let (version, needs) = (entity.version, entity.touched);
        if state.len() > self.config.snapshot_bytes_max {
            let why = format!(
                "the snapshot has {} bytes; at most {} are stored",
                state.len(),
                self.config.snapshot_bytes_max
            );
            tracing::warn!(entity = %address, %why, "no snapshot");
            if let Some(ticket) = ticket {
                step.answer(ticket, Answer::SnapshotRefused(why));
            }
            return;
        }
        if ticket.is_some() {
            step.effects.push(Effect::ApplySoon);
        }
        self.audit =
            Some(Audit { address, version, sequence, state, needs, ticket, scratch: None });
    }

    fn snapshot_refusal(&self, slot: Slot) -> Option<String> {
        let entity = self.entities.get(slot)?;
        let kind = self.types.get(&entity.address.entity_type)?;
        if kind.snapshots_off {
            return Some(
                "this version of the code does not replay exactly (see the node's log), so no \
                 snapshots of its entities are stored"
                    .into(),
            );
        }
        if self.audit.is_some() {
            return Some("another snapshot is being checked in this partition; try again".into());
        }
        if entity.last_sequence == SequenceNumber::default() {
            return Some("the entity has no events".into());
        }
        None
    }

    /// Whether an audit can go on.
    pub(super) fn audit_ready(&self) -> bool {
        self.audit.as_ref().is_some_and(|audit| self.batches.is_applied(audit.needs))
    }

    /// Takes the audit a bounded step on.
    pub(super) fn advance_audit<S: StoreReader>(
        &mut self,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        if !self.audit_ready() || !self.has_room() {
            return;
        }
        let Some(mut audit) = self.audit.take() else { return };
        match self.audit_step(&mut audit, ports) {
            Ok(None) => self.audit = Some(audit),
            Ok(Some(state)) => {
                self.end_scratch(&mut audit);
                if state == audit.state {
                    self.store_snapshot(audit, step);
                } else {
                    self.audit_failed(&audit, "the same events gave other bytes", ports, step);
                }
            }
            Err(Ended::Moot(why)) => {
                self.end_scratch(&mut audit);
                if let Some(ticket) = audit.ticket {
                    step.answer(ticket, Answer::SnapshotRefused(why.into()));
                }
            }
            Err(Ended::Failed(error)) => {
                self.end_scratch(&mut audit);
                match verdict(error) {
                    Ok(why) => self.audit_failed(&audit, &why, ports, step),
                    Err(why) => {
                        tracing::warn!(entity = %audit.address, %why, "no snapshot");
                        if let Some(ticket) = audit.ticket {
                            step.answer(ticket, Answer::SnapshotRefused(why));
                        }
                    }
                }
            }
        }
    }

    fn audit_step<S: StoreReader>(
        &mut self,
        audit: &mut Audit<G::Entity>,
        ports: &mut Ports<'_, G, S>,
    ) -> Result<Option<Vec<u8>>, Ended> {
        let Some(kind) = self.types.get(&audit.address.entity_type) else {
            return Err(Ended::Moot("the type was undeployed meanwhile"));
        };
        if kind.deployment.version != audit.version {
            return Err(Ended::Moot("another version was deployed meanwhile"));
        }
        let failed = |error| Ended::Failed(error);
        let store_failed = |fault| Ended::Failed(ReplayError::Store(fault));
        let record = ports.store.entity(&audit.address).map_err(store_failed)?;
        let Some(record) = record.filter(|record| record.life_begins_after < audit.sequence) else {
            return Err(Ended::Moot("the entity's life ended meanwhile"));
        };
        let mut scratch = match audit.scratch.take() {
            Some(scratch) => scratch,
            None => {
                let component = kind.deployment.component.clone();
                let instance = self
                    .instances
                    .scratch(ports.guests, &component, &audit.address)
                    .map_err(|fault| Ended::Failed(ReplayError::Guest(fault)))?;
                let wanted = Wanted {
                    address: &audit.address,
                    record: &record,
                    snapshot_at_most: SequenceNumber(audit.sequence.get() - 1),
                    through: audit.sequence,
                };
                let (instances, store) = (&mut self.instances, ports.store);
                // A snapshot before that can't be restored is no fault of this one.
                let (guests, faults) = (&mut *ports.guests, &mut Vec::new());
                replay::begin(instances, guests, store, &component, instance, &wanted, faults)
                    .map_err(failed)?
            }
        };
        let crossing =
            Crossing { events_max: self.config.replay_events, bytes_max: self.config.replay_bytes };
        let (instances, address) = (&mut self.instances, &audit.address);
        let advanced = scratch.advance(instances, ports.guests, ports.store, address, crossing);
        let (instance, done) = (scratch.instance, scratch.is_done());
        let scratch = audit.scratch.insert(scratch);
        advanced.map_err(failed)?;
        if !done {
            return Ok(None);
        }
        if self.config.planted == Some(PlantedBug::SnapshotsUnchecked) {
            return Ok(Some(audit.state.clone()));
        }
        let place = self.instances.get_mut(instance).ok_or(ReplayError::InstanceGone);
        let place = place.map_err(failed)?;
        let guest_failed = |fault| Ended::Failed(ReplayError::Guest(fault));
        let replayed = ports
            .guests
            .snapshot(place, &mut scratch.entity, &audit.address)
            .map_err(guest_failed)?;
        // What can't be restored to the same state is no snapshot either.
        let restored = ports.guests.restore(place, &audit.address, &audit.state);
        let mut restored = restored.map_err(guest_failed)?.map_err(|why| {
            let why = format!("the code can't restore its own snapshot: {why}");
            Ended::Failed(ReplayError::Unreadable(why))
        })?;
        let again = ports.guests.snapshot(place, &mut restored, &audit.address);
        if again.map_err(guest_failed)? != audit.state {
            let why = "a snapshot that is restored gives another".to_owned();
            return Err(Ended::Failed(ReplayError::Unreadable(why)));
        }
        Ok(Some(replayed))
    }

    fn end_scratch(&mut self, audit: &mut Audit<G::Entity>) {
        if let Some(scratch) = audit.scratch.take() {
            self.instances.discard(scratch.instance);
        }
    }

    fn store_snapshot(&mut self, audit: Audit<G::Entity>, step: &mut Step<'_>) {
        // The life may have ended in a batch that the store doesn't show yet.
        let ended = self.entities.find(&audit.address).and_then(|slot| self.entities.get(slot));
        if ended.is_some_and(|entity| entity.life_begins_after >= audit.sequence) {
            if let Some(ticket) = audit.ticket {
                let why = "the entity's life ended meanwhile".to_owned();
                step.answer(ticket, Answer::SnapshotRefused(why));
            }
            return;
        }
        let retention = self
            .types
            .get(&audit.address.entity_type)
            .and_then(|kind| kind.deployment.manifest.retention.events_behind_snapshot);
        let bytes = audit.state.len() + audit.address.id.as_str().len();
        let slot = self.entities.find_or_add(&audit.address);
        let Some(entity) = self.entities.get_mut(slot) else { return };
        entity.touched = self.batches.open_number();
        // A replay that is on its way from further back still needs the events;
        // the next snapshot drops them.
        let needed = matches!(entity.phase, Phase::Replaying(_));
        let drop_events_through = retention
            .filter(|_| !needed)
            .map(|kept| SequenceNumber(audit.sequence.get().saturating_sub(kept)))
            .filter(|through| through.get() > 0);
        let item = SnapshotItem {
            address: audit.address,
            version: audit.version,
            sequence: audit.sequence,
            state: audit.state,
            drop_events_through,
        };
        self.batches.push(Item::Snapshot(item), bytes);
        self.counters.snapshots += 1;
        if let Some(ticket) = audit.ticket {
            let batch = self.batches.open_number();
            self.answer_when(batch, ticket, Answer::SnapshotStored(audit.sequence), step);
        }
    }

    /// The journal is the truth: the live entity is rebuilt from it, and no
    /// snapshots are made by this version of the code any more.
    fn audit_failed<S: StoreReader>(
        &mut self,
        audit: &Audit<G::Entity>,
        why: &str,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        self.counters.audits_failed += 1;
        tracing::error!(
            entity = %audit.address,
            version = %audit.version,
            sequence = %audit.sequence,
            %why,
            "replay is not exact: snapshots of this version are off. The fold must depend on \
             the events alone, and a snapshot on nothing but the state: look for state changed \
             without an event, and for HashMaps, whose order differs from one time to the next"
        );
        if let Some(kind) = self.types.get_mut(&audit.address.entity_type) {
            kind.snapshots_off = true;
        }
        if let Some(slot) = self.entities.find(&audit.address) {
            self.let_go(slot, ports);
            self.wake(slot);
        }
        if let Some(ticket) = audit.ticket {
            let why = format!("the state can't be replayed exactly: {why}");
            step.answer(ticket, Answer::SnapshotRefused(why));
        }
    }

    /// Drops the audit without a verdict if it is of this type.
    pub(super) fn abandon_audit_of(
        &mut self,
        entity_type: &EntityType,
        why: &'static str,
        step: &mut Step<'_>,
    ) {
        if self.audit.as_ref().is_some_and(|audit| audit.address.entity_type == *entity_type) {
            self.abandon_audit(why, step);
        }
    }

    /// Whether somebody waits for the audit, and it for the store.
    pub(super) fn audit_is_awaited(&self) -> bool {
        self.audit
            .as_ref()
            .is_some_and(|audit| audit.ticket.is_some() && !self.batches.is_applied(audit.needs))
    }

    /// Drops the audit without a verdict.
    pub(super) fn abandon_audit(&mut self, why: &'static str, step: &mut Step<'_>) {
        if let Some(mut audit) = self.audit.take() {
            self.end_scratch(&mut audit);
            if let Some(ticket) = audit.ticket {
                step.answer(ticket, Answer::SnapshotRefused(why.into()));
            }
        }
    }
}

enum Ended {
    /// There is nothing to decide any more.
    Moot(&'static str),
    /// The events could not be folded again.
    Failed(ReplayError),
}

/// Whether a replay's failure speaks against the code (`Ok`) or against the host
/// (`Err`), in a sentence.
fn verdict(error: ReplayError) -> Result<String, String> {
    match error {
        ReplayError::Guest(GuestFault::Host(why)) => Err(why),
        ReplayError::Guest(fault) => Ok(format!("folding the events again failed: {fault}")),
        ReplayError::Unreadable(why) => Ok(why),
        ReplayError::Store(fault) => Err(fault.to_string()),
        ReplayError::InstanceGone => Err("the scratch instance is gone".into()),
    }
}
