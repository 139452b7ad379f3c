//! One component instance and the calls to the entities in it.

use stead_model::{EntityId, EntityType, Event, Outcome, Rejection};
use wasmtime::component::{ResourceAny, ResourceType};

use crate::{
    LoadedComponent,
    bindings::stead::entity::types::{EventParam, Request},
    cell::Cell,
    convert::{self, MESSAGE_BYTES_MAX, bounded},
    fault::SandboxFault,
    phase::Phase,
};

/// An entity in an instance: the handle of a resource. It means something only
/// to the instance that it came from.
#[derive(Debug, Clone, Copy)]
pub struct Entity(ResourceAny);

/// An instance of a component, with the entities that live in it. They share
/// its memory, and its fate: after any fault but [`SandboxFault::Refused`]
/// every later call fails at once and the instance is to be dropped.
#[derive(Debug)]
pub struct Instance {
    cell: Cell,
    component: LoadedComponent,
    /// The type of the handles of this instance, once there is one.
    handles: Option<ResourceType>,
}

impl Instance {
    pub(crate) fn new(
        component: LoadedComponent,
        entity_type: &EntityType,
    ) -> Result<Self, SandboxFault> {
        let cell = Cell::new(component.code(), entity_type)?;
        Ok(Self { cell, component, handles: None })
    }

    /// The component that it is an instance of.
    #[must_use]
    pub fn component(&self) -> &LoadedComponent {
        &self.component
    }

    /// An entity without events.
    ///
    /// # Errors
    /// If the constructor faults.
    pub fn create(&mut self, id: &EntityId) -> Result<Entity, SandboxFault> {
        let handle = self.cell.call(Phase::Construct, Some(id), |guest, store| {
            guest.entity().call_constructor(store, id.as_str())
        })?;
        Ok(self.adopt(handle))
    }

    /// An entity as it was when the snapshot was taken; the inner error is the
    /// component's own word that it can't read these bytes, and harmless.
    ///
    /// # Errors
    /// If `restore` faults.
    pub fn restore(
        &mut self,
        id: &EntityId,
        snapshot: &[u8],
    ) -> Result<Result<Entity, String>, SandboxFault> {
        let restored = self.cell.call(Phase::Restore, Some(id), |guest, store| {
            guest.entity().call_restore(store, id.as_str(), snapshot)
        })?;
        Ok(match restored {
            Ok(handle) => Ok(self.adopt(handle)),
            Err(reason) => Err(bounded(reason, MESSAGE_BYTES_MAX)),
        })
    }

    /// Folds recorded events. The inner error is the component's own word that
    /// it can't apply one of them; the entity is useless then, the instance is not.
    ///
    /// # Errors
    /// If `apply` faults.
    pub fn apply(
        &mut self,
        entity: &Entity,
        id: &EntityId,
        events: &[Event],
    ) -> Result<Result<(), String>, SandboxFault> {
        self.check(entity)?;
        let lowered: Vec<EventParam<'_>> = events
            .iter()
            .map(|event| EventParam { name: &event.name, body: &event.body })
            .collect();
        let applied = self.cell.call(Phase::Apply, Some(id), |guest, store| {
            guest.entity().call_apply(store, entity.0, &lowered)
        })?;
        Ok(applied.map_err(|reason| bounded(reason, MESSAGE_BYTES_MAX)))
    }

    /// Handles a command and folds its events.
    ///
    /// # Errors
    /// If `handle` faults, or gives back what it may not.
    pub fn handle(
        &mut self,
        entity: &Entity,
        id: &EntityId,
        command: &str,
        body: &[u8],
    ) -> Result<Result<Outcome, Rejection>, SandboxFault> {
        self.check(entity)?;
        let handled = self.cell.call(Phase::Handle, Some(id), |guest, store| {
            guest.entity().call_handle(store, entity.0, Request { name: command, body })
        })?;
        match handled {
            Ok(outcome) => {
                convert::outcome(outcome, self.cell.limits(), self.component.description()).map(Ok)
            }
            Err(rejection) => Ok(Err(convert::rejection(rejection))),
        }
    }

    /// Answers a query.
    ///
    /// # Errors
    /// If `query` faults, or answers with too much.
    pub fn query(
        &mut self,
        entity: &Entity,
        id: &EntityId,
        query: &str,
        body: &[u8],
    ) -> Result<Result<Vec<u8>, Rejection>, SandboxFault> {
        self.check(entity)?;
        let answered = self.cell.call(Phase::Query, Some(id), |guest, store| {
            guest.entity().call_query(store, entity.0, Request { name: query, body })
        })?;
        match answered {
            Ok(reply) => {
                convert::check_reply(&reply, self.cell.limits())?;
                Ok(Ok(reply))
            }
            Err(rejection) => Ok(Err(convert::rejection(rejection))),
        }
    }

    /// The entity's state.
    ///
    /// # Errors
    /// If `snapshot` faults, or gives too much.
    pub fn snapshot(&mut self, entity: &Entity, id: &EntityId) -> Result<Vec<u8>, SandboxFault> {
        self.check(entity)?;
        let state = self.cell.call(Phase::Snapshot, Some(id), |guest, store| {
            guest.entity().call_snapshot(store, entity.0)
        })?;
        convert::check_snapshot(&state, self.cell.limits())?;
        Ok(state)
    }

    /// Lets an entity go. Dropping an [`Entity`] without this keeps its memory
    /// until the instance goes.
    ///
    /// # Errors
    /// If the entity's destructor faults.
    pub fn release(&mut self, entity: Entity) -> Result<(), SandboxFault> {
        self.check(&entity)?;
        self.cell.call(Phase::Release, None, |_, store| entity.0.resource_drop(store))?;
        self.cell.entity_gone();
        Ok(())
    }

    /// The linear memory that the instance has, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.cell.memory_bytes()
    }

    /// How many entities live in it.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.cell.entities()
    }

    /// Whether it has faulted, and every call will fail.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.cell.is_broken()
    }

    fn adopt(&mut self, handle: ResourceAny) -> Entity {
        self.handles = Some(handle.ty());
        self.cell.entity_came();
        Entity(handle)
    }

    /// Handles of another instance would mean another entity here.
    fn check(&self, entity: &Entity) -> Result<(), SandboxFault> {
        if self.handles == Some(entity.0.ty()) {
            return Ok(());
        }
        Err(SandboxFault::Host("the entity is not of this instance".into()))
    }
}
