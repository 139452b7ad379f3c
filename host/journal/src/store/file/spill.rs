//! Blocks that found no room on the disk, held in memory until they do.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
};

use super::BLOCK;
use crate::disk::DiskFile;

/// Blocks by their number.
#[derive(Debug, Default)]
pub(super) struct Spill(BTreeMap<u64, Box<[u8]>>);

/// The blocks that bytes at an offset touch: each with where in it they begin,
/// and which of the bytes it has.
fn blocks(
    offset: u64,
    length: usize,
) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % BLOCK as u64) as usize;
        let part = (BLOCK - within).min(length - done);
        let range = done..done + part;
        done += part;
        Some((at / BLOCK as u64, within, range))
    })
}

impl Spill {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds what could not be written, or was in part.
    pub(super) fn hold(&mut self, file: &dyn DiskFile, offset: u64, data: &[u8]) -> io::Result<()> {
        for (number, within, range) in blocks(offset, data.len()) {
            if let Entry::Vacant(vacant) = self.0.entry(number) {
                let whole = range.len() == BLOCK;
                let block = if whole { vec![0; BLOCK] } else { read_block(file, number)? };
                vacant.insert(block.into_boxed_slice());
            }
            self.patch(number, within, data.get(range).unwrap_or_default());
        }
        Ok(())
    }

    /// These bytes are on the disk.
    pub(super) fn forget(&mut self, offset: u64, data: &[u8]) {
        for (number, within, range) in blocks(offset, data.len()) {
            if range.len() == BLOCK {
                self.0.remove(&number);
            } else {
                self.patch(number, within, data.get(range).unwrap_or_default());
            }
        }
    }

    fn patch(&mut self, number: u64, within: usize, bytes: &[u8]) {
        if let Some(held) = self.0.get_mut(&number)
            && let Some(target) = held.get_mut(within..within + bytes.len())
        {
            target.copy_from_slice(bytes);
        }
    }

    /// Puts what is held over what was read from the file.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        for (number, within, range) in blocks(offset, out.len()) {
            if let Some(held) = self.0.get(&number)
                && let Some(source) = held.get(within..within + range.len())
                && let Some(target) = out.get_mut(range)
            {
                target.copy_from_slice(source);
            }
        }
    }

    /// The file was cut off.
    pub(super) fn cut(&mut self, length: u64) {
        self.0.retain(|number, _| number * (BLOCK as u64) < length);
    }

    /// Writes what is held, as far as there is room.
    pub(super) fn write_to(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        while let Some(block) = self.0.first_entry() {
            file.write(block.key() * BLOCK as u64, block.get())?;
            block.remove();
        }
        Ok(())
    }
}

/// A block as it is in the file; zeros behind its end.
fn read_block(file: &dyn DiskFile, number: u64) -> io::Result<Vec<u8>> {
    let offset = number * BLOCK as u64;
    let there = usize::try_from(file.len()?.saturating_sub(offset)).unwrap_or(BLOCK).min(BLOCK);
    let mut block = vec![0; there];
    file.read(offset, &mut block)?;
    block.resize(BLOCK, 0);
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, sim::SimDisk};

    #[test]
    fn what_is_held_is_read_back_and_written_in_the_end() {
        let disk = SimDisk::new();
        let file = disk.create("file").expect("a file");
        file.write(0, &[1; 2 * BLOCK]).expect("room");
        let mut spill = Spill::default();
        // From the middle of the first block to the middle of the third.
        spill.hold(&*file, 2048, &[2; 2 * BLOCK]).expect("held");
        let mut out = vec![0; 3 * BLOCK];
        file.read(0, &mut out[..2 * BLOCK]).expect("read");
        spill.read(0, &mut out);
        let mut expected = vec![1; 2048];
        expected.resize(2048 + 2 * BLOCK, 2);
        expected.resize(3 * BLOCK, 0);
        assert_eq!(out, expected);
        // A later write that went well hides what was held.
        file.write(BLOCK as u64, &[3; BLOCK]).expect("room");
        spill.forget(BLOCK as u64, &[3; BLOCK]);
        expected[BLOCK..2 * BLOCK].fill(3);
        spill.write_to(&*file).expect("room");
        assert!(spill.is_empty());
        assert_eq!(disk.contents("file").expect("there"), expected);
    }
}
