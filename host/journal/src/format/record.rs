//! A record of the log. Its key is its number in the node's log.

use serde::{Deserialize, Serialize};
use stead_model::{Entry, LogIndex, LogPosition, PartitionId, Term};

use super::{
    Bytes, Flaw, Kind,
    entry::{EntryRecord, entry_of, entry_record},
    reseal, seal, unseal,
};

/// What one record of the log says, as it is on disk. Only ever add kinds at the
/// end.
#[derive(Debug, Serialize, Deserialize)]
enum Stored<'a> {
    #[serde(borrow)]
    Entry(EntryRecord<'a>),
    /// Partition, and term and index of the last entry that stays.
    Truncation(u16, u64, u64),
    /// Partition, and what consensus wrote.
    Vote(u16, #[serde(borrow)] Bytes<'a>),
    /// Partitions, and how far each is committed.
    Commits(Vec<(u16, u64)>),
    /// Partition, and term and index of the entry that it goes on after.
    Begin(u16, u64, u64),
}

/// What one record of the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// An entry was appended.
    Entry(Entry),
    /// A partition's entries after this one are given up.
    Truncation(PartitionId, LogPosition),
    /// A partition's vote, in consensus's own encoding.
    Vote(PartitionId, Vec<u8>),
    /// How far partitions were known to be committed when it was written.
    Commits(Vec<(PartitionId, LogIndex)>),
    /// A partition goes on after an entry that came otherwise, in a store.
    Begin(PartitionId, LogPosition),
}

/// Encodes an entry, before it is known which number its record gets;
/// [`number`] does the rest. So with the others.
pub(crate) fn entry(entry: &Entry) -> Vec<u8> {
    seal_unnumbered(&Stored::Entry(entry_record(entry)))
}

/// Encodes a truncation.
pub(crate) fn truncation(partition: PartitionId, after: LogPosition) -> Vec<u8> {
    seal_unnumbered(&Stored::Truncation(partition.get(), after.term.get(), after.index.get()))
}

/// Encodes a vote.
pub(crate) fn vote(partition: PartitionId, vote: &[u8]) -> Vec<u8> {
    seal_unnumbered(&Stored::Vote(partition.get(), Bytes(vote)))
}

/// Encodes how far partitions are committed.
pub(crate) fn commits(commits: impl Iterator<Item = (PartitionId, LogIndex)>) -> Vec<u8> {
    let commits = commits.map(|(partition, index)| (partition.get(), index.get()));
    seal_unnumbered(&Stored::Commits(commits.collect()))
}

/// Encodes where a partition goes on.
pub(crate) fn begin(partition: PartitionId, after: LogPosition) -> Vec<u8> {
    seal_unnumbered(&Stored::Begin(partition.get(), after.term.get(), after.index.get()))
}

fn seal_unnumbered(record: &Stored<'_>) -> Vec<u8> {
    seal(Kind::LogRecord, &[], record)
}

/// Puts the number under the record's checksum.
pub(crate) fn number(record: &mut [u8], number: u64) {
    reseal(Kind::LogRecord, &number.to_le_bytes(), record);
}

/// Reads the record of a number.
pub(crate) fn decode(record: &[u8], number: u64) -> Result<Record, Flaw> {
    decode_under(record, &number.to_le_bytes())
}

/// Reads a record that has no number.
pub(crate) fn decode_unnumbered(record: &[u8]) -> Result<Record, Flaw> {
    decode_under(record, &[])
}

fn decode_under(record: &[u8], key: &[u8]) -> Result<Record, Flaw> {
    Ok(match unseal(Kind::LogRecord, key, record)? {
        Stored::Entry(entry) => Record::Entry(entry_of(entry)?),
        Stored::Truncation(partition, term, index) => {
            let after = LogPosition { term: Term(term), index: LogIndex(index) };
            Record::Truncation(PartitionId(partition), after)
        }
        Stored::Begin(partition, term, index) => {
            let after = LogPosition { term: Term(term), index: LogIndex(index) };
            Record::Begin(PartitionId(partition), after)
        }
        Stored::Vote(partition, vote) => Record::Vote(PartitionId(partition), vote.0.to_vec()),
        Stored::Commits(commits) => Record::Commits(
            commits.into_iter().map(|(p, index)| (PartitionId(p), LogIndex(index))).collect(),
        ),
    })
}
