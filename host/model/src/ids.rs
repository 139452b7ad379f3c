//! Numbers and hashes that must not be mistaken for each other.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A partition of the cluster, from 0 to one less than the partition count.
    PartitionId(u16)
}
number! {
    /// The number of an entity's event: dense, from 1, never reused. 0 stands
    /// for "before the first event".
    SequenceNumber(u64)
}
number! {
    /// The position of an entry in its partition's log: dense, from 1. 0 stands
    /// for "before the first entry".
    LogIndex(u64)
}
number! {
    /// The term of the leader that appended an entry.
    Term(u64)
}
number! {
    /// Milliseconds since the Unix epoch, by the clock of the node that wrote it.
    TimestampMs(u64)
}
number! {
    /// Which deployment of an entity type: 1 for the first, one more with each
    /// deployment of other code.
    TypeVersion(u32)
}

impl SequenceNumber {
    /// The number after this one.
    ///
    /// # Panics
    /// At the end of the numbers: at a million events a second, after 580,000 years.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The number `count` after this one.
    ///
    /// # Panics
    /// As [`Self::next`].
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.checked_add(count).expect("sequence numbers do not run out"))
    }
}

impl LogIndex {
    /// The index after this one.
    ///
    /// # Panics
    /// As [`SequenceNumber::next`].
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("log indexes do not run out"))
    }
}

impl TimestampMs {
    /// This time and a span of milliseconds after it; the end of time if that is past it.
    #[must_use]
    pub fn plus_ms(self, span_ms: u64) -> Self {
        Self(self.0.saturating_add(span_ms))
    }
}

/// An entry of a partition's log, and nothing else there ever was: of two
/// entries with the same term and index one is a copy of the other.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// The term of the leader that appended it.
    pub term: Term,
    /// Its index. 0 stands for "before the first entry".
    pub index: LogIndex,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of term {}", self.index, self.term)
    }
}

/// The SHA-256 of a component's bytes: its name in the component store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentHash(pub [u8; 32]);

impl ComponentHash {
    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ComponentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComponentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("a component hash is 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_hash_reads_what_it_writes() {
        let hash = ComponentHash(std::array::from_fn(|i| (i * 7) as u8));
        assert_eq!(ComponentHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(ComponentHash::parse("00"), None);
        assert_eq!(ComponentHash::parse(&"g".repeat(64)), None);
        assert_eq!(ComponentHash::parse(&"é".repeat(32)), None);
    }
}
