//! Reading a caller's body, and saying what is wrong with it.

mod place;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use crate::Rejection;

/// The code of every rejection made here.
pub const MALFORMED_BODY: &str = "malformed-body";

/// Where in the body the fault is.
#[derive(Serialize)]
struct Place {
    path: String,
    line: usize,
    column: usize,
}

/// Reads a body that is the whole of an argument.
///
/// # Errors
/// A rejection that says where and why.
#[inline]
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(body).map_err(|error| explain(body, &error))
}

/// Reads a body whose fields are the parameters of a method. No body is the same
/// as an object without fields, so that the complaint names the field that is
/// missing, and there is none if all of them may be.
///
/// # Errors
/// A rejection that says where and why.
#[inline]
pub fn parse_fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    let body = if body.is_empty() { b"{}" } else { body };
    // A struct can also be read from an array of its fields in their order.
    // That is no part of what `describe` says, so it is refused.
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Err(malformed("the body must be a JSON object, and is an array".into())),
        _ => parse(body),
    }
}

/// Checks that a body says nothing, for methods without parameters: it is empty,
/// `{}` or `null`.
///
/// # Errors
/// A rejection, if it says something.
#[inline]
pub fn parse_nothing(body: &[u8]) -> Result<(), Rejection> {
    match body.trim_ascii() {
        b"" | b"{}" | b"null" => Ok(()),
        _ => Err(malformed("no argument is taken here, so the body must be empty or {}".into())),
    }
}

#[cold]
fn explain(body: &[u8], error: &serde_json::Error) -> Rejection {
    if body.trim_ascii().is_empty() {
        return malformed("the body is empty, and must be JSON".into());
    }
    let (line, column) = (error.line(), error.column());
    let path = place::path_at(body, line, column);
    let message = match error.classify() {
        Category::Data if path.is_empty() => format!("the body: {error}"),
        Category::Data => format!("the body's field {path}: {error}"),
        Category::Syntax | Category::Eof | Category::Io => format!("the body is not JSON: {error}"),
    };
    malformed(message).with_details(&Place { path, line, column })
}

#[cold]
fn malformed(message: String) -> Rejection {
    Rejection::new(MALFORMED_BODY, message).with_status(400)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        lines: Vec<Line>,
        #[serde(default)]
        note: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Line {
        quantity: u32,
    }

    #[track_caller]
    fn check(body: &str, message: &str, path: &str) {
        let rejection = parse_fields::<Order>(body.as_bytes()).expect_err("a malformed body");
        assert_eq!((rejection.status(), rejection.code()), (400, MALFORMED_BODY));
        assert_eq!(rejection.message(), message);
        let details: serde_json::Value =
            serde_json::from_slice(rejection.details().expect("details")).expect("JSON");
        assert_eq!(details["path"], path);
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        check(
            r#"{"lines":[{"quantity":1},{"quantity":"two"}]}"#,
            "the body's field lines[1].quantity: invalid type: string \"two\", expected u32 at line 1 column 42",
            "lines[1].quantity",
        );
        check(
            r#"{"lines":[],"notes":""}"#,
            "the body's field notes: unknown field `notes`, expected `lines` or `note` at line 1 column 19",
            "notes",
        );
        check("", "the body: missing field `lines` at line 1 column 2", "");
        check(
            r#"{"lines":[}"#,
            "the body is not JSON: expected value at line 1 column 11",
            "lines",
        );
        check(
            r#"{"lines":[]} and more"#,
            "the body is not JSON: trailing characters at line 1 column 14",
            "",
        );
    }

    #[test]
    fn a_good_body_is_read() {
        let order = Order { lines: vec![Line { quantity: 2 }], note: None };
        assert_eq!(parse_fields(br#" {"lines":[{"quantity":2}]} "#), Ok(order));
    }

    #[test]
    fn fields_are_not_taken_by_position() {
        let rejection = parse_fields::<Order>(b" [[], null]").expect_err("an array");
        assert_eq!(rejection.message(), "the body must be a JSON object, and is an array");
    }

    #[test]
    fn a_method_without_parameters_takes_no_body() {
        for body in ["", " ", "{}", "null", "\n{}\n"] {
            assert_eq!(parse_nothing(body.as_bytes()), Ok(()), "{body:?}");
        }
        assert_eq!(parse_nothing(b"{\"by\":1}").map_err(|r| r.status()), Err(400));
    }
}
