//! Whole nodes on loopback: what is promised of calls, connections and events.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

mod calls;
mod handshake;
mod limits;
mod liveness;
mod random;
mod stopping;
mod support;
