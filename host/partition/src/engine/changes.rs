//! What changes under the entities: types, and the fate of batches.

use stead_model::EntityType;

use super::{
    Engine, Ports, Step,
    entities::{Phase, Slot},
    types::Type,
};
use crate::{
    config::PlantedBug,
    ports::{Guests, StoreReader},
    vocabulary::{Answer, AppendFailure, BatchNumber, Deployment},
};

impl<G: Guests> Engine<G> {
    /// A type is in service as this. If it is other code, the instances of the
    /// old are discarded at once: what their entities did is in batches, and each
    /// is rebuilt by the new code when it is next asked something.
    pub(super) fn deploy(&mut self, deployment: Deployment<G::Component>, step: &mut Step<'_>) {
        let entity_type = deployment.entity_type.clone();
        let before = self.types.get(&entity_type).map(|kind| &kind.deployment);
        let same_code = before.is_some_and(|before| {
            before.version == deployment.version
                && before.manifest.isolation == deployment.manifest.isolation
        });
        let known = self.types.remove(&entity_type).filter(|_| same_code);
        let (snapshots_off, without_snapshots) =
            known.map(|kind| (kind.snapshots_off, kind.without_snapshots)).unwrap_or_default();
        if !same_code {
            self.instances.discard_type(&entity_type);
            self.abandon_audit_of(&entity_type, "the type was deployed anew meanwhile", step);
        }
        let kind = Type { deployment, snapshots_off, without_snapshots };
        self.types.insert(entity_type.clone(), kind);
        self.reconsider(&entity_type);
    }

    /// A type is out of service; those who wait for its entities are told.
    pub(super) fn undeploy(&mut self, entity_type: &EntityType, step: &mut Step<'_>) {
        self.types.remove(entity_type);
        self.instances.discard_type(entity_type);
        self.abandon_audit_of(entity_type, "the type was undeployed meanwhile", step);
        self.reconsider(entity_type);
    }

    /// Tries what was unreadable again, and serves who waits.
    fn reconsider(&mut self, entity_type: &EntityType) {
        let of_type = self
            .entities
            .iter_mut()
            .filter(|(_, entity)| entity.address.entity_type == *entity_type);
        let mut slots: Vec<Slot> = Vec::new();
        for (slot, entity) in of_type {
            if let Phase::Unreadable(_) = entity.phase {
                entity.phase = Phase::Down;
            }
            if entity.waiting.is_some() && !matches!(entity.phase, Phase::Queued) {
                slots.push(slot);
            }
        }
        for slot in slots {
            self.wake(slot);
        }
    }

    /// Batches were not written. Whatever was built on them is dropped, and the
    /// answers that waited for them say so.
    pub(super) fn append_failed<S: StoreReader>(
        &mut self,
        from: BatchNumber,
        failure: &AppendFailure,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let (answers, before) = self.batches.fail(from);
        for (ticket, _) in answers {
            let answer = match failure {
                AppendFailure::Full(why) => Answer::DiskFull(why.clone()),
                AppendFailure::Lost(why) => Answer::OutcomeUnknown(why.clone()),
            };
            step.answer(ticket, answer);
        }
        if self.audit.as_ref().is_some_and(|audit| audit.needs >= from) {
            self.abandon_audit("the events that it covers were not written", step);
        }
        let touched = self.entities.iter_mut().filter(|(_, entity)| entity.touched >= from);
        let slots: Vec<_> = touched
            .map(|(slot, entity)| {
                entity.touched = before;
                slot
            })
            .collect();
        for slot in slots {
            if self.config.planted != Some(PlantedBug::ActivationsSurviveFailedAppends) {
                self.drop_activation(slot, ports);
            }
            self.wake(slot);
        }
        // What they waited to see applied may be among what was lost.
        self.queued.append(&mut self.awaiting_store);
        if let AppendFailure::Lost(why) = failure {
            self.lost = Some(why.clone());
            self.answer_all_waiting(why, step);
        }
    }

    fn drop_activation<S: StoreReader>(&mut self, slot: Slot, ports: &mut Ports<'_, G, S>) {
        let waits_for_store =
            self.entities.get(slot).is_some_and(|entity| matches!(entity.phase, Phase::Queued));
        // One that is queued holds no state, and stays in its queue.
        if !waits_for_store {
            self.let_go(slot, ports);
        }
    }

    fn answer_all_waiting(&mut self, why: &str, step: &mut Step<'_>) {
        for (_, entity) in self.entities.iter_mut() {
            while let Some(work) = entity.next_waiting() {
                self.waiting -= 1;
                step.answer(work.ticket, Answer::Unavailable(why.to_owned()));
            }
        }
        self.runnable.clear();
        for (_, entity) in self.entities.iter_mut() {
            entity.runnable = false;
        }
    }
}
