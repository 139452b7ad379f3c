//! A component that is loaded: checked, compiled, and ready to be instantiated.

use std::{fmt, sync::Arc};

use stead_model::{ComponentHash, Description, EntityType};

use crate::{
    bindings::EntityTypePre,
    engine::Ticker,
    fault::SandboxFault,
    instance::Instance,
    state::{GuestState, Shared},
};

/// What instances need to run, and to be stopped.
pub(crate) struct Runtime {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) shared: Arc<Shared>,
    pub(crate) _ticker: Ticker,
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
