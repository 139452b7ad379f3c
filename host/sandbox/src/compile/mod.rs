//! Compiling, bounded in time and memory.
//!
//! A compiler can't be interrupted: there is no point in it at which it looks
//! whether it should go on. What can be ended is a process. So a node compiles
//! in a child process that limits its own memory and processor time, runs at a
//! low priority, and is killed at the deadline. Within this process, which is
//! for tests and tools, compiling runs on a thread of its own; at the deadline
//! the caller is answered, and the thread goes on to its end, with nobody
//! else's component compiled until then.

mod child;
mod in_process;
mod slot;
mod worker;

use std::{fmt, process::Command, sync::Arc, time::Duration};

pub use worker::compile_worker_main;

use self::slot::Slot;
use crate::{engine::Tuning, load_error::LoadError, options::LoadLimits};

/// Where components are compiled.
#[derive(Clone, Default)]
pub enum Compiler {
    /// On a thread of this process. Its memory is not bounded and a compilation
    /// that is too slow goes on in vain; for tests and tools.
    #[default]
    InProcess,
    /// In a process that this starts, which must do nothing but call
    /// [`compile_worker_main`].
    Child(Arc<dyn Fn() -> Command + Send + Sync>),
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProcess => "InProcess",
            Self::Child(_) => "Child",
        })
    }
}

/// Compiles components, one at a time.
pub(crate) struct Compilers {
    compiler: Compiler,
    tuning: Tuning,
    limits: LoadLimits,
    slot: Arc<Slot>,
}

impl Compilers {
    pub(crate) fn new(compiler: Compiler, tuning: Tuning, limits: LoadLimits) -> Self {
        Self { compiler, tuning, limits, slot: Arc::default() }
    }

    /// Compiles; the result is code of this process's own making.
    pub(crate) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, LoadError> {
        let wait = Duration::from_millis(self.limits.compile_ms_max);
        let slot = self.slot.take(wait).ok_or(LoadError::CompileBusy)?;
        match &self.compiler {
            Compiler::InProcess => {
                in_process::compile(component.to_vec(), &self.tuning, &self.limits, slot)
            }
            Compiler::Child(command) => {
                child::compile(component, command(), &self.tuning, &self.limits)
            }
        }
    }
}
