//! The ingress and the admin API as clients see them: real sockets on loopback,
//! and a house made of closures behind them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in tests a panic is how a failure shows"
)]

mod admin;
mod arguments;
mod bodies;
mod connections;
mod deploys;
mod entities;
mod events;
mod failures;
mod hostile;
mod http2;
mod idle;
mod ids;
mod opening;
mod scarce;
mod shutdown;
mod support;
