//! What a datagram looks like.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `SteG` |
//! | 1 | version of the format |
//! | 1 | kind |
//! | 16 | id of the sender's cluster, 0 for none |
//! | 4 | CRC-32C of all else |
//! | the rest | by kind |
//!
//! The checksum is there because UDP's own is weak and may be off: a bit that
//! flipped could make a node that doesn't exist, and every node would hear of it.

use serde::{Deserialize, Serialize};
use stead_model::{ClusterId, NodeId};

use crate::identity::Identity;

/// The bytes before a packet's body.
pub const HEADER_BYTES: usize = 26;

/// The size of a [`Packet::Hello`]: larger than any answer to it, so that nobody
/// can use a node to send others more than they send it.
pub const HELLO_BYTES: usize = 256;

/// The most bytes of a [`Packet::Word`]'s body.
pub const WORD_BYTES_MAX: usize = 512;

const MAGIC: [u8; 4] = *b"SteG";
const VERSION: u8 = 1;

/// A datagram's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A packet of foca's.
    Swim {
        /// The sender's cluster.
        cluster: ClusterId,
        /// Foca's bytes.
        body: &'a [u8],
    },
    /// "Who are you, and of which cluster?"
    Hello {
        /// To be in the answer.
        nonce: u64,
    },
    /// The answer to [`Self::Hello`].
    Welcome {
        /// The sender's cluster, if it is in one.
        cluster: Option<ClusterId>,
        /// The one of the question.
        nonce: u64,
        /// The sender.
        identity: Identity,
    },
    /// "At your address I know a later life than the one you speak from."
    Outdated {
        /// The sender's cluster.
        cluster: ClusterId,
        /// What is outdated.
        outdated: Outdated,
    },
    /// What nodes that are in no cluster say to each other about founding one.
    Word {
        /// Another room's bytes, from 1 to [`WORD_BYTES_MAX`].
        body: &'a [u8],
    },
}

/// A life that another one at the same address has superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outdated {
    /// The node.
    pub node: NodeId,
    /// The epoch that it spoke from.
    pub epoch: u64,
    /// The epoch of the life that is known at its address.
    pub known: u64,
}

/// Why bytes aren't a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Not a packet of ours, cut off, or damaged.
    #[error("the datagram isn't Stead's gossip, or was damaged on the way")]
    Garbage,
    /// A packet of another version of the format.
    #[error("the datagram is of version {0} of the gossip format, this node speaks {VERSION}")]
    Version(u8),
}

impl<'a> Packet<'a> {
    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let none = ClusterId(0);
        match self {
            Self::Swim { cluster, body } => frame(0, *cluster, |bytes| {
                bytes.extend_from_slice(body);
            }),
            Self::Hello { nonce } => frame(1, none, |bytes| {
                bytes.extend_from_slice(&nonce.to_be_bytes());
                bytes.resize(HELLO_BYTES, 0);
            }),
            Self::Welcome { cluster, nonce, identity } => {
                frame(2, cluster.unwrap_or(none), |bytes| {
                    bytes.extend_from_slice(&nonce.to_be_bytes());
                    append(bytes, identity);
                })
            }
            Self::Outdated { cluster, outdated } => {
                frame(3, *cluster, |bytes| append(bytes, outdated))
            }
            Self::Word { body } => frame(4, none, |bytes| bytes.extend_from_slice(body)),
        }
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// [`PacketError`]. Any bytes may come; none of them panic.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (header, body) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(PacketError::Garbage)?;
        let [m0, m1, m2, m3, version, kind, rest @ ..] = header;
        if [*m0, *m1, *m2, *m3] != MAGIC {
            return Err(PacketError::Garbage);
        }
        // Before the checksum, as another version may have it elsewhere.
        if *version != VERSION {
            return Err(PacketError::Version(*version));
        }
        let (cluster, sum) = rest.split_at(16);
        if sum != checksum(*kind, cluster, body).to_be_bytes() {
            return Err(PacketError::Garbage);
        }
        let cluster = cluster.iter().fold(0, |id, byte| (id << 8) | u128::from(*byte));
        let cluster = (cluster != 0).then_some(ClusterId(cluster));
        Self::read(*kind, cluster, body).ok_or(PacketError::Garbage)
    }

    fn read(kind: u8, cluster: Option<ClusterId>, body: &'a [u8]) -> Option<Self> {
        match kind {
            0 => Some(Self::Swim { cluster: cluster?, body }),
            1 => {
                let (nonce, padding) = body.split_first_chunk()?;
                let whole = padding.len() + 8 + HEADER_BYTES == HELLO_BYTES;
                whole.then(|| Self::Hello { nonce: u64::from_be_bytes(*nonce) })
            }
            2 => {
                let (nonce, rest) = body.split_first_chunk()?;
                let nonce = u64::from_be_bytes(*nonce);
                Some(Self::Welcome { cluster, nonce, identity: exactly(rest)? })
            }
            3 => Some(Self::Outdated { cluster: cluster?, outdated: exactly(body)? }),
            4 => (1..=WORD_BYTES_MAX).contains(&body.len()).then_some(Self::Word { body }),
            _ => None,
        }
    }
}

fn frame(kind: u8, cluster: ClusterId, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let cluster = cluster.get().to_be_bytes();
    let mut bytes = Vec::with_capacity(HELLO_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes.extend_from_slice(&cluster);
    bytes.extend_from_slice(&[0; 4]);
    body(&mut bytes);
    let sum = checksum(kind, &cluster, bytes.get(HEADER_BYTES..).unwrap_or_default());
    if let Some(place) = bytes.get_mut(HEADER_BYTES - 4..HEADER_BYTES) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

fn checksum(kind: u8, cluster: &[u8], body: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&[VERSION, kind]);
    crc32c::crc32c_append(crc32c::crc32c_append(sum, cluster), body)
}

fn append(bytes: &mut Vec<u8>, value: &impl Serialize) {
    let encoded = postcard::to_allocvec(value).expect("a value in memory can be written to memory");
    bytes.extend_from_slice(&encoded);
}

/// Reads a value that takes up all of the bytes.
fn exactly<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}
