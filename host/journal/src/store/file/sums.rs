//! A checksum of every block of a store's file.
//!
//! redb keeps checksums of its pages, but looks at them only when a whole file
//! is checked, not when a page is read: a flipped bit in a key or in a branch
//! would just hide rows. So the blocks that redb writes are summed here, and
//! checked whenever one is read from the file. The sums are kept beside the
//! file, together with redb's commit slots as they were then: as long as those
//! are the same, every block that redb may read is the one that was summed.
//! The first block, redb's header, has its own checks and is left out.

use std::{
    fmt, io,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::BLOCK;
use crate::format::{Kind, seal, store::SumsRow, unseal};

/// No sum is known; a sum that comes out as this is stored as 1.
const UNKNOWN: u32 = 0;

#[derive(Debug, Default)]
pub(crate) struct Sums {
    blocks: RwLock<Vec<u32>>,
    learning: AtomicBool,
}

/// A block isn't what was written.
#[derive(Debug)]
pub(crate) struct RottenBlock {
    pub(crate) offset: u64,
}

impl fmt::Display for RottenBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the block at byte {} is not what was written", self.offset)
    }
}

impl std::error::Error for RottenBlock {}

fn sum(block: &[u8]) -> u32 {
    crc32c::crc32c(block).max(1)
}

/// The number of the first whole block of bytes at an offset, and how many of
/// the bytes come before it.
fn first_whole(offset: u64) -> (usize, usize) {
    let number = offset.div_ceil(BLOCK as u64);
    ((number as usize), (number * BLOCK as u64 - offset) as usize)
}

impl Sums {
    /// Whether sums that are not known are taken from what is read.
    pub(crate) fn learn(&self, learning: bool) {
        self.learning.store(learning, Ordering::Release);
    }

    /// Bytes are about to be written.
    pub(crate) fn note(&self, offset: u64, data: &[u8]) {
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        let end = (offset + data.len() as u64).div_ceil(BLOCK as u64) as usize;
        if blocks.len() < end {
            blocks.resize(end, UNKNOWN);
        }
        let first = (offset / BLOCK as u64) as usize;
        let (first_whole, before) = first_whole(offset);
        for known in blocks.iter_mut().take(end).skip(first) {
            *known = UNKNOWN;
        }
        let whole = data.get(before..).unwrap_or_default().chunks_exact(BLOCK);
        for (known, block) in blocks.iter_mut().skip(first_whole.max(first)).zip(whole) {
            *known = sum(block);
        }
        if let Some(header) = blocks.first_mut() {
            *header = UNKNOWN;
        }
    }

    /// Checks what was read.
    pub(crate) fn check(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (first, before) = first_whole(offset);
        let whole = data.get(before..).unwrap_or_default();
        if whole.len() < BLOCK {
            return Ok(());
        }
        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        let mut unknown = false;
        for (number, block) in (first..).zip(whole.chunks_exact(BLOCK)) {
            match blocks.get(number).copied().unwrap_or(UNKNOWN) {
                UNKNOWN => unknown = true,
                known if known == sum(block) => {}
                _ => {
                    let rotten = RottenBlock { offset: (number * BLOCK) as u64 };
                    return Err(io::Error::new(io::ErrorKind::InvalidData, rotten));
                }
            }
        }
        drop(blocks);
        if unknown && self.learning.load(Ordering::Acquire) {
            self.note(offset, data);
        }
        Ok(())
    }

    /// The file was cut off.
    pub(crate) fn cut(&self, length: u64) {
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        blocks.truncate(length.div_ceil(BLOCK as u64) as usize);
    }

    pub(crate) fn encode(&self, slots: &[u8]) -> Vec<u8> {
        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        let sums: Vec<u8> = blocks.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        seal(Kind::Sums, &[], &SumsRow { slots: slots.into(), sums: sums.as_slice().into() })
    }

    /// Takes sums over; whether they are sound and of these slots.
    pub(crate) fn decode(&self, bytes: &[u8], slots: &[u8]) -> bool {
        let Ok(row) = unseal::<SumsRow<'_>>(Kind::Sums, &[], bytes) else { return false };
        if row.slots.0 != slots {
            return false;
        }
        let sums = row.sums.0.as_chunks().0.iter().map(|sum| u32::from_le_bytes(*sum));
        *self.blocks.write().unwrap_or_else(PoisonError::into_inner) = sums.collect();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_noticed_and_a_rewritten_block_is_not() {
        let sums = Sums::default();
        let mut data = vec![7; 3 * BLOCK];
        sums.note(BLOCK as u64, &data);
        sums.check(BLOCK as u64, &data).expect("as written");
        sums.check(2 * BLOCK as u64, &data[BLOCK..]).expect("as written");
        data[BLOCK + 5] ^= 1;
        assert!(sums.check(BLOCK as u64, &data).is_err());
        sums.note(2 * BLOCK as u64, &data[BLOCK..2 * BLOCK]);
        sums.check(BLOCK as u64, &data).expect("as written anew");
    }

    #[test]
    fn sums_are_taken_over_only_with_their_slots() {
        let sums = Sums::default();
        let data = vec![7; 2 * BLOCK];
        sums.note(BLOCK as u64, &data);
        let bytes = sums.encode(b"slots");
        let other = Sums::default();
        assert!(!other.decode(&bytes, b"stols"));
        assert!(other.decode(&bytes, b"slots"));
        other.check(BLOCK as u64, &data).expect("as written");
        assert!(other.check(BLOCK as u64, &[8; BLOCK]).is_err());
    }

    #[test]
    fn a_block_written_in_part_is_not_known() {
        let sums = Sums::default();
        sums.note(BLOCK as u64, &[7; BLOCK]);
        sums.note(BLOCK as u64 + 10, &[1; 10]);
        sums.check(BLOCK as u64, &[9; BLOCK]).expect("not known");
    }
}
