//! Loads, limits and calls guest components.
//!
//! A [`Sandbox`] turns a component's bytes into a [`LoadedComponent`]: it looks
//! at them, compiles them within bounds or finds the compilation in its cache,
//! and asks the component what it offers. A loaded component is instantiated;
//! an [`Instance`] holds many entities and is called synchronously. Every call
//! has a deadline, a memory limit, a stack limit, and limits on what it may hand
//! back; what goes wrong is a [`SandboxFault`] and never the host's end.
//!
//! The sandbox knows nothing of journals, partitions or clusters.
//!
//! Threads that call guests need a stack of [`worker_stack_bytes`].

#![deny(unsafe_code)]

mod artifact;
mod bindings;
mod cache;
mod cell;
mod compile;
mod component;
mod contract;
mod convert;
mod deadlines;
mod engine;
mod fault;
mod host;
mod inspect;
mod instance;
mod limiter;
mod lines;
mod load_error;
mod options;
mod phase;
mod sandbox;
mod state;
mod wasi;

pub use compile::{Compiler, compile_worker_main};
pub use component::LoadedComponent;
pub use engine::{HOST_STACK_BYTES, worker_stack_bytes};
pub use fault::SandboxFault;
pub use instance::{Entity, Instance};
pub use load_error::LoadError;
pub use options::{Clock, LoadLimits, Randomness, SandboxOptions};
pub use sandbox::{Sandbox, SandboxError};
