//! Consensus on what a partition's log says: one group of replicas for each
//! partition, over the node's journal.
//!
//! The protocol is openraft's. What is ours is its storage, which is the journal
//! (one sync for all groups of the node), who is told of what, and when a group
//! elects: openraft's own clock is off. Failures are noticed once for all groups
//! that share a node, not by each of them.
#![forbid(unsafe_code)]

mod adopt;
mod blocking;
mod carrier;
mod consensus;
mod electing;
mod encoding;
mod error;
mod handover;
mod hub;
mod keeping;
mod leadership;
mod log;
mod machine;
mod member;
mod members;
mod network;
mod planted;
mod presence;
mod receiving;
mod recovering;
mod refusing;
mod runtime;
mod sending;
mod service;
mod starting;
mod told;
mod transfers;
mod types;
mod wire;

pub use carrier::{Carrier, CarrierError, Lane};
pub use consensus::{Consensus, Proposal, Simulated};
pub use error::{ConsensusError, MembersError, ProposalError};
pub use hub::ConsensusEvents;
pub use log::READ_BYTES;
pub use members::{GroupView, MembersChange};
pub use planted::PlantedBug;
pub use runtime::seed_chance;
pub use sending::{CHUNK_BYTES, RESUMES_FROM};
pub use starting::Formation;
pub use transfers::{Transfer, TransferLimits, TransferTotals};
pub use types::Batch;
