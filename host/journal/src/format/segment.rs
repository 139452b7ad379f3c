//! A segment of the log as bytes.
//!
//! ```text
//! header   magic "STEADLOG", length, sealed SegmentHeader; to the next sector
//! group    at a sector's begin: GroupHeader, records, trailer
//! group    ...
//! ```
//!
//! A group is what one sync made durable. Its header says in which segment and
//! where it stands, so that neither a leftover of another file nor a caller's
//! own bytes can be taken for one: the salt is drawn anew for each segment and
//! leaves the house nowhere else. Its trailer is its last bytes, so that a
//! write that was cut off is never whole by chance.

#![expect(clippy::indexing_slicing, reason = "constant ranges of arrays of constant size")]

use serde::{Deserialize, Serialize};
use stead_model::{LogIndex, PartitionId, Term};

use super::{Flaw, Kind, Wide, seal, unseal};

/// Groups begin at multiples of this: what a disk writes whole or not at all.
pub(crate) const SECTOR: u64 = 512;

const MAGIC: &[u8; 8] = b"STEADLOG";
/// The magic and the length of what follows.
pub(crate) const PRELUDE_BYTES: usize = 12;
/// The most bytes that a header may have: 4,096 partitions' heads and room.
pub(crate) const HEADER_BYTES_MAX: usize = 1 << 20;

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) cluster: u128,
    pub(crate) node: u128,
    /// Drawn for this segment.
    pub(crate) salt: u64,
    /// The number of its first record.
    pub(crate) first_record: u64,
    /// The last entry of each partition before this segment, of those that have one.
    pub(crate) heads: Vec<Head>,
}

/// The last entry of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) partition: PartitionId,
    pub(crate) term: Term,
    pub(crate) index: LogIndex,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeaderRecord {
    cluster: Wide,
    node: Wide,
    salt: u64,
    first_record: u64,
    heads: Vec<(u16, u64, u64)>,
}

/// The header's bytes, to the end of its last sector.
pub(crate) fn encode_header(header: &SegmentHeader) -> Vec<u8> {
    let record = HeaderRecord {
        cluster: header.cluster.into(),
        node: header.node.into(),
        salt: header.salt,
        first_record: header.first_record,
        heads: header.heads.iter().map(|h| (h.partition.0, h.term.0, h.index.0)).collect(),
    };
    let sealed = seal(Kind::SegmentHeader, MAGIC, &record);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(sealed.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&sealed);
    bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
    bytes
}

/// How many bytes follow the prelude.
pub(crate) fn header_length(prelude: &[u8; PRELUDE_BYTES]) -> Result<usize, Flaw> {
    if &prelude[..8] != MAGIC {
        return Err(Flaw::Encoding("it doesn't begin as a segment of the log does".into()));
    }
    let length = [prelude[8], prelude[9], prelude[10], prelude[11]];
    match u32::from_le_bytes(length) as usize {
        length if length <= HEADER_BYTES_MAX => Ok(length),
        length => Err(Flaw::Encoding(format!("its header claims {length} bytes"))),
    }
}

pub(crate) fn decode_header(sealed: &[u8]) -> Result<SegmentHeader, Flaw> {
    let record: HeaderRecord = unseal(Kind::SegmentHeader, MAGIC, sealed)?;
    let heads = record.heads.into_iter().map(|(partition, term, index)| Head {
        partition: PartitionId(partition),
        term: Term(term),
        index: LogIndex(index),
    });
    Ok(SegmentHeader {
        cluster: record.cluster.into(),
        node: record.node.into(),
        salt: record.salt,
        first_record: record.first_record,
        heads: heads.collect(),
    })
}

/// The bytes of a group's header.
pub(crate) const GROUP_HEADER_BYTES: usize = 48;
/// The bytes after its records.
pub(crate) const TRAILER_BYTES: usize = 4;
/// The bytes before each record: its length.
pub(crate) const RECORD_PREFIX_BYTES: usize = 4;
/// The first bytes of a group.
pub(crate) const GROUP_MAGIC_BYTES: [u8; 4] = *b"STGR";
const GROUP_MAGIC: u32 = u32::from_le_bytes(GROUP_MAGIC_BYTES);

/// What a group says of itself. One without records is a *mark*: written after
/// a sync has succeeded, it says that all records before it are durable, so
/// that damage to the last of them isn't taken for a write cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) salt: u64,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    /// The number of its first record; of the next one if it has none.
    pub(crate) first_record: u64,
    /// How many records it has.
    pub(crate) count: u32,
    /// The bytes of its records with their prefixes.
    pub(crate) length: u32,
}

impl GroupHeader {
    pub(crate) fn encode(&self) -> [u8; GROUP_HEADER_BYTES] {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&GROUP_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_record.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.length.to_le_bytes());
        bytes[40] = super::VERSION;
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header that stands at an offset of the segment of a salt;
    /// `None` if there is none, sound and of that place.
    pub(crate) fn decode(bytes: &[u8; GROUP_HEADER_BYTES], salt: u64, offset: u64) -> Option<Self> {
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | (u64::from(u32_at(at + 4)) << 32);
        let sound = u32_at(0) == GROUP_MAGIC
            && u32_at(4) == crc32c::crc32c(&bytes[8..])
            && u64_at(8) == salt
            && u64_at(16) == offset
            && bytes[40] == super::VERSION;
        sound.then(|| Self {
            salt,
            offset,
            first_record: u64_at(24),
            count: u32_at(32),
            length: u32_at(36),
        })
    }

    /// Its last bytes. Never zero, as the bytes of a new file are.
    pub(crate) fn trailer(&self) -> [u8; TRAILER_BYTES] {
        (crc32c::crc32c(&self.encode()) | 1).to_le_bytes()
    }

    /// Where the next group begins.
    pub(crate) fn end(&self) -> u64 {
        let bytes = (GROUP_HEADER_BYTES + TRAILER_BYTES) as u64 + u64::from(self.length);
        (self.offset.saturating_add(bytes)).next_multiple_of(SECTOR)
    }
}
