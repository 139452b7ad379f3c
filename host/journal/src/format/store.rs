//! The rows of a partition's store.

use serde::{Deserialize, Serialize};

use super::{Bytes, Wide};

/// The one row about the store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRow {
    pub(crate) node: Wide,
    pub(crate) partition: u16,
    pub(crate) partitions: u16,
    /// The last entry that is applied.
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) next_ordinal: u64,
    pub(crate) next_purge: u64,
}

/// Who holds the partition, by the last applied entry that says so.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MembersRow<'a> {
    pub(crate) term: u64,
    pub(crate) index: u64,
    /// As consensus wrote it.
    #[serde(borrow)]
    pub(crate) members: Bytes<'a>,
}

/// An entity. It isn't written again for a plain outcome: its last number is that
/// of its last stored event, or `last_sequence` if that is higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntityRow {
    pub(crate) ordinal: u64,
    pub(crate) last_sequence: u64,
    pub(crate) life_begins_after: u64,
    pub(crate) first_stored: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventRow<'a> {
    pub(crate) at: u64,
    pub(crate) version: u32,
    pub(crate) name: &'a str,
    #[serde(borrow)]
    pub(crate) body: Bytes<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotRow<'a> {
    pub(crate) at: u64,
    pub(crate) version: u32,
    #[serde(borrow)]
    pub(crate) state: Bytes<'a>,
}

/// A reply that is kept for retries.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReplyRow<'a> {
    /// The entity; a minted id is looked up without it.
    pub(crate) ordinal: u64,
    pub(crate) digest: Wide,
    pub(crate) sequence: u64,
    pub(crate) expires: u64,
    #[serde(borrow)]
    pub(crate) reply: Bytes<'a>,
}

/// Events that are dropped and still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PurgeRow {
    pub(crate) ordinal: u64,
    pub(crate) from: u64,
    pub(crate) through: u64,
}

/// The checksums of a store's blocks, a file of its own beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SumsRow<'a> {
    /// redb's commit slots when the sums were those of the file.
    #[serde(borrow)]
    pub(crate) slots: Bytes<'a>,
    /// Four bytes a block, the least significant first; zero if not known.
    #[serde(borrow)]
    pub(crate) sums: Bytes<'a>,
}
