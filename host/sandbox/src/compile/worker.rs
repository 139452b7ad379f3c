//! The child's side: limits itself, reads one component, writes one compilation.
//!
//! What goes over the pipes is between two copies of the same program and is
//! never stored, so it needs no version beyond a mark that both agree on.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use crate::engine::Tuning;

/// Begins a request, so that a stray program on the other end is noticed.
pub(super) const MARK: &[u8; 8] = b"stead-c1";
/// The most bytes in a request's head.
const HEAD_BYTES_MAX: u32 = 4 << 10;
/// How much less than others the child wants to run.
const NICENESS: i32 = 10;

/// What the child is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) tuning: Tuning,
    pub(super) memory_bytes_max: u64,
    pub(super) processor_seconds_max: u64,
    pub(super) component_bytes: u64,
    pub(super) artifact_bytes_max: u64,
}

/// What the child answers with, in its first byte; text or code follows.
pub(super) mod verdict {
    pub(in crate::compile) const COMPILED: u8 = 0;
    pub(in crate::compile) const INVALID: u8 = 1;
    pub(in crate::compile) const TOO_LARGE: u8 = 2;
    pub(in crate::compile) const FAILED: u8 = 3;
}

/// The whole of a process that compiles for another: reads a component from
/// `input`, and writes its compilation to `output`. It limits its own memory
/// and processor time first. The program's main function does nothing else.
pub fn compile_worker_main(mut input: impl Read, mut output: impl Write) -> ExitCode {
    let (verdict, answer) = match read_job(&mut input) {
        Ok((job, component)) => compile(&job, &component),
        Err(error) => (verdict::FAILED, error.to_string().into_bytes()),
    };
    let written = output
        .write_all(&[verdict])
        .and_then(|()| output.write_all(&(answer.len() as u64).to_le_bytes()))
        .and_then(|()| output.write_all(&answer))
        .and_then(|()| output.flush());
    // The parent may be gone; then there is nobody to tell.
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read_job(input: &mut impl Read) -> io::Result<(Job, Vec<u8>)> {
    let mut mark = [0; MARK.len()];
    input.read_exact(&mut mark)?;
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if &mark != MARK || length > HEAD_BYTES_MAX {
        return Err(io::Error::other(
            "this is the compiler's side of Stead, and not for use by hand",
        ));
    }
    let mut head = Vec::new();
    input.take(length.into()).read_to_end(&mut head)?;
    let job: Job = postcard::from_bytes(&head).map_err(io::Error::other)?;
    limit(&job)?;
    let mut component = Vec::new();
    input.take(job.component_bytes).read_to_end(&mut component)?;
    if component.len() as u64 != job.component_bytes {
        return Err(io::Error::other("the component was cut off on its way to the compiler"));
    }
    Ok((job, component))
}

fn limit(job: &Job) -> io::Result<()> {
    let at_most = |max| Rlimit { current: Some(max), maximum: Some(max) };
    // Memory that is written to, rather than address space: allocators set
    // aside much of the latter for each thread and may never use it.
    rustix::process::setrlimit(Resource::Data, at_most(job.memory_bytes_max))?;
    rustix::process::setrlimit(Resource::Cpu, at_most(job.processor_seconds_max))?;
    rustix::process::setrlimit(Resource::Core, at_most(0))?;
    // Best effort: being polite is no condition.
    let _ = rustix::process::nice(NICENESS);
    // A compiler without a node serves nobody.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

fn compile(job: &Job, component: &[u8]) -> (u8, Vec<u8>) {
    let engine = match job.tuning.engine() {
        Ok(engine) => engine,
        Err(error) => return (verdict::FAILED, format!("{error:#}").into_bytes()),
    };
    match engine.precompile_component(component) {
        Ok(code) if code.len() as u64 > job.artifact_bytes_max => {
            let text = format!(
                "its machine code has {} bytes, where {} may be",
                code.len(),
                job.artifact_bytes_max
            );
            (verdict::TOO_LARGE, text.into_bytes())
        }
        Ok(code) => (verdict::COMPILED, code),
        Err(error) => (verdict::INVALID, format!("{error:#}").into_bytes()),
    }
}
