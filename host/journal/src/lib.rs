//! The node's log and its partitions' stores.
//!
//! An [`Entry`](stead_model::Entry) is appended to the *log*, one stream for all
//! partitions of the node, so that one sync serves them all. When the sync has
//! returned, the entry is durable. Then it is applied to its partition's
//! *store*, a redb file that is made durable only from time to time: whatever it
//! lacks after a crash is in the log. The log is dropped behind what the stores
//! have made durable.

#![forbid(unsafe_code)]

mod alone;
pub mod disk;
mod error;
mod format;
mod journal;
mod log;
mod options;
mod space;
mod stepping;
mod store;
mod travel;

pub use alone::{Alone, AloneEvents};
pub use disk::{Disk, RealDisk};
pub use error::JournalError;
pub use journal::{Journal, JournalStatus, LogState, PartitionLog, RecoveryReport};
pub use log::Done;
pub use options::{Identity, JournalEvents, JournalOptions, PlantedBug};
pub use stepping::{Step, Stepper, Work};
pub use store::{
    EntityRecord, FAR_OFF_KEPT_MS, MINTED_KEPT, Received, Receiving, RecordedReply, SnapshotView,
    StoreExport, StoreReader, StoreRow, StoredEvent, StoredMembers,
};
pub use travel::{EntryError, decode_entry, encode_entry};
