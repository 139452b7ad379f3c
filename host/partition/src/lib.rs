//! The engine of one partition: commands in, effects out.
//!
//! An [`Engine`] decides everything about the entities of its partition: which
//! are in memory, what each command does, what is written to the log, and when
//! an answer may leave. It does none of it itself. Inputs and the time go in
//! ([`Engine::step`], [`Engine::turn`]), effects come out, and two [`ports`] are
//! called in between: guests to run, and the store to read.
//!
//! The idea in one paragraph. A command is handled on the newest state there is,
//! committed or not (*speculation*), and its outcome is put into the open
//! *batch*. At the end of a turn the batch is appended: one log entry. Answers
//! wait beside the batch that holds the state they speak of, and leave when it
//! is *committed*. The activation in memory is only ever a cache of the journal:
//! it can be dropped at any moment, after a trap, a failed append, a new version
//! of the code, and is rebuilt when the store has *applied* all batches that
//! touched the entity.

#![forbid(unsafe_code)]

mod config;
mod engine;
pub mod ports;
pub mod seat;
mod vocabulary;

pub use config::{EngineConfig, PlantedBug};
pub use engine::Engine;
pub use vocabulary::{
    Answer, AppendFailure, BatchNumber, Body, Command, Counters, Deployment, Effect, Incident,
    Input, Inspection, Query, ReplyOrigin, Ticket,
};
