//! How wasmtime is set up, and the thread that makes deadlines pass.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stead_model::GuestLimits;
use wasmtime::{Config, Engine, EngineWeak, OptLevel, RegallocAlgorithm, Strategy};

/// The stack that host functions need beyond the guest's own. One that runs
/// out of stack takes the process with it, so this is generous.
pub const HOST_STACK_BYTES: usize = 2 << 20;

/// The stack that a thread must have to call guests under these limits: the
/// guest's part, and [`HOST_STACK_BYTES`].
#[must_use]
pub const fn worker_stack_bytes(limits: &GuestLimits) -> usize {
    limits.stack_bytes_max + HOST_STACK_BYTES
}

/// How often deadlines are looked at. A call is interrupted at most two of
/// these late, and never early.
const TICK_MS: u64 = 10;

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

/// Advances an engine's epoch until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    /// Dropping it ends the thread.
    _stop: mpsc::Sender<()>,
}

impl Ticker {
    /// Starts the thread.
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let tick = move || {
            while stopped.recv_timeout(Duration::from_millis(TICK_MS))
                == Err(RecvTimeoutError::Timeout)
            {
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        };
        std::thread::Builder::new().name("guest-deadlines".into()).spawn(tick)?;
        Ok(Self { _stop: stop })
    }
}

/// How many ticks make a deadline: as many as fit, and one for the tick that
/// is under way.
pub(crate) fn ticks(deadline_ms: u64) -> u64 {
    deadline_ms.div_ceil(TICK_MS).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        for deadline_ms in [0, 1, 9, 10, 11, 1_000] {
            // The tick under way may end at once.
            assert!((ticks(deadline_ms) - 1) * TICK_MS >= deadline_ms);
        }
    }

    #[test]
    fn the_ticker_ends_with_its_owner() {
        let engine = Tuning::of(&GuestLimits::default()).engine().expect("an engine");
        let ticker = Ticker::start(engine.weak()).expect("a thread");
        drop(ticker);
    }
}
