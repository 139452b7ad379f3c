//! Native guests: the model's entity, behind the engine's port.

use std::{collections::BTreeMap, sync::Arc};

use stead_model::{
    Address, Description, Event, Manifest, Operation, Outcome, Rejection, SnapshotPolicy,
    TypeVersion,
};
use stead_partition::{
    Deployment,
    ports::{GuestFault, Guests},
};

use crate::model::{COMMANDS, QUERY, State, TRAP, TYPE};

/// Runs the model's entity.
#[derive(Default)]
pub struct Natives;

/// An instance with its entities.
#[derive(Default)]
pub struct Instance {
    entities: BTreeMap<u32, State>,
    next: u32,
}

impl Instance {
    fn add(&mut self, state: State) -> u32 {
        self.next += 1;
        self.entities.insert(self.next, state);
        self.next
    }

    fn entity(&mut self, entity: u32) -> Result<&mut State, GuestFault> {
        let gone = || GuestFault::Trap("an entity was called that is not there".into());
        self.entities.get_mut(&entity).ok_or_else(gone)
    }
}

/// The type in service.
pub fn deployment() -> Deployment<()> {
    let operation = |name: &str| Operation {
        name: name.into(),
        summary: String::new(),
        request_type: String::new(),
        request_schema: None,
        reply_type: String::new(),
        reply_schema: None,
    };
    let entity_type: stead_model::EntityType = TYPE.parse().expect("a type's name");
    Deployment {
        entity_type: entity_type.clone(),
        version: TypeVersion(1),
        component: (),
        description: Arc::new(Description {
            commands: COMMANDS.map(operation).into(),
            queries: vec![operation(QUERY)],
            ..Description::default()
        }),
        manifest: Arc::new(Manifest {
            entity_type,
            isolation: stead_model::Isolation::default(),
            snapshot: SnapshotPolicy { every_events: 12, every_bytes: 0 },
            retention: stead_model::Retention { events_behind_snapshot: Some(4) },
            routes: Vec::new(),
        }),
    }
}

impl Guests for Natives {
    type Component = ();
    type Instance = Instance;
    type Entity = u32;

    fn instantiate(&mut self, (): &()) -> Result<Instance, GuestFault> {
        Ok(Instance::default())
    }

    fn create(&mut self, instance: &mut Instance, _: &Address) -> Result<u32, GuestFault> {
        Ok(instance.add(State::default()))
    }

    fn restore(
        &mut self,
        instance: &mut Instance,
        _: &Address,
        snapshot: &[u8],
    ) -> Result<Result<u32, String>, GuestFault> {
        let text = String::from_utf8_lossy(snapshot);
        let state = State::read(&text).ok_or_else(|| format!("a snapshot says {text:?}"));
        Ok(state.map(|state| instance.add(state)))
    }

    fn apply(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
        events: &[Event],
    ) -> Result<Result<(), String>, GuestFault> {
        let state = instance.entity(*entity)?;
        events.iter().for_each(|event| state.fold(event));
        Ok(Ok(()))
    }

    fn handle(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
        command: &str,
        body: &[u8],
    ) -> Result<Result<Outcome, Rejection>, GuestFault> {
        if command == TRAP {
            // With what it has done so far, as real code may.
            let _ = instance.entity(*entity)?.handle("many", "half done");
            return Err(GuestFault::Trap("it was asked to".into()));
        }
        Ok(instance.entity(*entity)?.handle(command, &String::from_utf8_lossy(body)))
    }

    fn query(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
        _: &str,
        _: &[u8],
    ) -> Result<Result<Vec<u8>, Rejection>, GuestFault> {
        Ok(Ok(instance.entity(*entity)?.shown().into_bytes()))
    }

    fn snapshot(
        &mut self,
        instance: &mut Instance,
        entity: &mut u32,
        _: &Address,
    ) -> Result<Vec<u8>, GuestFault> {
        Ok(instance.entity(*entity)?.shown().into_bytes())
    }

    fn release(&mut self, instance: &mut Instance, entity: u32) -> Result<(), GuestFault> {
        instance.entities.remove(&entity);
        Ok(())
    }

    fn memory_bytes(&self, instance: &Instance) -> usize {
        1_000 + instance.entities.len() * 100
    }
}
