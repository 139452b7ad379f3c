//! Several nodes that are one cluster: what survives when they are killed, stopped,
//! frozen, and lose their disks.
//!
//! `STEAD_CLUSTER_ROUNDS` sets how many faults are injected, and how many rolling
//! restarts there are: one of each kind, and one, in CI; more for a soak.

mod bootstrap;
mod clients;
mod copies;
mod faults;
mod forming;
mod full_disk;
mod leaving;
mod replaced;
mod scaling;
mod steady;
