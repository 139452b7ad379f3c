//! Bringing an entity's state back from the store: the newest snapshot that its
//! code can restore, and the events after it, a bounded number at a crossing.

use stead_model::{Address, SequenceNumber};

use super::instances::{InstanceId, Instances};
use crate::ports::{EntityRecord, GuestFault, Guests, StoreFault, StoreReader};

/// A replay on its way.
pub struct Replay<E> {
    /// Where the entity is being built.
    pub instance: InstanceId,
    /// Its handle there.
    pub entity: E,
    /// The next event to fold.
    next: SequenceNumber,
    /// The last event to fold.
    through: SequenceNumber,
    /// The snapshot that it began from, or the beginning of the life.
    pub began_after: SequenceNumber,
    /// Events folded so far.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it began, by the guests' clock.
    pub began_us: u64,
}

/// What is to be replayed.
pub struct Wanted<'a> {
    pub address: &'a Address,
    /// What the store knows of the entity.
    pub record: &'a EntityRecord,
    /// Snapshots after this number are not used.
    pub snapshot_at_most: SequenceNumber,
    /// The last event to fold.
    pub through: SequenceNumber,
}

/// Bounds of one crossing.
#[derive(Debug, Clone, Copy)]
pub struct Crossing {
    pub events_max: usize,
    pub bytes_max: usize,
}

/// Why a replay ended without the entity.
#[derive(Debug)]
pub enum ReplayError {
    /// The guest failed. Its instance has been discarded, unless it merely gave
    /// back too much.
    Guest(GuestFault),
    /// The code can't make sense of what is stored.
    Unreadable(String),
    /// The store can't be read.
    Store(StoreFault),
    /// The instance was discarded meanwhile: begin again.
    InstanceGone,
}

impl From<StoreFault> for ReplayError {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

/// Begins a replay in an instance. A snapshot that the code refuses, or traps
/// on, is passed over for an older one, and at last for the events alone; after
/// a trap the work goes on in a new instance, of the entity's own, and the trap is
/// put among the `faults`. If it comes to nothing, an instance that was the
/// entity's own is gone.
pub fn begin<G: Guests, S: StoreReader>(
    instances: &mut Instances<G>,
    guests: &mut G,
    store: &S,
    component: &G::Component,
    mut instance: InstanceId,
    wanted: &Wanted<'_>,
    faults: &mut Vec<GuestFault>,
) -> Result<Replay<G::Entity>, ReplayError> {
    let begun = begin_in(instances, guests, store, component, &mut instance, wanted, faults);
    if begun.is_err() {
        instances.discard_own(instance);
    }
    begun
}

fn begin_in<G: Guests, S: StoreReader>(
    instances: &mut Instances<G>,
    guests: &mut G,
    store: &S,
    component: &G::Component,
    instance: &mut InstanceId,
    wanted: &Wanted<'_>,
    faults: &mut Vec<GuestFault>,
) -> Result<Replay<G::Entity>, ReplayError> {
    let Wanted { address, record, through, .. } = *wanted;
    let began_us = guests.clock_us();
    let mut at_most = wanted.snapshot_at_most;
    let mut refusals = Vec::new();
    while at_most > record.life_begins_after {
        let Some(snapshot) = store.snapshot(address, at_most)? else { break };
        assert!(snapshot.sequence <= at_most, "the store gave a snapshot out of bounds");
        if snapshot.sequence <= record.life_begins_after {
            break;
        }
        at_most = SequenceNumber(snapshot.sequence.get() - 1);
        if snapshot.sequence < through && record.first_stored > snapshot.sequence.next() {
            refusals.push((snapshot.sequence, "the events after it are no longer stored".into()));
            continue;
        }
        let place = instances.get_mut(*instance).ok_or(ReplayError::InstanceGone)?;
        match guests.restore(place, address, &snapshot.state) {
            Ok(Ok(entity)) => {
                return Ok(Replay {
                    instance: *instance,
                    entity,
                    next: snapshot.sequence.next(),
                    through,
                    began_after: snapshot.sequence,
                    events: 0,
                    bytes: 0,
                    began_us,
                });
            }
            Ok(Err(reason)) => refusals.push((snapshot.sequence, reason)),
            Err(fault) => {
                refusals.push((snapshot.sequence, fault.to_string()));
                faults.push(fault);
                instances.discard(*instance);
                *instance =
                    instances.scratch(guests, component, address).map_err(ReplayError::Guest)?;
            }
        }
    }
    for (sequence, reason) in &refusals {
        tracing::warn!(entity = %address, %sequence, %reason, "a snapshot was passed over");
    }
    let next = record.life_begins_after.next();
    if record.first_stored > next && through >= next {
        let why = refusals.first().map_or("there is no snapshot", |(_, reason)| reason);
        return Err(ReplayError::Unreadable(format!(
            "no snapshot of it can be restored ({why}), and its events before {} are no longer \
             stored; deploy a version of the code that can restore the snapshot",
            record.first_stored
        )));
    }
    let place = instances.get_mut(*instance).ok_or(ReplayError::InstanceGone)?;
    match guests.create(place, address) {
        Ok(entity) => Ok(Replay {
            instance: *instance,
            entity,
            next,
            through,
            began_after: record.life_begins_after,
            events: 0,
            bytes: 0,
            began_us,
        }),
        Err(fault) => {
            instances.discard(*instance);
            Err(ReplayError::Guest(fault))
        }
    }
}

impl<E> Replay<E> {
    /// Whether all events are folded.
    pub fn is_done(&self) -> bool {
        self.next > self.through
    }

    /// Folds the next events, in one crossing.
    pub fn advance<G: Guests<Entity = E>, S: StoreReader>(
        &mut self,
        instances: &mut Instances<G>,
        guests: &mut G,
        store: &S,
        address: &Address,
        crossing: Crossing,
    ) -> Result<(), ReplayError> {
        if self.is_done() {
            return Ok(());
        }
        let place = instances.get_mut(self.instance).ok_or(ReplayError::InstanceGone)?;
        let events = store.events(
            address,
            self.next,
            self.through,
            crossing.events_max,
            crossing.bytes_max,
        )?;
        if events.is_empty() {
            return Err(ReplayError::Store(StoreFault(format!(
                "event {} of {address} is missing from the store",
                self.next
            ))));
        }
        match guests.apply(place, &mut self.entity, address, &events) {
            Ok(Ok(())) => {
                self.next = self.next.plus(events.len() as u64);
                self.events += events.len() as u64;
                self.bytes += events.iter().map(|event| event.size() as u64).sum::<u64>();
                Ok(())
            }
            Ok(Err(reason)) => Err(ReplayError::Unreadable(format!(
                "its code can't apply its events from {} on: {reason}",
                self.next
            ))),
            Err(fault) => {
                instances.discard(self.instance);
                Err(ReplayError::Guest(fault))
            }
        }
    }
}
