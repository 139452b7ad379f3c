//! Idempotency keys.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The most bytes that a caller's `Idempotency-Key` may have.
pub const REQUEST_KEY_BYTES_MAX: usize = 128;

/// The idempotency key of a command. It is looked up per entity: the same key
/// sent to two entities is two requests.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RequestId {
    /// Chosen by the caller: 1 to 128 visible ASCII characters.
    Caller(Box<str>),
    /// Minted at the ingress: the time in milliseconds in the upper 48 bits,
    /// the rest random, so that ids sort by age.
    Minted(u128),
}

/// A text that is no request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to {REQUEST_KEY_BYTES_MAX} visible ASCII characters")]
pub struct RequestIdError;

impl RequestId {
    /// What a minted id looks like to callers: this, and 32 hexadecimal digits.
    const MINTED_PREFIX: &str = "stead-";

    /// Mints an id from the time and 128 random bits, of which 80 are used.
    #[must_use]
    pub fn mint(now: crate::TimestampMs, random: u128) -> Self {
        Self::Minted((u128::from(now.get()) << 80) | (random >> 48))
    }

    /// Whether a node minted it, so that nobody else ever uses it for anything else.
    #[must_use]
    pub fn is_minted(&self) -> bool {
        matches!(self, Self::Minted(_))
    }

    /// Reads a key as a caller sends it. One that looks as if minted here is
    /// taken as minted: that is how a caller retries a command whose outcome
    /// it was left unsure of.
    ///
    /// # Errors
    /// If it is empty, too long, or not of visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        let plain = text.bytes().all(|b| b.is_ascii_graphic());
        if text.is_empty() || text.len() > REQUEST_KEY_BYTES_MAX || !plain {
            return Err(RequestIdError);
        }
        if let Some(digits) = text.strip_prefix(Self::MINTED_PREFIX)
            && digits.len() == 32
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && let Ok(id) = u128::from_str_radix(digits, 16)
        {
            return Ok(Self::Minted(id));
        }
        Ok(Self::Caller(text.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(key) => f.write_str(key),
            Self::Minted(id) => write!(f, "{}{id:032x}", Self::MINTED_PREFIX),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A hash of what a command says: XXH3 (128 bits) of its name, a zero byte and
/// its body. It tells an honest mistake (one key, two requests) from a retry; it
/// is no defence against a caller who makes collisions of its own requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestDigest(pub u128);

impl RequestDigest {
    /// The digest of a command.
    #[must_use]
    pub fn of(name: &str, body: &[u8]) -> Self {
        if body.len() < 256 {
            let mut whole = Vec::with_capacity(name.len() + 1 + body.len());
            whole.extend_from_slice(name.as_bytes());
            whole.push(0);
            whole.extend_from_slice(body);
            return Self(xxh3_128(&whole));
        }
        let mut hasher = Xxh3::new();
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        hasher.update(body);
        Self(hasher.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TimestampMs;

    #[test]
    fn a_minted_id_reads_what_it_writes_and_sorts_by_age() {
        let older = RequestId::mint(TimestampMs(1_000), u128::MAX);
        let newer = RequestId::mint(TimestampMs(1_001), 0);
        assert!(older < newer);
        assert_eq!(RequestId::parse(&older.to_string()), Ok(older));
    }

    #[test]
    fn keys_are_bounded_and_plain() {
        assert_eq!(RequestId::parse("order-7"), Ok(RequestId::Caller("order-7".into())));
        for text in ["", "two words", "é", "line\n", &"x".repeat(129)] {
            assert_eq!(RequestId::parse(text), Err(RequestIdError), "{text:?}");
        }
        let upper = format!("stead-{}", "A".repeat(32));
        assert_eq!(RequestId::parse(&upper), Ok(RequestId::Caller(upper.into())));
    }

    #[test]
    fn a_digest_is_the_same_either_way_it_is_computed() {
        for size in [0, 1, 254, 255, 256, 4096] {
            let body = vec![7; size];
            let mut hasher = Xxh3::new();
            hasher.update(b"name\0");
            hasher.update(&body);
            assert_eq!(RequestDigest::of("name", &body).0, hasher.digest128());
        }
    }
}
