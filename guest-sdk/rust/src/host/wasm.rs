//! The contract's imports.

use crate::{Level, guest::bindings::stead::entity::host};

pub(crate) fn now_ms() -> u64 {
    host::now()
}

pub(crate) fn random(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len()).expect("memory here has 32-bit addresses");
    // The host gives as many as it was asked for, or traps.
    bytes.copy_from_slice(&host::random(length));
}

pub(crate) fn entity_type() -> String {
    host::entity_type()
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => host::Level::Trace,
        Level::Debug => host::Level::Debug,
        Level::Info => host::Level::Info,
        Level::Warn => host::Level::Warn,
        Level::Error => host::Level::Error,
    };
    host::log(level, message);
}
