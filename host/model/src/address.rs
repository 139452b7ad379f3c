//! Where an entity is: its type and its id.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The most bytes that an entity type's name may have.
pub const ENTITY_TYPE_BYTES_MAX: usize = 64;
/// The most bytes that an entity's id may have, in UTF-8.
pub const ENTITY_ID_BYTES_MAX: usize = 512;

/// Why a text is no entity type, entity id or address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The type's name is empty, too long, or has characters that it may not have.
    #[error(
        "an entity type is 1 to {ENTITY_TYPE_BYTES_MAX} lower case letters, digits and hyphens, and begins with a letter"
    )]
    Type,
    /// The id is empty.
    #[error("an entity id has at least one character")]
    IdEmpty,
    /// The id is over [`ENTITY_ID_BYTES_MAX`] bytes.
    #[error("an entity id has at most {ENTITY_ID_BYTES_MAX} bytes; this one has {0}")]
    IdTooLong(usize),
    /// The id has a control character, which no log or terminal should have to show.
    #[error("an entity id has no control characters; this one has U+{0:04X}")]
    IdControl(u32),
    /// An address lacks the slash between type and id.
    #[error("an address is TYPE/ID, and this has no slash")]
    NoSlash,
}

/// The name under which a component is deployed: `cart`.
///
/// 1 to 64 bytes of lower case letters, digits and hyphens, the first a letter.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityType(Arc<str>);

impl EntityType {
    /// Checks a name.
    ///
    /// # Errors
    /// [`AddressError::Type`].
    pub fn new(name: &str) -> Result<Self, AddressError> {
        if is_kebab_name(name, ENTITY_TYPE_BYTES_MAX) {
            Ok(Self(name.into()))
        } else {
            Err(AddressError::Type)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is a name as types, commands, queries and events have it:
/// lower case letters, digits and hyphens, the first a letter, at most
/// `bytes_max` long.
#[must_use]
pub(crate) fn is_kebab_name(name: &str, bytes_max: usize) -> bool {
    name.len() <= bytes_max
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Which entity of its type: any text of 1 to 512 bytes without control
/// characters. Compared byte for byte: no case folding, no Unicode
/// normalisation. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityId(Arc<str>);

impl EntityId {
    /// Checks an id.
    ///
    /// # Errors
    /// The variants of [`AddressError`] that begin with `Id`.
    pub fn new(id: &str) -> Result<Self, AddressError> {
        if id.is_empty() {
            return Err(AddressError::IdEmpty);
        }
        if id.len() > ENTITY_ID_BYTES_MAX {
            return Err(AddressError::IdTooLong(id.len()));
        }
        if let Some(control) = id.chars().find(|c| c.is_control()) {
            return Err(AddressError::IdControl(control.into()));
        }
        Ok(Self(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One entity: `cart/42`. The id may have slashes; the type may not, so the
/// first slash parts them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The type.
    pub entity_type: EntityType,
    /// The id within the type.
    pub id: EntityId,
}

impl Address {
    /// An address of checked parts.
    #[must_use]
    pub fn new(entity_type: EntityType, id: EntityId) -> Self {
        Self { entity_type, id }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (entity_type, id) = text.split_once('/').ok_or(AddressError::NoSlash)?;
        Ok(Self { entity_type: EntityType::new(entity_type)?, id: EntityId::new(id)? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entity_type, self.id)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = AddressError;

            fn try_from(text: String) -> Result<Self, AddressError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = AddressError;

            fn from_str(text: &str) -> Result<Self, AddressError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

text_newtype!(EntityType);
text_newtype!(EntityId);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str), AddressError>) {
        let found = text.parse::<Address>();
        match expected {
            Ok((entity_type, id)) => {
                let address = found.expect("an address");
                assert_eq!((address.entity_type.as_str(), address.id.as_str()), (entity_type, id));
                assert_eq!(address.to_string(), text);
            }
            Err(error) => assert_eq!(found, Err(error)),
        }
    }

    #[test]
    fn an_address_is_split_at_its_first_slash() {
        check("cart/42", Ok(("cart", "42")));
        check("cart/a/b//c", Ok(("cart", "a/b//c")));
        check("cart/é 漢/🛒", Ok(("cart", "é 漢/🛒")));
        check("cart", Err(AddressError::NoSlash));
    }

    #[test]
    fn types_are_short_and_plain() {
        for name in ["", "Cart", "1cart", "-cart", "ca_rt", "ça"] {
            check(&format!("{name}/1"), Err(AddressError::Type));
        }
        check(&format!("{}/1", "a".repeat(65)), Err(AddressError::Type));
        assert!(EntityType::new(&"a".repeat(64)).is_ok());
    }

    #[test]
    fn ids_are_bounded_and_printable() {
        check("cart/", Err(AddressError::IdEmpty));
        check(&format!("cart/{}", "x".repeat(513)), Err(AddressError::IdTooLong(513)));
        check("cart/a\nb", Err(AddressError::IdControl(10)));
        assert!(EntityId::new(&"x".repeat(512)).is_ok());
    }
}
