//! Compiling on a thread of this process.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use super::slot::Taken;
use crate::{engine::Tuning, load_error::LoadError, options::LoadLimits};

/// The stack of the compiling thread: validation and compilation recurse.
const STACK_BYTES: usize = 8 << 20;

pub(super) fn compile(
    component: Vec<u8>,
    tuning: &Tuning,
    limits: &LoadLimits,
    slot: Taken,
) -> Result<Vec<u8>, LoadError> {
    let engine = tuning.engine().map_err(|error| LoadError::Host(format!("{error:#}")))?;
    let (done, result) = mpsc::sync_channel(1);
    let work = move || {
        let compiled = engine.precompile_component(&component);
        // The place is free before the caller knows, so that it may go on at once.
        drop(slot);
        // Past the deadline nobody listens.
        let _ = done.send(compiled);
    };
    std::thread::Builder::new()
        .name("compile".into())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|error| LoadError::Host(format!("no thread to compile on: {error}")))?;
    let compiled = match result.recv_timeout(Duration::from_millis(limits.compile_ms_max)) {
        Ok(compiled) => compiled.map_err(|error| LoadError::Invalid(format!("{error:#}")))?,
        Err(RecvTimeoutError::Timeout) => {
            return Err(LoadError::CompileDeadline(limits.compile_ms_max));
        }
        Err(RecvTimeoutError::Disconnected) => {
            return Err(LoadError::Invalid("the compiler failed on it".into()));
        }
    };
    if compiled.len() > limits.artifact_bytes_max {
        return Err(LoadError::TooComplex(format!(
            "its machine code has {} bytes, where {} may be",
            compiled.len(),
            limits.artifact_bytes_max
        )));
    }
    Ok(compiled)
}
