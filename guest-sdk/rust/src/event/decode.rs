//! Reads a variant whose place in the enum is known from the event's name,
//! straight from the JSON of its fields.

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
        value::U32Deserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::Error;

/// Reads an event. `index` is the variant's place among those that `read`, which
/// deserializes the enum, knows.
///
/// # Errors
/// If the body doesn't fit the variant.
pub fn decode_variant<E>(
    index: u32,
    body: &[u8],
    read: impl FnOnce(VariantDeserializer<'_>) -> Result<E, Error>,
) -> Result<E, String> {
    read(VariantDeserializer { index, body }).map_err(|error| error.to_string())
}

/// Gives an enum's variant and nothing else.
pub struct VariantDeserializer<'de> {
    index: u32,
    body: &'de [u8],
}

impl<'de> Deserializer<'de> for VariantDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("an event is a variant of an enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for VariantDeserializer<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let index: U32Deserializer<Error> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for VariantDeserializer<'de> {
    type Error = Error;

    /// A variant without fields takes any body: a kind that has lost its fields
    /// in a later version must still read what was recorded with them.
    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let mut json = serde_json::Deserializer::from_slice(self.body);
        let value = seed.deserialize(&mut json)?;
        json.end()?;
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("an event's fields have names"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // A kind that had no fields at first has an empty body in old journals.
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { self.body };
        let mut json = serde_json::Deserializer::from_slice(body);
        let value = json.deserialize_struct("", fields, visitor)?;
        json.end()?;
        Ok(value)
    }
}
