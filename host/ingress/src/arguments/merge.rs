//! Fields from a URL and a body's own, as one argument.

use std::{collections::HashSet, fmt};

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{ArgumentError, Field};
use crate::json::{self, ObjectWriter};

/// The body with the URL's fields added. The body is kept byte for byte.
///
/// # Errors
/// If there are fields to add and the body is not a JSON object, or has one of
/// them itself.
pub fn merge(fields: Vec<Field>, body: &[u8]) -> Result<Vec<u8>, ArgumentError> {
    let (mut object, own) = if body.trim_ascii().is_empty() {
        (ObjectWriter::new(), HashSet::new())
    } else {
        let own = names(body)?;
        let object = ObjectWriter::continuing(body, own.is_empty());
        (object.ok_or_else(not_an_object)?, own)
    };
    for (name, value) in fields {
        if own.contains(&name) {
            return Err(ArgumentError(format!(
                "{name} is in the URL and in the body; give it in one of them"
            )));
        }
        object.raw(&name, &value);
    }
    Ok(object.finish())
}

fn not_an_object() -> ArgumentError {
    ArgumentError("the body must be a JSON object, as the URL adds fields to it".into())
}

/// The names of a JSON object's fields.
fn names(body: &[u8]) -> Result<HashSet<String>, ArgumentError> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = HashSet<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names = HashSet::new();
            while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
                if !names.insert(name) {
                    return Err(A::Error::custom("a field is given twice"));
                }
            }
            Ok(names)
        }
    }

    let mut reader = serde_json::Deserializer::from_slice(body);
    let names = reader.deserialize_map(Names).and_then(|names| reader.end().map(|()| names));
    names.map_err(|error| match error.is_data() && json::check(body).is_ok() {
        true if error.to_string().starts_with("a field") => ArgumentError(error.to_string()),
        true => not_an_object(),
        false => ArgumentError(format!("the body is not JSON: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<&str, &str>) {
        let fields = vec![("sku".to_owned(), b"\"a\"".to_vec()), ("n".to_owned(), b"1".to_vec())];
        let found = merge(fields, body.as_bytes());
        let found = found.map(|json| String::from_utf8(json).expect("UTF-8"));
        assert_eq!(found.as_deref().map_err(|error| &*error.0), expected);
    }

    #[test]
    fn fields_are_added_to_the_body() {
        check("", Ok(r#"{"sku":"a","n":1}"#));
        check(" {} ", Ok(r#"{"sku":"a","n":1}"#));
        check("{ \n }", Ok("{ \n \"sku\":\"a\",\"n\":1}"));
        check(r#"{"q": 1e999}"#, Ok(r#"{"q": 1e999,"sku":"a","n":1}"#));
    }

    #[test]
    fn a_field_has_one_place() {
        check(r#"{"sku": "b"}"#, Err("sku is in the URL and in the body; give it in one of them"));
        check(
            r#"{"\u0073ku": "b"}"#,
            Err("sku is in the URL and in the body; give it in one of them"),
        );
        check(r#"{"x": 1, "x": 2}"#, Err("a field is given twice at line 1 column 16"));
        check("[1]", Err("the body must be a JSON object, as the URL adds fields to it"));
        check("1", Err("the body must be a JSON object, as the URL adds fields to it"));
    }
}
