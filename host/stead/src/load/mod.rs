//! The load generator: closed loops over raw HTTP/1.1 connections, cheap enough
//! to share a machine with what it measures, and two baselines to measure
//! against.
//!
//! Each client sends a request, waits for the answer, and sends the next. The
//! clients are spread over a few threads of one runtime each, so that nothing
//! is shared between threads but a counter.

mod bodies;
mod connection;
mod echo;
mod fsync;
mod histogram;
mod plan;
mod run;

pub use bodies::Template;
pub use echo::{EchoServer, serve_echo};
pub use fsync::{FsyncFigures, measure_fsync};
pub use histogram::Latencies;
pub use plan::{Operation, Plan, Target};
pub use run::{Figures, once_each, run};
