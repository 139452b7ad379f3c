//! Which entities are where, which types are deployed, and how a command
//! reaches its partition. A single node is a cluster of one.
#![forbid(unsafe_code)]

pub mod api;
mod bridge;
mod calls;
mod catalog;
mod clock;
mod deployments;
mod guests;
mod history;
mod node;
mod partition;
mod status;
mod store;
mod together;
mod workers;

pub use node::{Node, NodeOptions, NodeThreads, OpenError};
pub use together::{Advertised, Cluster, ClusterOptions, ClusterThreads};
// What a node's options are made of, so that those above need not know the rooms below.
pub use stead_consensus::TransferLimits;
pub use stead_founding::{Seed, SeedError};
pub use stead_journal::{Disk, JournalOptions, RealDisk, RecoveryReport};
pub use stead_partition::{EngineConfig, PlantedBug};
pub use stead_placement::{Replicas, Settings as PlacementSettings};
pub use stead_sandbox::{Compiler, LoadLimits, SandboxOptions, compile_worker_main};
