//! Component instances: the shared one of each type, and those that an entity
//! has to itself.
//!
//! An instance is found by a number that is never used again. Discarding one is
//! thus a single removal: the entities in it notice, when next touched, that
//! their instance is gone.

use std::collections::BTreeMap;

use stead_model::{Address, EntityType, TimestampMs};

use crate::ports::{GuestFault, Guests};

/// An instance's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u64);

/// The most entities that are remembered as having trapped.
const QUARANTINED_MAX: usize = 1_024;

struct Instance<G: Guests> {
    guests: G::Instance,
    entity_type: EntityType,
    /// Whose own it is.
    owner: Option<Address>,
}

/// All instances of a partition.
pub struct Instances<G: Guests> {
    next: u64,
    instances: BTreeMap<InstanceId, Instance<G>>,
    shared: BTreeMap<EntityType, InstanceId>,
    /// Entities that trapped, and until when they are kept apart.
    quarantined: BTreeMap<Address, TimestampMs>,
}

impl<G: Guests> Default for Instances<G> {
    fn default() -> Self {
        Self {
            next: 0,
            instances: BTreeMap::new(),
            shared: BTreeMap::new(),
            quarantined: BTreeMap::new(),
        }
    }
}

impl<G: Guests> Instances<G> {
    /// The guests in an instance; `None` if it is gone.
    pub fn get_mut(&mut self, id: InstanceId) -> Option<&mut G::Instance> {
        self.instances.get_mut(&id).map(|instance| &mut instance.guests)
    }

    /// All of them, and whether each is an entity's own.
    #[cfg(test)]
    pub fn all(&self) -> impl Iterator<Item = (InstanceId, &G::Instance, bool)> {
        self.instances
            .iter()
            .map(|(id, instance)| (*id, &instance.guests, instance.owner.is_some()))
    }

    pub fn exists(&self, id: InstanceId) -> bool {
        self.instances.contains_key(&id)
    }

    /// The instance for an entity: its own if it is to be kept apart, else the
    /// type's shared one. Made if it isn't there.
    pub fn for_entity(
        &mut self,
        guests: &mut G,
        component: &G::Component,
        address: &Address,
        apart: bool,
    ) -> Result<InstanceId, GuestFault> {
        if apart {
            return self.make(guests, component, address, Some(address.clone()));
        }
        if let Some(&id) = self.shared.get(&address.entity_type)
            && self.exists(id)
        {
            return Ok(id);
        }
        let id = self.make(guests, component, address, None)?;
        self.shared.insert(address.entity_type.clone(), id);
        Ok(id)
    }

    /// An instance of its own for a scratch entity.
    pub fn scratch(
        &mut self,
        guests: &mut G,
        component: &G::Component,
        address: &Address,
    ) -> Result<InstanceId, GuestFault> {
        self.make(guests, component, address, Some(address.clone()))
    }

    fn make(
        &mut self,
        guests: &mut G,
        component: &G::Component,
        address: &Address,
        owner: Option<Address>,
    ) -> Result<InstanceId, GuestFault> {
        let instance = guests.instantiate(component)?;
        self.next += 1;
        let id = InstanceId(self.next);
        let entity_type = address.entity_type.clone();
        self.instances.insert(id, Instance { guests: instance, entity_type, owner });
        Ok(id)
    }

    /// Throws an instance away, with all that lives in it.
    pub fn discard(&mut self, id: InstanceId) {
        self.instances.remove(&id);
    }

    /// Throws an instance away if it is an entity's own: that entity has left it.
    pub fn discard_own(&mut self, id: InstanceId) {
        if self.instances.get(&id).is_some_and(|instance| instance.owner.is_some()) {
            self.discard(id);
        }
    }

    /// Throws all instances of a type away.
    pub fn discard_type(&mut self, entity_type: &EntityType) {
        self.instances.retain(|_, instance| instance.entity_type != *entity_type);
        self.shared.remove(entity_type);
    }

    /// Throws the shared instance with the most memory away.
    pub fn discard_largest_shared(&mut self, guests: &G) {
        let shared = self.instances.iter().filter(|(_, instance)| instance.owner.is_none());
        let largest = shared.max_by_key(|(_, instance)| guests.memory_bytes(&instance.guests));
        if let Some(id) = largest.map(|(&id, _)| id) {
            self.discard(id);
        }
    }

    /// Whether an instance is an entity's own.
    pub fn is_own(&self, id: InstanceId) -> bool {
        self.instances.get(&id).is_some_and(|instance| instance.owner.is_some())
    }

    /// The linear memory of one instance, in bytes.
    pub fn memory_bytes_of(&self, id: InstanceId, guests: &G) -> usize {
        self.instances.get(&id).map_or(0, |instance| guests.memory_bytes(&instance.guests))
    }

    /// The linear memory of the shared instances, in bytes.
    pub fn shared_memory_bytes(&self, guests: &G) -> usize {
        let shared = self.instances.values().filter(|instance| instance.owner.is_none());
        shared.map(|instance| guests.memory_bytes(&instance.guests)).sum()
    }

    /// The linear memory of all instances, in bytes.
    pub fn memory_bytes(&self, guests: &G) -> usize {
        self.instances.values().map(|instance| guests.memory_bytes(&instance.guests)).sum()
    }

    /// Keeps an entity apart from now on.
    pub fn quarantine(&mut self, address: &Address, until: TimestampMs) {
        if self.quarantined.len() >= QUARANTINED_MAX && !self.quarantined.contains_key(address) {
            let soonest = self.quarantined.iter().min_by_key(|(_, until)| **until);
            if let Some(soonest) = soonest.map(|(address, _)| address.clone()) {
                self.quarantined.remove(&soonest);
            }
        }
        self.quarantined.insert(address.clone(), until);
    }

    /// Whether an entity is to be kept apart.
    pub fn quarantined(&self, address: &Address, now: TimestampMs) -> bool {
        !self.quarantined.is_empty()
            && self.quarantined.get(address).is_some_and(|until| now < *until)
    }

    /// Forgets those that have been apart long enough.
    pub fn release_quarantined(&mut self, now: TimestampMs) {
        self.quarantined.retain(|_, until| now < *until);
    }
}
