//! Several nodes that are one cluster: what survives when they are killed, stopped,
//! frozen, and lose their disks.
//!
//! `STEAD_CLUSTER_ROUNDS` sets how many faults are injected: one of each kind in
//! CI, more for a soak.

mod clients;
mod faults;
mod forming;
mod leaving;
