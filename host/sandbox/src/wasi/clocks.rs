//! Clocks that stand still during a call, and nothing to wait for.

use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::{
    DynPollable,
    bindings::clocks::{
        monotonic_clock,
        wall_clock::{self, Datetime},
    },
    bindings::sync::io::poll,
};

use crate::{fault::Refusal, state::GuestState};

/// What an author is told who wants the time while folding.
pub(crate) const TIME_INSTEAD: &str =
    "ask for the time in a command and record it in an event, so that replay sees the same";

/// The handle of a pollable that is ready. None needs more than a number.
const READY: u32 = 1;
/// The handle of a pollable that becomes ready only by waiting.
const WAITS: u32 = 0;

/// A pollable that is ready at once.
pub(super) fn ready() -> Resource<DynPollable> {
    Resource::new_own(READY)
}

fn waits(does: bool) -> Resource<DynPollable> {
    Resource::new_own(if does { WAITS } else { READY })
}

fn refuse_to_wait(state: &GuestState) -> wasmtime::Error {
    let phase = state.phase();
    Refusal::trap(format!(
        "it wanted to wait (sleep, or poll for what is not there) while {phase}; handlers never \
         wait: answer now, and let what is to happen later come back as a command"
    ))
}

impl wall_clock::Host for GuestState {
    fn now(&mut self) -> Result<Datetime> {
        self.may_ask("the time (wasi:clocks/wall-clock)", TIME_INSTEAD)?;
        let now_ms = self.now_ms();
        let nanoseconds = u32::try_from(now_ms % 1_000 * 1_000_000)?;
        Ok(Datetime { seconds: now_ms / 1_000, nanoseconds })
    }

    fn resolution(&mut self) -> Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for GuestState {
    fn now(&mut self) -> Result<u64> {
        self.may_ask("the time (wasi:clocks/monotonic-clock)", TIME_INSTEAD)?;
        Ok(self.monotonic_ns())
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(1_000_000)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.may_ask("a timer (wasi:clocks/monotonic-clock)", TIME_INSTEAD)?;
        let is_later = when > self.monotonic_ns();
        Ok(waits(is_later))
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        self.may_ask("a timer (wasi:clocks/monotonic-clock)", TIME_INSTEAD)?;
        Ok(waits(duration > 0))
    }
}

impl poll::Host for GuestState {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        let ready: Vec<u32> =
            (0..).zip(&pollables).filter(|(_, p)| p.rep() == READY).map(|(at, _)| at).collect();
        if ready.is_empty() { Err(refuse_to_wait(self)) } else { Ok(ready) }
    }
}

impl poll::HostPollable for GuestState {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        Ok(pollable.rep() == READY)
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        if pollable.rep() == READY { Ok(()) } else { Err(refuse_to_wait(self)) }
    }

    fn drop(&mut self, _: Resource<DynPollable>) -> Result<()> {
        Ok(())
    }
}
