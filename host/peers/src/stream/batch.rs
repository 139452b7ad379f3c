//! Frames on their way out, together: small payloads side by side in one buffer,
//! large ones where they are, all in one vectored write.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::wire::frame::Frame;

/// Payloads up to this many bytes are copied: cheaper than a slice of their own.
const COPIED_BYTES_MAX: usize = 4 << 10;
/// The room that the buffer for small frames starts with.
const BUFFER_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Batch {
    small: BytesMut,
    chunks: VecDeque<Bytes>,
    remaining: usize,
    /// Whether the wire takes several slices at once. One that doesn't gets
    /// everything in one buffer: a TLS record for each header would cost more
    /// than the copy.
    vectored: bool,
}

impl Batch {
    pub(crate) fn new(vectored: bool) -> Self {
        Self { small: BytesMut::new(), chunks: VecDeque::new(), remaining: 0, vectored }
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        let (header, payload) = frame.encode();
        self.remaining += header.len() + payload.len();
        if self.small.capacity() - self.small.len() < header.len() {
            self.small.reserve(BUFFER_BYTES);
        }
        self.small.put_slice(&header);
        if payload.len() <= COPIED_BYTES_MAX || !self.vectored {
            self.small.put_slice(&payload);
        } else {
            self.seal();
            self.chunks.push_back(payload);
        }
    }

    /// Makes all that was pushed ready to be read.
    pub(crate) fn seal(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push_back(self.small.split().freeze());
        }
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "no more is written than there was");
        self.remaining -= count;
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.len() > count {
                chunk.advance(count);
                return;
            }
            count -= chunk.len();
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        [0, 1, 100, COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1, 70_000, 3, 0, 50_000, 50_000]
            .into_iter()
            .zip(1..)
            .map(|(bytes, id)| Frame::Call { id, payload: vec![id as u8; bytes].into() })
            .collect()
    }

    fn expected() -> Vec<u8> {
        let encoded = frames().into_iter().map(Frame::encode);
        encoded.flat_map(|(header, payload)| [&header[..], &payload].concat()).collect()
    }

    #[test]
    fn a_batch_is_its_frames_in_order_however_it_is_taken() {
        for (vectored, step) in [(true, 1), (true, 777), (true, 1 << 20), (false, 5_000)] {
            let mut batch = Batch::new(vectored);
            frames().into_iter().for_each(|frame| batch.push(frame));
            batch.seal();
            let mut taken: Vec<u8> = Vec::new();
            while batch.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = batch.chunks_vectored(&mut slices);
                let slices = &slices[..filled];
                let count = slices.iter().map(|slice| slice.len()).sum::<usize>().min(step);
                taken.extend(slices.iter().flat_map(|slice| slice.iter().copied()).take(count));
                batch.advance(count);
            }
            assert!(taken == expected(), "vectored {vectored}, step {step}");
            assert!(batch.chunks.is_empty());
        }
    }

    #[test]
    fn a_wire_that_takes_one_slice_gets_one() {
        let mut batch = Batch::new(false);
        frames().into_iter().for_each(|frame| batch.push(frame));
        batch.seal();
        assert_eq!(batch.chunk().len(), batch.remaining());
    }
}
