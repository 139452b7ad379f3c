//! A store with one instance in it, and the one way to call into it: with
//! limits set before, and whatever went wrong read off afterwards.

use std::{fmt, sync::Arc};

use stead_model::{EntityId, EntityType, GuestLimits};
use wasmtime::Store;

use crate::{
    bindings::exports::stead::entity::guest::Guest,
    component::{Code, Place},
    deadlines::ticks,
    fault::SandboxFault,
    phase::Phase,
    state::{GuestState, handover_bytes_max},
};

/// The handles that a guest may have beyond one for each entity: of streams,
/// and for the length of a call.
const SPARE_HANDLES: usize = 1_024;

/// A store and its instance.
pub(crate) struct Cell {
    store: Store<GuestState>,
    guest: Guest,
    entities: usize,
    /// What went wrong, after which nothing is called any more.
    broken: Option<String>,
    /// Has deadlines pass, too. The store is gone before it is free.
    place: Place,
}

impl Cell {
    /// Makes an instance.
    pub(crate) fn new(code: &Code, entity_type: &EntityType) -> Result<Self, SandboxFault> {
        let runtime = &code.runtime;
        let place = Place::take(runtime)?;
        let shared = Arc::clone(&runtime.shared);
        let handover_bytes_max = handover_bytes_max(&shared.limits);
        let state = GuestState::new(shared, entity_type.clone(), code.may_seed_while_folding);
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(handover_bytes_max);
        let calling = place.call();
        begin(&mut store, Phase::Start, None, 0);
        let instantiated = code.pre.instantiate(&mut store);
        store.data_mut().end();
        drop(calling);
        match instantiated {
            Ok(world) => {
                let guest = world.stead_entity_guest().clone();
                Ok(Self { store, guest, entities: 0, broken: None, place })
            }
            Err(error) => Err(fault_of_start(&error, store.data())),
        }
    }

    /// Calls the guest under the limits of the phase.
    pub(crate) fn call<R>(
        &mut self,
        phase: Phase,
        entity: Option<&EntityId>,
        call: impl FnOnce(&Guest, &mut Store<GuestState>) -> wasmtime::Result<R>,
    ) -> Result<R, SandboxFault> {
        if let Some(fault) = &self.broken {
            return Err(SandboxFault::Host(format!(
                "the instance is out of use since an earlier fault ({fault})"
            )));
        }
        let _calling = self.place.call();
        begin(&mut self.store, phase, entity, self.entities);
        let result = call(&self.guest, &mut self.store);
        self.store.data_mut().end();
        result.map_err(|error| {
            let fault = SandboxFault::of(&error, self.store.data());
            self.broken = Some(fault.to_string());
            fault
        })
    }

    pub(crate) fn limits(&self) -> &GuestLimits {
        self.store.data().limits()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn entities(&self) -> usize {
        self.entities
    }

    pub(crate) fn entity_came(&mut self) {
        self.entities += 1;
    }

    pub(crate) fn entity_gone(&mut self) {
        self.entities = self.entities.saturating_sub(1);
    }
}

fn begin(store: &mut Store<GuestState>, phase: Phase, entity: Option<&EntityId>, entities: usize) {
    store.data_mut().begin(phase, entity);
    let deadline_ms = store.data().deadline_ms();
    store.set_epoch_deadline(ticks(deadline_ms));
    store.set_max_component_handles(entities.saturating_add(SPARE_HANDLES));
}

/// An instance that can't be made for want of the system's means is the
/// host's matter; one whose own code fails is the guest's.
fn fault_of_start(error: &wasmtime::Error, state: &GuestState) -> SandboxFault {
    match error.downcast_ref::<std::io::Error>() {
        Some(_) => SandboxFault::Host(format!("an instance could not be made: {error:#}")),
        None => SandboxFault::of(error, state),
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell")
            .field("entities", &self.entities)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
