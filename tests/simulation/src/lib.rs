//! Whole clusters in one thread, from a seed, with every fault we could think of.
//!
//! Each machine has a simulated disk, a clock that may be wrong, and a node: the
//! product's journal, consensus, engines and planner, driven on a runtime of the
//! node's own whose time the run moves on. What is simulated beside is what they
//! stand on: the network, gossip's word on who is there, and the guests, which are
//! native. The properties are checked after each millisecond; after the faults
//! have healed, everything must be well again.
//!
//! The same seed is to give the same run. That takes a seeded tokio, and so
//! `--cfg tokio_unstable`; without it this crate is empty.
#![forbid(unsafe_code)]
#![cfg(tokio_unstable)]

mod clients;
mod clock;
mod faults;
mod guests;
mod model;
mod nemesis;
mod network;
mod node;
mod observer;
mod placing;
mod planted;
mod presence;
mod properties;
mod random;
mod routing;
mod soak;
mod stepper;
mod talk;
mod trace;
mod world;

pub use faults::Fault;
pub use planted::Planted;
pub use soak::{Totals, hunt, soak};
pub use world::{Plan, Report, run};
