//! A request's way through the engine: admitted, perhaps waiting for its entity,
//! handled, recorded, answered.

use stead_model::{
    Address, Item, Lifecycle, Outcome, OutcomeItem, RequestDigest, RequestId, SequenceNumber,
    TypeVersion,
};

use super::{
    Engine, Ports, SERVED_PER_TURN, Step,
    entities::{Phase, Slot},
    work::{Work, WorkKind},
};
use crate::{
    config::PlantedBug,
    ports::{Guests, StoreReader},
    vocabulary::{Answer, Effect, ReplyOrigin, Ticket},
};

/// What came of an attempt to serve a request.
enum Served {
    /// It is answered, or will be when its batch is committed.
    Done,
    /// Not now.
    NotYet(Work),
}

impl<G: Guests> Engine<G> {
    /// Takes a request in, and serves it at once if it can be.
    pub(super) fn admit<S: StoreReader>(
        &mut self,
        address: &Address,
        work: Work,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        if let Some(refusal) = self.refusal(address, &work) {
            step.answer(work.ticket, refusal);
            return;
        }
        let slot = self.entities.find_or_add(address);
        let Some(entity) = self.entities.get_mut(slot) else { return };
        entity.used = step.now;
        entity.recently_used = true;
        if entity.waiting_len() >= self.config.entity_waiting_max {
            step.answer(work.ticket, Answer::MailboxFull);
            return;
        }
        if entity.waiting.is_some() {
            entity.wait(work);
            self.waiting += 1;
            return;
        }
        match self.serve(slot, work, ports, step) {
            Served::Done => {}
            Served::NotYet(work) => {
                if let Some(entity) = self.entities.get_mut(slot) {
                    entity.wait(work);
                    self.waiting += 1;
                }
            }
        }
    }

    /// Why a request isn't taken at all.
    fn refusal(&self, address: &Address, work: &Work) -> Option<Answer> {
        if let Some(why) = &self.lost {
            return Some(Answer::Unavailable(why.clone()));
        }
        if self.draining {
            return Some(Answer::Unavailable("the node is stopping".into()));
        }
        let Some(kind) = self.types.get(&address.entity_type) else {
            return Some(Answer::UnknownType);
        };
        if let Some(unknown) = kind.unknown(&work.kind) {
            return Some(unknown);
        }
        (self.waiting >= self.config.waiting_max).then_some(Answer::MailboxFull)
    }

    /// Serves requests that waited, an entity at a time, until a bound.
    pub(super) fn serve_waiting<S: StoreReader>(
        &mut self,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let mut left = SERVED_PER_TURN;
        while left > 0
            && self.has_room()
            && let Some(slot) = self.runnable.pop_front()
        {
            if let Some(entity) = self.entities.get_mut(slot) {
                entity.runnable = false;
            }
            while let Some(work) = self.entities.get_mut(slot).and_then(|e| e.next_waiting()) {
                self.waiting -= 1;
                left = left.saturating_sub(1);
                if let Served::NotYet(work) = self.serve(slot, work, ports, step) {
                    if let Some(entity) = self.entities.get_mut(slot) {
                        entity.waiting.get_or_insert_default().push_front(work);
                        self.waiting += 1;
                    }
                    break;
                }
                if left == 0 {
                    self.wake(slot);
                    break;
                }
            }
        }
    }

    /// Puts an entity among those whose waiting requests can be served.
    pub(super) fn wake(&mut self, slot: Slot) {
        let Some(entity) = self.entities.get_mut(slot) else { return };
        if entity.waiting.is_some() && !entity.runnable {
            entity.runnable = true;
            self.runnable.push_back(slot);
        }
    }

    fn serve<S: StoreReader>(
        &mut self,
        slot: Slot,
        work: Work,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) -> Served {
        if step.now > work.deadline {
            step.answer(work.ticket, Answer::DeadlinePassed);
            return Served::Done;
        }
        let Some(kind) = self.entities.get(slot).map(|entity| {
            self.types.get(&entity.address.entity_type).map(|kind| kind.unknown(&work.kind))
        }) else {
            return Served::Done;
        };
        match kind {
            None => {
                step.answer(work.ticket, Answer::UnknownType);
                return Served::Done;
            }
            Some(Some(unknown)) => {
                step.answer(work.ticket, unknown);
                return Served::Done;
            }
            Some(None) => {}
        }
        self.drop_outdated(slot, ports, step);
        let Some(entity) = self.entities.get(slot) else { return Served::Done };
        match &entity.phase {
            Phase::Queued | Phase::Replaying(_) => return Served::NotYet(work),
            // A reply that is recorded can be given also when the entity is unreadable.
            Phase::Down | Phase::Empty | Phase::Live { .. } | Phase::Unreadable(_) => {}
        }
        if !self.has_room() {
            if let Some(entity) = self.entities.get_mut(slot)
                && !entity.runnable
            {
                entity.runnable = true;
                self.runnable.push_back(slot);
            }
            return Served::NotYet(work);
        }
        let Some(work) = self.answer_from_record(slot, work, ports, step) else {
            return Served::Done;
        };
        self.bring(slot, ports, step);
        match self.entities.get(slot).map(|entity| &entity.phase) {
            Some(Phase::Live { .. }) => {
                self.handle(slot, work, ports, step);
                Served::Done
            }
            Some(Phase::Unreadable(why)) => {
                step.answer(work.ticket, why.answer());
                Served::Done
            }
            _ => Served::NotYet(work),
        }
    }

    /// Answers a command whose request id has an outcome already; gives the work
    /// back if it has none. What the store doesn't show yet is in a batch that is
    /// not applied, and those are looked through first.
    fn answer_from_record<S: StoreReader>(
        &mut self,
        slot: Slot,
        work: Work,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) -> Option<Work> {
        let WorkKind::Command { name, body, request, fresh } = &work.kind else {
            return Some(work);
        };
        if *fresh || self.config.planted == Some(PlantedBug::RequestIdsIgnored) {
            return Some(work);
        }
        let address = self.entities.get(slot)?.address.clone();
        let digest = RequestDigest::of(name, body);
        if let Some(recent) = self.batches.recent(&address, request) {
            let (batch, answer) = (
                recent.batch,
                replayed(recent.digest == digest, recent.sequence, || recent.reply.clone()),
            );
            self.counters.replays_of_requests += 1;
            self.answer_when(batch, work.ticket, answer, step);
            return None;
        }
        match ports.store.reply(&address, request) {
            Ok(None) => Some(work),
            // A key may be used for something else when its time is over; a minted id is
            // nobody else's, and what time it is may be another leader's error.
            Ok(Some(record)) if record.expires <= step.now && !request.is_minted() => Some(work),
            Ok(Some(record)) => {
                self.counters.replays_of_requests += 1;
                let answer = replayed(record.digest == digest, record.sequence, || record.reply);
                step.answer(work.ticket, answer);
                None
            }
            Err(fault) => {
                step.answer(work.ticket, Answer::Unavailable(fault.to_string()));
                None
            }
        }
    }

    fn handle<S: StoreReader>(
        &mut self,
        slot: Slot,
        work: Work,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let ticket = work.ticket;
        let touched = self.entities.get(slot).map(|entity| entity.touched).unwrap_or_default();
        match work.kind {
            WorkKind::Query { name, body } => {
                self.counters.queries += 1;
                let answered = self.with_live(slot, |instance, entity, address| {
                    ports.guests.query(instance, entity, address, &name, &body)
                });
                match answered {
                    Some(Ok(Ok(reply))) => {
                        self.answer_when(touched, ticket, Answer::QueryReply(reply), step);
                    }
                    Some(Ok(Err(rejection))) => {
                        self.counters.rejections += 1;
                        self.answer_when(touched, ticket, Answer::Rejected(rejection), step);
                    }
                    Some(Err(fault)) => self.fault(slot, Some(ticket), fault, ports, step),
                    None => step.answer(ticket, gone()),
                }
            }
            WorkKind::Command { name, body, request, .. } => {
                self.counters.commands += 1;
                let handled = self.with_live(slot, |instance, entity, address| {
                    ports.guests.handle(instance, entity, address, &name, &body)
                });
                match handled {
                    Some(Ok(Ok(outcome))) => {
                        let digest = RequestDigest::of(&name, &body);
                        self.record(slot, ticket, request, digest, outcome, ports, step);
                    }
                    Some(Ok(Err(rejection))) => {
                        self.counters.rejections += 1;
                        self.answer_when(touched, ticket, Answer::Rejected(rejection), step);
                    }
                    Some(Err(fault)) => self.fault(slot, Some(ticket), fault, ports, step),
                    None => step.answer(ticket, gone()),
                }
            }
            WorkKind::Snapshot => self.take_snapshot(slot, Some(ticket), ports, step),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one outcome, used once")]
    fn record<S: StoreReader>(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        request: RequestId,
        digest: RequestDigest,
        outcome: Outcome,
        ports: &mut Ports<'_, G, S>,
        step: &mut Step<'_>,
    ) {
        let batch = self.batches.open_number();
        let Some(entity) = self.entities.get_mut(slot) else { return };
        let Outcome { events, reply, lifecycle, effects } = outcome;
        let nothing = events.is_empty() && effects.is_empty() && lifecycle == Lifecycle::Continues;
        let retention_ms = match request {
            RequestId::Caller(_) => self.config.requests.caller_key_retention_ms,
            RequestId::Minted(_) if nothing => {
                let (touched, sequence) = (entity.touched, entity.last_sequence);
                let origin = ReplyOrigin::Unrecorded;
                let answer = Answer::Reply { body: reply, sequence, origin };
                self.answer_when(touched, ticket, answer, step);
                return;
            }
            RequestId::Minted(_) => self.config.requests.minted_id_retention_ms,
        };
        let event_bytes: usize = events.iter().map(stead_model::Event::size).sum();
        let first_sequence = entity.last_sequence.next();
        let item = OutcomeItem {
            address: entity.address.clone(),
            version: entity.version,
            request,
            digest,
            expires: step.now.plus_ms(retention_ms),
            first_sequence,
            events,
            reply: reply.clone(),
            lifecycle,
            effects,
        };
        entity.last_sequence = item.last_sequence();
        entity.touched = batch;
        entity.bytes_since_snapshot = entity
            .bytes_since_snapshot
            .saturating_add(u32::try_from(event_bytes).unwrap_or(u32::MAX));
        let sequence = entity.last_sequence;
        self.counters.events += item.events.len() as u64;
        self.batches.remember(&item.address, &item.request, digest, &reply, sequence);
        let effect_bytes: usize =
            item.effects.iter().map(|effect| effect.kind.len() + effect.body.len()).sum();
        let bytes = event_bytes + effect_bytes + reply.len() + item.address.id.as_str().len() + 64;
        self.batches.push(Item::Outcome(item), bytes);
        let answer = Answer::Reply { body: reply, sequence, origin: ReplyOrigin::Recorded };
        self.answer_when(batch, ticket, answer, step);
        if lifecycle.ends() {
            self.end_life(slot, sequence, ports);
        } else if self.wants_snapshot(slot) {
            self.take_snapshot(slot, None, ports, step);
        }
    }

    /// The entity's life is over: the next command begins another.
    fn end_life<S: StoreReader>(
        &mut self,
        slot: Slot,
        last_sequence: SequenceNumber,
        ports: &mut Ports<'_, G, S>,
    ) {
        self.let_go(slot, ports);
        self.set_phase(slot, Phase::Empty);
        if let Some(entity) = self.entities.get_mut(slot) {
            entity.last_sequence = last_sequence;
            entity.life_begins_after = last_sequence;
            entity.snapshot_sequence = last_sequence;
            entity.bytes_since_snapshot = 0;
        }
    }

    /// Lets an activation go that is not of the type's present version, or whose
    /// instance is gone; and forgets why an entity was unreadable when it is time.
    fn drop_outdated<S: StoreReader>(
        &mut self,
        slot: Slot,
        ports: &mut Ports<'_, G, S>,
        step: &Step<'_>,
    ) {
        let Some(entity) = self.entities.get(slot) else { return };
        let outdated = match &entity.phase {
            Phase::Live { instance, .. } => {
                !self.instances.exists(*instance)
                    || self.version_of(entity.address.clone()) != Some(entity.version)
            }
            Phase::Unreadable(why) => step.now >= why.until,
            Phase::Down | Phase::Empty | Phase::Queued | Phase::Replaying(_) => false,
        };
        if outdated {
            self.let_go(slot, ports);
        }
    }

    fn version_of(&self, address: Address) -> Option<TypeVersion> {
        self.types.get(&address.entity_type).map(|kind| kind.deployment.version)
    }

    /// Asks for the store to show what is committed.
    pub(super) fn apply_soon(step: &mut Step<'_>) {
        if !matches!(step.effects.last(), Some(Effect::ApplySoon)) {
            step.effects.push(Effect::ApplySoon);
        }
    }
}

fn replayed(same: bool, sequence: SequenceNumber, reply: impl FnOnce() -> Vec<u8>) -> Answer {
    if !same {
        return Answer::KeyReused;
    }
    Answer::Reply { body: reply(), sequence, origin: ReplyOrigin::Replayed }
}

fn gone() -> Answer {
    Answer::Unavailable("the entity's instance was discarded; try again".into())
}
