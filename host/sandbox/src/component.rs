//! A component that is loaded: checked, compiled, and ready to be instantiated.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use stead_model::{ComponentHash, Description, EntityType};

use crate::{
    bindings::EntityTypePre,
    deadlines::{Call, Ticker},
    fault::SandboxFault,
    instance::Instance,
    state::{GuestState, Shared},
};

/// What instances need to run, and to be stopped.
pub(crate) struct Runtime {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) shared: Arc<Shared>,
    pub(crate) ticker: Ticker,
    pub(crate) places: Places,
}

/// How many instances there may be, and are.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    taken: AtomicUsize,
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, taken: AtomicUsize::new(0) }
    }
}

/// The place of one instance, and what it needs to run.
pub(crate) struct Place(Arc<Runtime>);

impl Place {
    /// Takes a place, if there is one.
    pub(crate) fn take(runtime: &Arc<Runtime>) -> Result<Self, SandboxFault> {
        let Places { max, taken } = &runtime.places;
        let free = |taken: usize| (taken < *max).then_some(taken + 1);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free) {
            Ok(_) => Ok(Self(Arc::clone(runtime))),
            Err(_) => Err(SandboxFault::Host(format!(
                "{max} component instances are live, which is all that may be at once"
            ))),
        }
    }
}

impl Place {
    /// A call of its instance begins, and lasts until what is returned is dropped.
    pub(crate) fn call(&self) -> Call<'_> {
        self.0.ticker.call()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A loaded component. Cheap to clone.
#[derive(Clone)]
pub struct LoadedComponent(Arc<Inner>);

struct Inner {
    hash: ComponentHash,
    description: Description,
    code: Code,
}

/// Compiled code that fits the contract, of which nothing else is known yet.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) pre: EntityTypePre<GuestState>,
    pub(crate) component_bytes: usize,
    pub(crate) machine_code_bytes: usize,
    /// See [`crate::wasi`] on hash maps.
    pub(crate) may_seed_while_folding: bool,
}

impl LoadedComponent {
    pub(crate) fn new(hash: ComponentHash, description: Description, code: Code) -> Self {
        Self(Arc::new(Inner { hash, description, code }))
    }

    /// The SHA-256 of its bytes.
    #[must_use]
    pub fn hash(&self) -> ComponentHash {
        self.0.hash
    }

    /// What it says that it offers; checked.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// How many bytes it was loaded from.
    #[must_use]
    pub fn component_bytes(&self) -> usize {
        self.0.code.component_bytes
    }

    /// How much memory its machine code and initial data take, shared by all instances.
    #[must_use]
    pub fn machine_code_bytes(&self) -> usize {
        self.0.code.machine_code_bytes
    }

    /// A new instance without entities, deployed as this type.
    ///
    /// # Errors
    /// If the component's start-up code faults, or the system can't give what
    /// an instance needs.
    pub fn instantiate(&self, entity_type: &EntityType) -> Result<Instance, SandboxFault> {
        Instance::new(self.clone(), entity_type)
    }

    pub(crate) fn code(&self) -> &Code {
        &self.0.code
    }
}

impl fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedComponent").field("hash", &self.0.hash).finish_non_exhaustive()
    }
}
