//! The handshake: who is there, and whether the two can speak with each other.
//!
//! The node that dials says hello; the other answers with a welcome or a refusal
//! that says why. Both messages have a head of 18 bytes whose layout never
//! changes, whatever the protocol's version, numbers in little-endian order:
//!
//! | bytes | hello | answer |
//! |---|---|---|
//! | 0..8 | `STEADhlo` | `STEADans` |
//! | 8..10 | lowest version spoken | 1 welcome, 2 refusal |
//! | 10..12 | highest version spoken | the version agreed on, or zero |
//! | 12..14 | length of the body | the same |
//! | 14..18 | CRC-32C of head and body | the same |
//!
//! The bodies are postcard. They grow at their end only: a reader ignores what
//! comes after the fields that it knows.

use serde::{Deserialize, Serialize};
use stead_model::{ClusterId, NodeId};

use crate::{Lane, Protocol, Refusal, RefusalReason};

/// How long a head is.
pub(crate) const HEAD_BYTES: usize = 18;
/// The longest body.
pub(crate) const BODY_BYTES_MAX: usize = 1_024;
/// The longest sentence of a refusal, in bytes.
const SENTENCE_BYTES_MAX: usize = 512;

const HELLO: [u8; 8] = *b"STEADhlo";
const ANSWER: [u8; 8] = *b"STEADans";
const WELCOME: u16 = 1;
const REFUSAL: u16 = 2;

/// What is wrong with a message of the handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it doesn't begin as a node of Stead does")]
    Magic,
    #[error("its handshake announces {0} bytes, more than any has")]
    Length(usize),
    #[error("its handshake's checksum is wrong")]
    Checksum,
    #[error("its handshake can't be understood: {0}")]
    Encoding(String),
}

/// What a node wants that dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To know who is there, no more.
    Enquiry,
    /// To speak on a lane.
    Lane(Lane),
    /// Something that this version doesn't know.
    Unknown(u8),
}

impl Purpose {
    const ENQUIRY: u8 = 0;

    fn code(self) -> u8 {
        match self {
            Self::Enquiry => Self::ENQUIRY,
            Self::Lane(lane) => lane.code(),
            Self::Unknown(code) => code,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            Self::ENQUIRY => Self::Enquiry,
            code => Lane::from_code(code).map_or(Self::Unknown(code), Self::Lane),
        }
    }
}

/// What a node says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) protocol: Protocol,
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) epoch: u64,
    /// Whom it wants to reach, if it knows.
    pub(crate) expects: Option<NodeId>,
    pub(crate) purpose: Purpose,
    /// Which of its connections it is: later ones have higher numbers.
    pub(crate) dial: u64,
    /// The largest answer that it takes, in bytes.
    pub(crate) payload_bytes_max: u32,
}

/// That it may speak, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) version: u16,
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) epoch: u64,
    /// The largest call that it takes, in bytes.
    pub(crate) payload_bytes_max: u32,
    pub(crate) window_calls: u32,
    pub(crate) window_bytes: u64,
}

/// What a node answers to a hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Welcome(Welcome),
    Refused(Refusal),
}

#[derive(Serialize, Deserialize)]
struct HelloBody {
    cluster: u128,
    node: u128,
    epoch: u64,
    expects: Option<u128>,
    purpose: u8,
    dial: u64,
    payload_bytes_max: u32,
}

#[derive(Serialize, Deserialize)]
struct WelcomeBody {
    cluster: u128,
    node: u128,
    epoch: u64,
    payload_bytes_max: u32,
    window_calls: u32,
    window_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct RefusalBody {
    reason: u8,
    cluster: u128,
    node: u128,
    sentence: String,
}

/// The head of a message, of which the body is still to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    first: u16,
    second: u16,
    body_bytes: usize,
    covered: [u8; HEAD_BYTES - 4],
    sum: u32,
}

impl Head {
    /// Reads the head of a hello.
    pub(crate) fn of_hello(bytes: &[u8; HEAD_BYTES]) -> Result<Self, Flaw> {
        Self::decode(&HELLO, bytes)
    }

    /// Reads the head of an answer.
    pub(crate) fn of_answer(bytes: &[u8; HEAD_BYTES]) -> Result<Self, Flaw> {
        Self::decode(&ANSWER, bytes)
    }

    fn decode(magic: &[u8; 8], bytes: &[u8; HEAD_BYTES]) -> Result<Self, Flaw> {
        let (covered, sum) = bytes.split_last_chunk::<4>().ok_or(Flaw::Magic)?;
        let covered: [u8; HEAD_BYTES - 4] = covered.try_into().map_err(|_| Flaw::Magic)?;
        let [m0, m1, m2, m3, m4, m5, m6, m7, f0, f1, s0, s1, l0, l1] = covered;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != *magic {
            return Err(Flaw::Magic);
        }
        let body_bytes = usize::from(u16::from_le_bytes([l0, l1]));
        if body_bytes > BODY_BYTES_MAX {
            return Err(Flaw::Length(body_bytes));
        }
        Ok(Self {
            first: u16::from_le_bytes([f0, f1]),
            second: u16::from_le_bytes([s0, s1]),
            body_bytes,
            covered,
            sum: u32::from_le_bytes(*sum),
        })
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn body<T: for<'de> Deserialize<'de>>(&self, body: &[u8]) -> Result<T, Flaw> {
        if crc32c::crc32c_append(crc32c::crc32c(&self.covered), body) != self.sum {
            return Err(Flaw::Checksum);
        }
        let (value, _later) =
            postcard::take_from_bytes(body).map_err(|error| Flaw::Encoding(error.to_string()))?;
        Ok(value)
    }

    /// The versions that the sender of a hello speaks. They can be trusted once
    /// the body was found sound.
    fn protocol(&self) -> Protocol {
        Protocol { min: self.first, max: self.second }
    }
}

fn encode(magic: [u8; 8], first: u16, second: u16, body: &impl Serialize) -> Vec<u8> {
    let body = postcard::to_stdvec(body).expect("plain data always encodes");
    let length = u16::try_from(body.len()).expect("bodies are far shorter");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&second.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes), &body);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let body = HelloBody {
            cluster: self.cluster.get(),
            node: self.node.get(),
            epoch: self.epoch,
            expects: self.expects.map(NodeId::get),
            purpose: self.purpose.code(),
            dial: self.dial,
            payload_bytes_max: self.payload_bytes_max,
        };
        encode(HELLO, self.protocol.min, self.protocol.max, &body)
    }

    pub(crate) fn decode(head: &Head, body: &[u8]) -> Result<Self, Flaw> {
        let body: HelloBody = head.body(body)?;
        Ok(Self {
            protocol: head.protocol(),
            cluster: ClusterId(body.cluster),
            node: NodeId(body.node),
            epoch: body.epoch,
            expects: body.expects.map(NodeId),
            purpose: Purpose::from_code(body.purpose),
            dial: body.dial,
            payload_bytes_max: body.payload_bytes_max,
        })
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome(welcome) => {
                let body = WelcomeBody {
                    cluster: welcome.cluster.get(),
                    node: welcome.node.get(),
                    epoch: welcome.epoch,
                    payload_bytes_max: welcome.payload_bytes_max,
                    window_calls: welcome.window_calls,
                    window_bytes: welcome.window_bytes,
                };
                encode(ANSWER, WELCOME, welcome.version, &body)
            }
            Self::Refused(refusal) => {
                let mut sentence = refusal.sentence.clone();
                sentence.truncate(sentence.floor_char_boundary(SENTENCE_BYTES_MAX));
                let body = RefusalBody {
                    reason: refusal.reason.code(),
                    cluster: refusal.cluster.get(),
                    node: refusal.node.get(),
                    sentence,
                };
                encode(ANSWER, REFUSAL, 0, &body)
            }
        }
    }

    pub(crate) fn decode(head: &Head, body: &[u8]) -> Result<Self, Flaw> {
        match head.first {
            WELCOME => {
                let body: WelcomeBody = head.body(body)?;
                Ok(Self::Welcome(Welcome {
                    version: head.second,
                    cluster: ClusterId(body.cluster),
                    node: NodeId(body.node),
                    epoch: body.epoch,
                    payload_bytes_max: body.payload_bytes_max,
                    window_calls: body.window_calls,
                    window_bytes: body.window_bytes,
                }))
            }
            REFUSAL => {
                let body: RefusalBody = head.body(body)?;
                // It comes from outside and goes to logs: one line, printable.
                let sentence = body.sentence.chars().filter(|c| !c.is_control()).collect();
                Ok(Self::Refused(Refusal {
                    reason: RefusalReason::from_code(body.reason),
                    cluster: ClusterId(body.cluster),
                    node: NodeId(body.node),
                    sentence,
                }))
            }
            other => Err(Flaw::Encoding(format!("there is no answer of kind {other}"))),
        }
    }
}
