//! The engine's port to guests, with the sandbox behind it.

use std::{sync::LazyLock, time::Instant};

use stead_model::{Address, EntityType, Event, Outcome, Rejection};
use stead_partition::ports::{GuestFault, Guests};
use stead_sandbox::{Entity, Instance, LoadedComponent, SandboxFault};

/// A loaded component, and the type that it is deployed as.
#[derive(Debug, Clone)]
pub struct TypeCode {
    /// The code.
    pub component: LoadedComponent,
    /// The type.
    pub entity_type: EntityType,
}

/// Guests in the sandbox.
#[derive(Debug, Default)]
pub struct SandboxGuests;

fn fault(fault: SandboxFault) -> GuestFault {
    match fault {
        SandboxFault::Trap(why) => GuestFault::Trap(why),
        SandboxFault::Deadline(ms) => GuestFault::Deadline(ms),
        SandboxFault::Memory(why) => GuestFault::Memory(why),
        SandboxFault::Stack => GuestFault::Stack,
        SandboxFault::Refused(why) => GuestFault::Refused(why),
        SandboxFault::Host(why) => GuestFault::Host(why),
    }
}

impl Guests for SandboxGuests {
    type Component = TypeCode;
    type Instance = Instance;
    type Entity = Entity;

    fn instantiate(&mut self, code: &TypeCode) -> Result<Instance, GuestFault> {
        code.component.instantiate(&code.entity_type).map_err(fault)
    }

    fn create(&mut self, instance: &mut Instance, address: &Address) -> Result<Entity, GuestFault> {
        instance.create(&address.id).map_err(fault)
    }

    fn restore(
        &mut self,
        instance: &mut Instance,
        address: &Address,
        snapshot: &[u8],
    ) -> Result<Result<Entity, String>, GuestFault> {
        instance.restore(&address.id, snapshot).map_err(fault)
    }

    fn apply(
        &mut self,
        instance: &mut Instance,
        entity: &mut Entity,
        address: &Address,
        events: &[Event],
    ) -> Result<Result<(), String>, GuestFault> {
        instance.apply(entity, &address.id, events).map_err(fault)
    }

    fn handle(
        &mut self,
        instance: &mut Instance,
        entity: &mut Entity,
        address: &Address,
        command: &str,
        body: &[u8],
    ) -> Result<Result<Outcome, Rejection>, GuestFault> {
        instance.handle(entity, &address.id, command, body).map_err(fault)
    }

    fn query(
        &mut self,
        instance: &mut Instance,
        entity: &mut Entity,
        address: &Address,
        query: &str,
        body: &[u8],
    ) -> Result<Result<Vec<u8>, Rejection>, GuestFault> {
        instance.query(entity, &address.id, query, body).map_err(fault)
    }

    fn snapshot(
        &mut self,
        instance: &mut Instance,
        entity: &mut Entity,
        address: &Address,
    ) -> Result<Vec<u8>, GuestFault> {
        instance.snapshot(entity, &address.id).map_err(fault)
    }

    fn release(&mut self, instance: &mut Instance, entity: Entity) -> Result<(), GuestFault> {
        instance.release(entity).map_err(fault)
    }

    fn memory_bytes(&self, instance: &Instance) -> usize {
        instance.memory_bytes()
    }

    fn clock_us(&self) -> u64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
