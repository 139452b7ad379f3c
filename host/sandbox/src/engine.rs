//! How wasmtime is set up.

use serde::{Deserialize, Serialize};
use stead_model::GuestLimits;
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm, Strategy};

/// The stack that host functions need beyond the guest's own. One that runs
/// out of stack takes the process with it, so this is generous.
pub const HOST_STACK_BYTES: usize = 2 << 20;

/// The stack that a thread must have to call guests under these limits: the
/// guest's part, and [`HOST_STACK_BYTES`].
#[must_use]
pub const fn worker_stack_bytes(limits: &GuestLimits) -> usize {
    limits.stack_bytes_max + HOST_STACK_BYTES
}

/// What of the engine's set-up shows in compiled code. A process that compiles
/// for another is told this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tuning {
    /// The address space that is set aside for each memory. At 4 GiB and with
    /// guard pages the code needs no bounds checks and a memory never moves.
    /// Setting aside less was measured (`examples/guest_cost.rs`) and saved
    /// nothing: an instance is as quick to make and as small without it, and
    /// address space for 32,000 is there, twice what the system's limit on
    /// mappings allows.
    pub(crate) memory_reservation_bytes: u64,
    /// The guest's stack.
    pub(crate) stack_bytes_max: usize,
}

impl Tuning {
    pub(crate) fn of(limits: &GuestLimits) -> Self {
        Self { memory_reservation_bytes: 4 << 30, stack_bytes_max: limits.stack_bytes_max }
    }

    /// An engine of this set-up.
    pub(crate) fn engine(&self) -> wasmtime::Result<Engine> {
        let mut config = Config::new();
        config
            .strategy(Strategy::Cranelift)
            .cranelift_opt_level(OptLevel::Speed)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
            .wasm_component_model(true)
            .concurrency_support(false)
            .epoch_interruption(true)
            // Folding is the same on every node and at every time.
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true)
            // Memories of 64 bits are checked more slowly and reserved differently.
            .wasm_memory64(false)
            .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16))
            .max_wasm_stack(self.stack_bytes_max)
            .async_stack_size(self.stack_bytes_max + HOST_STACK_BYTES)
            .memory_reservation(self.memory_reservation_bytes);
        Engine::new(&config)
    }
}
