//! One file of the simulated disk: what is live, what is durable, and the
//! writes in between.

#![expect(clippy::indexing_slicing, reason = "every index is of what was just measured or grown")]

use std::io;

use super::{Survivors, random::Random};

/// What the hardware writes whole or not at all.
const SECTOR: usize = 512;
/// What the file system gives out room in.
const BLOCK: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct FileState {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Which blocks have room taken.
    blocks: Vec<bool>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Len(usize),
}

fn too_large<E>(_: E) -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

impl FileState {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        let blocks = vec![true; bytes.len().div_ceil(BLOCK)];
        Self { live: bytes.clone(), durable: bytes, pending: Vec::new(), blocks }
    }

    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn used(&self) -> u64 {
        (self.blocks.iter().filter(|taken| **taken).count() * BLOCK) as u64
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(too_large)?;
        let end = offset.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(self.live.get(offset..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// Writes as much as there is room for, block by block.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], room: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(too_large)?;
        let mut room = room / BLOCK as u64;
        let mut written = 0;
        while written < bytes.len() {
            let at = offset + written;
            let part = (BLOCK - at % BLOCK).min(bytes.len() - written);
            if !self.take_block(at / BLOCK, &mut room) {
                break;
            }
            written += part;
        }
        let done = &bytes[..written];
        if written > 0 {
            put(&mut self.live, offset, done);
            self.pending.push(Change::Write { offset, bytes: done.to_vec() });
        }
        if written < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn take_block(&mut self, block: usize, room: &mut u64) -> bool {
        if self.blocks.len() <= block {
            self.blocks.resize(block + 1, false);
        }
        if !self.blocks[block] {
            if *room == 0 {
                return false;
            }
            *room -= 1;
            self.blocks[block] = true;
        }
        true
    }

    pub(super) fn set_len(&mut self, len: u64) {
        let len = len as usize;
        self.live.resize(len, 0);
        self.blocks.truncate(len.div_ceil(BLOCK));
        self.pending.push(Change::Len(len));
    }

    pub(super) fn allocate(&mut self, len: u64, room: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(too_large)?;
        let blocks = len.div_ceil(BLOCK);
        let taken = self.blocks.iter().take(blocks).filter(|taken| **taken).count();
        if (blocks - taken) as u64 > room / BLOCK as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, false);
        }
        self.blocks[..blocks].fill(true);
        if len > self.live.len() {
            self.live.resize(len, 0);
            self.pending.push(Change::Len(len));
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.durable, offset, &bytes),
                Change::Len(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// What was pending is never written any more, though it can be read: the
    /// system took it for clean.
    pub(super) fn sync_failed(&mut self) {
        self.pending.clear();
    }

    pub(super) fn lose_power(&mut self, survivors: Survivors, random: &mut Random) {
        for change in std::mem::take(&mut self.pending) {
            match (survivors, change) {
                (Survivors::None, _) => {}
                (Survivors::All, Change::Write { offset, bytes }) => {
                    put(&mut self.durable, offset, &bytes);
                }
                (Survivors::All, Change::Len(len)) => self.durable.resize(len, 0),
                (Survivors::Some(_), Change::Len(len)) => {
                    if random.below(2) == 0 {
                        self.durable.resize(len, 0);
                    }
                }
                (Survivors::Some(_), Change::Write { offset, bytes }) => match random.below(3) {
                    0 => {}
                    1 => put(&mut self.durable, offset, &bytes),
                    _ => put_torn(&mut self.durable, offset, &bytes, random),
                },
            }
        }
        self.live = self.durable.clone();
        self.blocks = vec![true; self.live.len().div_ceil(BLOCK)];
    }

    pub(super) fn flip(&mut self, bit: u64) -> bool {
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        for image in [&mut self.live, &mut self.durable] {
            match image.get_mut(byte) {
                Some(byte) => *byte ^= mask,
                None => return false,
            }
        }
        true
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

/// Writes those of the sectors that chance picks.
fn put_torn(image: &mut Vec<u8>, offset: usize, bytes: &[u8], random: &mut Random) {
    let mut written = 0;
    while written < bytes.len() {
        let at = offset + written;
        let part = (SECTOR - at % SECTOR).min(bytes.len() - written);
        if random.below(2) == 0 {
            put(image, at, &bytes[written..written + part]);
        }
        written += part;
    }
}
