//! The engine of one partition: commands in, effects out.
#![forbid(unsafe_code)]

pub mod ports;
