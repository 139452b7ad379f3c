//! The imports of the contract: what a handler may ask of the host.

use wasmtime::Result;

use crate::{
    bindings::stead::entity::{
        host::{self, Level},
        types,
    },
    state::GuestState,
    wasi::{RANDOM_BYTES_MAX, RANDOM_INSTEAD, TIME_INSTEAD},
};

impl types::Host for GuestState {}

impl host::Host for GuestState {
    fn now(&mut self) -> Result<u64> {
        self.may_ask("the time (stead:entity/host.now)", TIME_INSTEAD)?;
        Ok(self.now_ms())
    }

    fn random(&mut self, length: u32) -> Result<Vec<u8>> {
        self.may_ask("randomness (stead:entity/host.random)", RANDOM_INSTEAD)?;
        GuestState::random(self, length.into(), RANDOM_BYTES_MAX)
    }

    fn entity_type(&mut self) -> Result<String> {
        self.may_ask(
            "its type's name (stead:entity/host.entity-type)",
            "the name may differ where the events are replayed: ask in a command and record it if \
             state depends on it",
        )?;
        Ok(GuestState::entity_type(self).as_str().to_owned())
    }

    fn log(&mut self, level: Level, message: String) -> Result<()> {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        };
        GuestState::log(self, level, &message);
        Ok(())
    }
}
