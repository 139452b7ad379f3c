//! Entries on their way to another node: as the log has them, under a checksum.

use stead_model::Entry;

use crate::format::record::{self, Record};

/// An entry that came from elsewhere is not what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entry that was received can't be read: {0}")]
pub struct EntryError(String);

/// Encodes an entry for another node.
#[must_use]
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    record::entry(entry)
}

/// Reads an entry of another node.
///
/// # Errors
/// If it isn't what was sent, or not an entry.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, EntryError> {
    match record::decode_unnumbered(bytes) {
        Ok(Record::Entry(entry)) => Ok(entry),
        Ok(Record::Truncation(..) | Record::Vote(..) | Record::Commits(_) | Record::Begin(..)) => {
            Err(EntryError("it is another kind of record".into()))
        }
        Err(flaw) => Err(EntryError(flaw.to_string())),
    }
}
