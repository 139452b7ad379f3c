//! What is on disk. The types here are the disk's own, apart from the model's,
//! so that no change of the model changes a format by accident; golden files
//! under `tests/golden/` hold them fixed.
//!
//! Every stored value is sealed: a CRC-32C over where it belongs and what it
//! says, a version, and the payload. A value that was moved, swapped or flipped
//! is told from a good one wherever it is read.

mod entry;
#[cfg(test)]
mod golden;
pub(crate) mod identity;
pub(crate) mod record;
pub(crate) mod segment;
pub(crate) mod store;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The version that values are written in.
pub(crate) const VERSION: u8 = 1;

/// What is wrong with stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is cut short")]
    Short,
    #[error("it is in version {0} of its format, and this program reads up to {VERSION}")]
    Version(u8),
    #[error("its checksum is right but it can't be understood: {0}")]
    Encoding(String),
}

/// Which kind of value it is; part of what the checksum covers. Never change
/// or reuse a number.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Kind {
    LogRecord = 1,
    Identity = 2,
    SegmentHeader = 3,
    StoreState = 10,
    Entity = 11,
    Event = 12,
    Snapshot = 13,
    MintedReply = 14,
    CallerReply = 15,
    Purge = 16,
    Sums = 17,
    Members = 18,
    /// Rows on their way to another node; never on disk.
    Rows = 19,
}

fn checksum(kind: Kind, key: &[u8], rest: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&[kind as u8]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, key), rest)
}

const CHECKSUM_BYTES: usize = 4;

/// Seals a value: checksum, version, payload.
///
/// # Panics
/// Never: what is written has no form that postcard can't write, and memory
/// has no limit of its own.
pub(crate) fn seal(kind: Kind, key: &[u8], payload: &impl Serialize) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(128);
    sealed.extend_from_slice(&[0; CHECKSUM_BYTES]);
    sealed.push(VERSION);
    let mut sealed = postcard::to_extend(payload, sealed).expect("plain data always encodes");
    reseal(kind, key, &mut sealed);
    sealed
}

/// Puts the checksum right, of a value whose key has only now become known.
pub(crate) fn reseal(kind: Kind, key: &[u8], sealed: &mut [u8]) {
    if let Some((crc, rest)) = sealed.split_first_chunk_mut::<CHECKSUM_BYTES>() {
        *crc = checksum(kind, key, rest).to_le_bytes();
    }
}

/// The payload of a sealed value, if it is sound.
pub(crate) fn unseal<'a, T: Deserialize<'a>>(
    kind: Kind,
    key: &[u8],
    sealed: &'a [u8],
) -> Result<T, Flaw> {
    let (crc, rest) = sealed.split_first_chunk::<CHECKSUM_BYTES>().ok_or(Flaw::Short)?;
    if u32::from_le_bytes(*crc) != checksum(kind, key, rest) {
        return Err(Flaw::Checksum);
    }
    let (version, payload) = rest.split_first().ok_or(Flaw::Short)?;
    if *version != VERSION {
        return Err(Flaw::Version(*version));
    }
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok((_, surplus)) => Err(Flaw::Encoding(format!("{} bytes too many", surplus.len()))),
        Err(error) => Err(Flaw::Encoding(error.to_string())),
    }
}

/// Bytes that are written at once, not one by one as a sequence would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// 128 bits in 16 bytes, the most significant first: a hash or a random id,
/// which a variable length would only make longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wide([u8; 16]);

impl From<u128> for Wide {
    fn from(number: u128) -> Self {
        Self(number.to_be_bytes())
    }
}

impl From<Wide> for u128 {
    fn from(wide: Wide) -> u128 {
        Self::from_be_bytes(wide.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_with_its_own_key_and_kind_only() {
        let sealed = seal(Kind::Event, b"key", &7_u32);
        assert_eq!(unseal::<u32>(Kind::Event, b"key", &sealed), Ok(7));
        assert_eq!(unseal::<u32>(Kind::Event, b"kez", &sealed), Err(Flaw::Checksum));
        assert_eq!(unseal::<u32>(Kind::Entity, b"key", &sealed), Err(Flaw::Checksum));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(Kind::Event, b"key", &(1_u32, "text"));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal::<(u32, &str)>(Kind::Event, b"key", &flipped), Err(Flaw::Checksum));
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut sealed = seal(Kind::Event, b"", &1_u8);
        sealed[4] = 9;
        reseal(Kind::Event, b"", &mut sealed);
        assert_eq!(unseal::<u8>(Kind::Event, b"", &sealed), Err(Flaw::Version(9)));
    }

    #[test]
    fn what_is_too_short_or_too_long_is_refused() {
        assert_eq!(unseal::<u8>(Kind::Event, b"", &[1, 2]), Err(Flaw::Short));
        let sealed = seal(Kind::Event, b"", &(1_u8, 2_u8));
        assert!(matches!(unseal::<u8>(Kind::Event, b"", &sealed), Err(Flaw::Encoding(_))));
    }
}
