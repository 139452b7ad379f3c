//! Percent-encoding, read strictly: a caller who encodes wrongly means another
//! entity than the one it would get.

use std::borrow::Cow;

/// Why a text can't be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PercentError {
    /// A percent sign is not followed by two hexadecimal digits.
    Sequence,
    /// The bytes are no UTF-8.
    Utf8,
}

impl PercentError {
    /// What is wrong, to be put after the name of the thing.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Sequence => {
                "has a % that is not followed by two hexadecimal digits; a percent sign itself is %25"
            }
            Self::Utf8 => "is, once percent-decoded, not UTF-8",
        }
    }
}

/// A segment of a path. Copies only if something is encoded.
pub fn decode(text: &str) -> Result<Cow<'_, str>, PercentError> {
    if !text.as_bytes().contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = decode_bytes(text.as_bytes(), |byte| byte)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| PercentError::Utf8)
}

/// A name or value of a query string, where a plus is a space.
pub fn decode_form(text: &str) -> Result<Cow<'_, str>, PercentError> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = decode_bytes(text.as_bytes(), |byte| if byte == b'+' { b' ' } else { byte })?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| PercentError::Utf8)
}

fn decode_bytes(text: &[u8], plain: impl Fn(u8) -> u8) -> Result<Vec<u8>, PercentError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(plain(byte));
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(PercentError::Sequence);
        };
        bytes.push((high << 4 | low) as u8);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_strictly() {
        assert!(matches!(decode("plain+é"), Ok(Cow::Borrowed("plain+é"))));
        assert_eq!(decode("a%2Fb%20%f0%9F%9b%92").as_deref(), Ok("a/b 🛒"));
        assert_eq!(decode("100%25").as_deref(), Ok("100%"));
        for text in ["%", "%2", "%zz", "%+1", "%é"] {
            assert_eq!(decode(text), Err(PercentError::Sequence), "{text}");
        }
        for text in ["%ff", "%c3", "%ed%a0%80"] {
            assert_eq!(decode(text), Err(PercentError::Utf8), "{text}");
        }
    }

    #[test]
    fn a_plus_is_a_space_in_query_strings_only() {
        assert_eq!(decode_form("a+b%2Bc").as_deref(), Ok("a b+c"));
        assert_eq!(decode("a+b%2Bc").as_deref(), Ok("a+b+c"));
    }
}
