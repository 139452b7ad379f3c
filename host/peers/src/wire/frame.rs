//! Frames: what is said on a connection after its handshake.
//!
//! A header of 24 bytes, numbers in little-endian order, and a payload:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | length of the payload |
//! | 4 | kind |
//! | 5 | why a call failed, or zero |
//! | 6..8 | zero |
//! | 8..16 | number of the call or ping, or zero |
//! | 16..20 | CRC-32C of the payload |
//! | 20..24 | CRC-32C of the bytes before |
//!
//! The sums are there because TCP's own lets about one damaged packet in sixty
//! thousand pass, and this carries the journal. The header has one of its own
//! so that a damaged length is found before it is believed.

use bytes::Bytes;

/// How long a header is.
pub(crate) const HEADER_BYTES: usize = 24;
const ROOM_BYTES: usize = 16;

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// From the dialler: carry this out and answer.
    Call { id: u64, payload: Bytes },
    /// From the dialler: carry this out.
    Send { payload: Bytes },
    /// From the dialled: the answer to a call.
    Answer { id: u64, payload: Bytes },
    /// From the dialled: there is no answer to a call.
    Failed { id: u64, failure: Failure },
    /// From the dialled: so many messages and bytes of them are done with.
    Room { messages: u64, bytes: u64 },
    /// From the dialler: are you there?
    Ping { nonce: u64 },
    /// From the dialled: yes.
    Pong { nonce: u64 },
    /// From the dialled: ask nothing more here. From the dialler: nothing more
    /// comes.
    Goodbye,
}

/// Why there is no answer to a call. Never change or reuse a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Failure {
    /// It was let go without an answer.
    Dropped = 1,
    /// The answer was larger than may be sent.
    TooLarge = 2,
    /// More answers waited to be sent than may.
    Overflow = 3,
    /// The node is stopping and didn't carry it out.
    Stopping = 4,
}

/// What is wrong with what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("a header's checksum is wrong: it was damaged on the way, or isn't one")]
    HeaderSum,
    #[error("a payload's checksum is wrong: it was damaged on the way")]
    PayloadSum,
    #[error("a payload of {bytes} bytes was announced, and {max} are the most here")]
    TooLarge { bytes: u32, max: u32 },
    #[error("a frame of unknown kind {0} came")]
    Kind(u8),
    #[error("a frame of kind {0} has a form that isn't its own")]
    Form(u8),
}

const CALL: u8 = 1;
const SEND: u8 = 2;
const ANSWER: u8 = 3;
const FAILED: u8 = 4;
const ROOM: u8 = 5;
const PING: u8 = 6;
const PONG: u8 = 7;
const GOODBYE: u8 = 8;

impl Frame {
    /// Its header and its payload.
    ///
    /// # Panics
    /// If the payload has 4 GiB or more: lanes' limits are far below.
    pub(crate) fn encode(self) -> ([u8; HEADER_BYTES], Bytes) {
        let (kind, code, id, payload) = match self {
            Self::Call { id, payload } => (CALL, 0, id, payload),
            Self::Send { payload } => (SEND, 0, 0, payload),
            Self::Answer { id, payload } => (ANSWER, 0, id, payload),
            Self::Failed { id, failure } => (FAILED, failure as u8, id, Bytes::new()),
            Self::Room { messages, bytes } => {
                let mut payload = Vec::with_capacity(ROOM_BYTES);
                payload.extend_from_slice(&messages.to_le_bytes());
                payload.extend_from_slice(&bytes.to_le_bytes());
                (ROOM, 0, 0, payload.into())
            }
            Self::Ping { nonce } => (PING, 0, nonce, Bytes::new()),
            Self::Pong { nonce } => (PONG, 0, nonce, Bytes::new()),
            Self::Goodbye => (GOODBYE, 0, 0, Bytes::new()),
        };
        let length = u32::try_from(payload.len()).expect("payloads are checked against the limit");
        let mut header = [0; HEADER_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            for (to, from) in header.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
            at += bytes.len();
        };
        put(&length.to_le_bytes());
        put(&[kind, code, 0, 0]);
        put(&id.to_le_bytes());
        put(&crc32c::crc32c(&payload).to_le_bytes());
        let sum = header.first_chunk::<20>().map_or(0, |covered| crc32c::crc32c(covered));
        if let Some(end) = header.last_chunk_mut::<4>() {
            *end = sum.to_le_bytes();
        }
        (header, payload)
    }
}

/// A header that is sound in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    kind: u8,
    code: u8,
    id: u64,
    payload_bytes: u32,
    payload_sum: u32,
}

impl Header {
    /// Reads a header, of which the payload may have at most so many bytes.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES], payload_max: u32) -> Result<Self, Flaw> {
        let (covered, sum) = bytes.split_last_chunk::<4>().ok_or(Flaw::HeaderSum)?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*sum) {
            return Err(Flaw::HeaderSum);
        }
        let [l0, l1, l2, l3, kind, code, z0, z1, id @ .., s0, s1, s2, s3] = covered else {
            return Err(Flaw::HeaderSum);
        };
        let payload_bytes = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
        let id = id.first_chunk::<8>().map_or(0, |id| u64::from_le_bytes(*id));
        if *z0 != 0 || *z1 != 0 {
            return Err(Flaw::Form(*kind));
        }
        let max = match *kind {
            CALL | SEND | ANSWER => payload_max,
            ROOM => ROOM_BYTES as u32,
            FAILED | PING | PONG | GOODBYE => 0,
            unknown => return Err(Flaw::Kind(unknown)),
        };
        if payload_bytes > max {
            return Err(Flaw::TooLarge { bytes: payload_bytes, max });
        }
        let payload_sum = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
        Ok(Self { kind: *kind, code: *code, id, payload_bytes, payload_sum })
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes as usize
    }

    /// Puts header and payload together.
    pub(crate) fn with(self, payload: Bytes) -> Result<Frame, Flaw> {
        if crc32c::crc32c(&payload) != self.payload_sum {
            return Err(Flaw::PayloadSum);
        }
        let id = self.id;
        match (self.kind, self.code) {
            (CALL, 0) => Ok(Frame::Call { id, payload }),
            (SEND, 0) => Ok(Frame::Send { payload }),
            (ANSWER, 0) => Ok(Frame::Answer { id, payload }),
            (FAILED, code) => {
                let all =
                    [Failure::Dropped, Failure::TooLarge, Failure::Overflow, Failure::Stopping];
                let failure = all.into_iter().find(|failure| *failure as u8 == code);
                failure.map(|failure| Frame::Failed { id, failure }).ok_or(Flaw::Form(FAILED))
            }
            (ROOM, 0) => {
                let (messages, bytes) = payload.split_first_chunk::<8>().ok_or(Flaw::Form(ROOM))?;
                let bytes = bytes.first_chunk::<8>().ok_or(Flaw::Form(ROOM))?;
                Ok(Frame::Room {
                    messages: u64::from_le_bytes(*messages),
                    bytes: u64::from_le_bytes(*bytes),
                })
            }
            (PING, 0) => Ok(Frame::Ping { nonce: id }),
            (PONG, 0) => Ok(Frame::Pong { nonce: id }),
            (GOODBYE, 0) => Ok(Frame::Goodbye),
            (kind, _) => Err(Flaw::Form(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Frame> {
        let payload = Bytes::from_static(b"a payload");
        vec![
            Frame::Call { id: 1, payload: payload.clone() },
            Frame::Send { payload: payload.clone() },
            Frame::Answer { id: u64::MAX, payload },
            Frame::Failed { id: 7, failure: Failure::Overflow },
            Frame::Room { messages: 3, bytes: 1 << 40 },
            Frame::Ping { nonce: 9 },
            Frame::Pong { nonce: 9 },
            Frame::Goodbye,
        ]
    }

    #[test]
    fn a_frame_reads_what_it_writes() {
        for frame in sample() {
            let (header, payload) = frame.clone().encode();
            let header = Header::decode(&header, 100).expect("a header");
            assert_eq!(header.payload_bytes(), payload.len());
            assert_eq!(header.with(payload), Ok(frame));
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        for frame in sample() {
            let (header, payload) = frame.encode();
            for bit in 0..HEADER_BYTES * 8 {
                let mut damaged = header;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::decode(&damaged, 100), Err(Flaw::HeaderSum), "bit {bit}");
            }
            let sound = Header::decode(&header, 100).expect("a header");
            for bit in 0..payload.len() * 8 {
                let mut damaged = payload.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(sound.with(damaged.into()), Err(Flaw::PayloadSum), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_by_the_header_alone() {
        let payload = Bytes::from(vec![0; 101]);
        let (header, _) = Frame::Call { id: 1, payload }.encode();
        assert_eq!(Header::decode(&header, 100), Err(Flaw::TooLarge { bytes: 101, max: 100 }));
        assert!(Header::decode(&header, 101).is_ok());
    }
}
