//! Reads frames.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::meter::Meter;
use crate::{
    LossReason, ReadHalf,
    wire::{
        HEADER_BYTES,
        frame::{Flaw, Frame, Header},
    },
};

/// The room for what one read brings. Also how much a length alone can make this
/// node set aside: the buffer for a long payload grows as the payload comes.
const READ_BYTES: usize = 64 << 10;
/// Payloads shorter than this are copied, so that a small one that is kept long
/// doesn't keep the whole buffer that it came in.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// How much is read before others have their turn.
const TURN_BYTES: usize = 256 << 10;

/// Why there is no further frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("closed")]
    Closed,
    #[error("closed in the middle of a frame")]
    CutOff,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Flaw(#[from] Flaw),
}

impl From<ReadError> for LossReason {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed => Self::Closed,
            ReadError::CutOff => Self::Failed("closed in the middle of a frame".to_owned()),
            ReadError::Io(error) => Self::Failed(error.to_string()),
            ReadError::Flaw(flaw) => Self::Garbled(flaw.to_string()),
        }
    }
}

pub(crate) struct FrameReader<'a> {
    read: ReadHalf,
    buffer: BytesMut,
    header: Option<Header>,
    payload_max: u32,
    meter: &'a Meter,
    /// Bytes read since others had their turn.
    unshared: usize,
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(read: ReadHalf, payload_max: u32, meter: &'a Meter) -> Self {
        Self { read, buffer: BytesMut::new(), header: None, payload_max, meter, unshared: 0 }
    }

    /// The next frame. Giving up the wait loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Frame, ReadError> {
        loop {
            if let Some(frame) = self.parse()? {
                return Ok(frame);
            }
            if self.unshared >= TURN_BYTES {
                // Reading shares its task with writing: a peer that never pauses
                // must not keep this node from answering it.
                self.unshared = 0;
                tokio::task::yield_now().await;
            }
            let missing = self.header.map_or(0, |header| header.payload_bytes());
            let missing = missing.saturating_sub(self.buffer.len());
            // Twice what has come, at most: memory follows bytes, not promises.
            let room = missing.clamp(READ_BYTES, self.buffer.len().max(READ_BYTES));
            if self.buffer.capacity() - self.buffer.len() < room.min(READ_BYTES / 4) {
                self.buffer.reserve(room);
            }
            let count = self.read.read_buf(&mut self.buffer).await?;
            self.meter.heard(count);
            self.unshared += count;
            if count == 0 {
                let between = self.buffer.is_empty() && self.header.is_none();
                return Err(if between { ReadError::Closed } else { ReadError::CutOff });
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Frame>, Flaw> {
        let header = match self.header {
            Some(header) => header,
            None => {
                let Some(bytes) = self.buffer.first_chunk::<HEADER_BYTES>() else {
                    return Ok(None);
                };
                let header = Header::decode(bytes, self.payload_max)?;
                self.buffer.advance(HEADER_BYTES);
                *self.header.insert(header)
            }
        };
        let length = header.payload_bytes();
        let Some(payload) = self.buffer.get(..length) else {
            return Ok(None);
        };
        let payload = if length < COPIED_BYTES_MAX {
            let copied = Bytes::copy_from_slice(payload);
            self.buffer.advance(length);
            copied
        } else {
            self.buffer.split_to(length).freeze()
        };
        self.header = None;
        header.with(payload).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn encoded(frame: Frame) -> Vec<u8> {
        let (header, payload) = frame.encode();
        [&header[..], &payload].concat()
    }

    #[tokio::test]
    async fn frames_are_read_whatever_pieces_they_come_in() {
        for piece in [1, 7, 23, 24, 25, 4_096, 1 << 20] {
            let frames: Vec<_> = [0, 1, 20_000, 300_000, 5]
                .into_iter()
                .zip(1..)
                .map(|(bytes, id)| Frame::Call { id, payload: vec![id as u8; bytes].into() })
                .collect();
            let bytes: Vec<u8> = frames.iter().cloned().flat_map(encoded).collect();
            let (mut write, read) = tokio::io::duplex(64 << 10);
            let writer = tokio::spawn(async move {
                for piece in bytes.chunks(piece) {
                    write.write_all(piece).await.expect("written");
                }
            });
            let meter = Meter::default();
            let mut reader = FrameReader::new(Box::new(read), 1 << 20, &meter);
            for frame in frames {
                assert!(reader.next().await.expect("a frame") == frame, "piece {piece}");
            }
            assert!(matches!(reader.next().await, Err(ReadError::Closed)));
            writer.await.expect("no panic");
        }
    }

    #[tokio::test]
    async fn a_frame_that_is_cut_off_is_told_from_an_end() {
        let bytes = encoded(Frame::Send { payload: vec![1; 100].into() });
        for length in [1, 23, 24, 123] {
            let (mut write, read) = tokio::io::duplex(1_024);
            write.write_all(&bytes[..length]).await.expect("written");
            drop(write);
            let meter = Meter::default();
            let mut reader = FrameReader::new(Box::new(read), 1 << 20, &meter);
            assert!(matches!(reader.next().await, Err(ReadError::CutOff)), "{length} bytes");
        }
    }

    #[tokio::test]
    async fn a_promised_length_alone_takes_no_memory() {
        let payload = Bytes::from(vec![0; 100 << 20]);
        let (header, _) = Frame::Send { payload }.encode();
        let (mut write, read) = tokio::io::duplex(1 << 20);
        write.write_all(&header).await.expect("written");
        write.write_all(&[0; 1_000]).await.expect("written");
        drop(write);
        let meter = Meter::default();
        let mut reader = FrameReader::new(Box::new(read), 200 << 20, &meter);
        assert!(matches!(reader.next().await, Err(ReadError::CutOff)));
        assert!(reader.buffer.capacity() <= 4 * READ_BYTES, "{}", reader.buffer.capacity());
    }
}
