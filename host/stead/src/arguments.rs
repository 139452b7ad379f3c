//! Arguments that several verbs take.

use std::io::Read as _;

use bytes::Bytes;
use http::HeaderValue;
use stead_model::Address;

use crate::failure::Failure;

/// A larger argument is refused before it is read to its end.
const ARGUMENT_BYTES_MAX: u64 = 64 << 20;

/// Reads `TYPE/ID`, for clap.
pub fn address(text: &str) -> Result<Address, String> {
    text.parse::<Address>().map_err(|error| format!("{error}; cart/42 is one"))
}

/// The argument of a command or query.
#[derive(Debug, PartialEq)]
pub struct Argument {
    /// Its bytes.
    pub body: Bytes,
    /// Its content type.
    pub content_type: HeaderValue,
}

/// Reads an argument: a JSON text as it is, `@FILE`, or `-` for standard input.
pub fn argument(
    given: Option<&str>,
    content_type: Option<&str>,
) -> Result<Option<Argument>, Failure> {
    let Some(given) = given else { return Ok(None) };
    let (body, place) = match given {
        "-" => (read_all(std::io::stdin(), "standard input")?, "standard input"),
        _ => match given.strip_prefix('@') {
            Some(path) => {
                let file = std::fs::File::open(path)
                    .map_err(|error| Failure::file("opened", path.as_ref(), &error))?;
                (read_all(file, path)?, path)
            }
            None => (given.as_bytes().to_vec(), "the argument"),
        },
    };
    let content_type = match content_type {
        Some(text) => HeaderValue::from_str(text)
            .map_err(|_| Failure::usage(format!("{text:?} is no content type")))?,
        None => {
            check_json(&body, place)?;
            HeaderValue::from_static("application/json")
        }
    };
    Ok(Some(Argument { body: body.into(), content_type }))
}

fn check_json(body: &[u8], place: &str) -> Result<(), Failure> {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).map(|_| ()).map_err(|error| {
        let failure = Failure::usage(format!("{place} is no JSON: {error}"))
            .hint("a text is in double quotes, and the whole in single ones: '{\"sku\": \"tea\"}'");
        failure
            .hint("@FILE reads a file, - standard input; other kinds of data want --content-type")
    })
}

fn read_all(from: impl std::io::Read, place: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(ARGUMENT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::file("read", place.as_ref(), &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > ARGUMENT_BYTES_MAX {
        return Err(Failure::usage(format!("{place} has over {ARGUMENT_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn json_is_checked_before_it_is_sent() {
        let found = argument(Some("{\"a\": 1}"), None).expect("good").expect("an argument");
        assert_eq!(found.body, "{\"a\": 1}");
        assert_eq!(found.content_type, "application/json");
        let failure = argument(Some("{a: 1}"), None).expect_err("no JSON");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("line 1 column 2"), "{}", failure.message);
    }

    #[test]
    fn other_content_types_are_sent_as_they_are() {
        let found = argument(Some("{a"), Some("text/plain")).expect("good").expect("an argument");
        assert_eq!(found.body, "{a");
        assert_eq!(found.content_type, "text/plain");
        assert!(argument(Some("x"), Some("text\n")).is_err());
    }

    #[test]
    fn files_are_read_and_a_missing_one_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[1]").expect("written");
        let given = format!("@{}", file.path().display());
        assert_eq!(argument(Some(&given), None).expect("good").expect("an argument").body, "[1]");
        let failure = argument(Some("@/nonexistent/x"), None).expect_err("no file");
        assert_eq!(failure.exit, Exit::NotFound);
        assert!(failure.message.contains("/nonexistent/x"), "{}", failure.message);
    }
}
