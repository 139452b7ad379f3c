//! Who is who in a cluster.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// The number.
            #[must_use]
            pub const fn get(self) -> u128 {
                self.0
            }

            /// Reads 32 hexadecimal digits.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
            }

            /// The first eight digits, for people.
            #[must_use]
            pub fn short(self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Digits where people read it, the number where only programs do.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_u128(self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return u128::deserialize(deserializer).map(Self);
                }
                let text = String::deserialize(deserializer)?;
                Self::parse(&text)
                    .ok_or_else(|| de::Error::custom(concat!($what, " is 32 hexadecimal digits")))
            }
        }
    };
}

identity! {
    /// A node: one `stead` process with its own data directory. Drawn when the
    /// directory is made, so a node that lost it comes back as another.
    NodeId, "a node's id"
}
identity! {
    /// A cluster. Drawn when it is created; nodes of different clusters don't
    /// speak with each other.
    ClusterId, "a cluster's id"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_what_it_writes() {
        let id = NodeId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(NodeId::parse(&id.to_string()), Some(id));
        assert_eq!(id.short(), "01234567");
        assert_eq!(NodeId::parse("+1234567012345670123456701234567"), None);
        assert_eq!(NodeId::parse("12"), None);
        let json = serde_json::to_string(&id).expect("JSON");
        assert_eq!(json, "\"0123456789abcdef0011223344556677\"");
        assert_eq!(serde_json::from_str::<NodeId>(&json).expect("an id"), id);
        let bytes = postcard::to_allocvec(&id).expect("bytes");
        assert_eq!(postcard::from_bytes::<NodeId>(&bytes).expect("an id"), id);
    }
}
