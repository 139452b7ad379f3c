//! JSON text that is put together rather than modelled: bodies of entities are
//! passed on byte for byte, so that a number too large for this program, or the
//! order of fields, stays what the caller or the entity wrote.

use std::fmt;

use serde::{Serialize, de::IgnoredAny};

/// Writes one JSON object, field by field.
#[derive(Debug)]
pub struct ObjectWriter {
    text: Vec<u8>,
    empty: bool,
}

impl ObjectWriter {
    /// An object without fields.
    pub fn new() -> Self {
        Self { text: vec![b'{'], empty: true }
    }

    /// An object that begins with the fields of another, given as text that has
    /// been checked. `None` if the text is no object.
    pub fn continuing(object: &[u8], empty: bool) -> Option<Self> {
        let inner = object.trim_ascii().strip_suffix(b"}")?;
        inner.starts_with(b"{").then(|| Self { text: inner.to_vec(), empty })
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        self.name(name);
        append(&mut self.text, value);
        self
    }

    /// Adds a field whose value is JSON text that has been checked.
    pub fn raw(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.name(name);
        self.text.extend_from_slice(value);
        self
    }

    /// Adds bytes of an entity: under `name` if they are JSON, and should be,
    /// else in base64 under `name-base64`. The text has no line breaks, so that
    /// an object stays one line.
    pub fn bytes(&mut self, name: &str, bytes: &[u8], should_be_json: bool) -> &mut Self {
        if should_be_json && check(bytes).is_ok() {
            self.name(name);
            // Between JSON's tokens a line break is worth a space, and inside
            // of a string there is none.
            let one_line = bytes.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b });
            self.text.extend(one_line);
            self
        } else {
            self.field(&format!("{name}-base64"), &base64(bytes))
        }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.empty, false) {
            self.text.push(b',');
        }
        append(&mut self.text, name);
        self.text.push(b':');
    }

    /// The text.
    pub fn finish(mut self) -> Vec<u8> {
        self.text.push(b'}');
        self.text
    }
}

/// A value as JSON.
pub fn to_vec(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    append(&mut text, value);
    text
}

fn append(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value)
        .expect("what is written here has text for keys, and a vector takes all of it");
}

/// Where and why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes.
    pub column: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.reason, self.line, self.column)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let mut reason = error.to_string();
        // The place is told apart from it.
        if let Some(end) = reason.rfind(" at line ") {
            reason.truncate(end);
        }
        Self { reason, line, column }
    }
}

/// Whether bytes are one JSON value, and if not, where and why.
pub fn check(bytes: &[u8]) -> Result<(), Fault> {
    // Strings whose values nobody wants are passed over unread, so whether they
    // are UTF-8 has to be seen to first.
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Fault { reason: "it is not UTF-8".into(), line, column }
    })?;
    Ok(serde_json::from_str::<IgnoredAny>(text).map(|_| ())?)
}

/// Base64 with padding, in the usual alphabet.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS.get((group >> (18 - 6 * place) & 63) as usize);
            let needed = place <= chunk.len();
            text.push(if needed { char::from(*digit.unwrap_or(&b'=')) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }

    #[test]
    fn an_object_is_continued() {
        let mut object = ObjectWriter::continuing(b" {\"a\": 1e400 } ", false).expect("an object");
        object.field("b", "\"").raw("c", b"[0]");
        assert_eq!(object.finish(), br#"{"a": 1e400 ,"b":"\"","c":[0]}"#);
        assert!(ObjectWriter::continuing(b"[]", true).is_none());
        assert!(ObjectWriter::continuing(b"", true).is_none());
        assert!(ObjectWriter::continuing(b"}", true).is_none());
        let mut object = ObjectWriter::continuing(b"{ }", true).expect("an object");
        object.field("b", &1);
        assert_eq!(object.finish(), br#"{ "b":1}"#);
    }

    #[test]
    fn bytes_stay_on_one_line() {
        let mut object = ObjectWriter::new();
        object.bytes("a", b"{\n\t\"x\\n\": 1\r\n}", true).bytes("b", b"1", false);
        assert_eq!(object.finish(), b"{\"a\":{ \t\"x\\n\": 1  },\"b-base64\":\"MQ==\"}");
    }

    #[test]
    fn a_reason_is_told_without_its_place() {
        let fault = |bytes: &[u8]| check(bytes).expect_err("no JSON").to_string();
        assert_eq!(fault(b"{\"a\":\n tru}"), "expected ident at line 2 column 5");
        assert_eq!(fault(b"[\n\"\xff\"]"), "it is not UTF-8 at line 2 column 2");
        assert_eq!(fault(b"\xff"), "it is not UTF-8 at line 1 column 1");
    }
}
