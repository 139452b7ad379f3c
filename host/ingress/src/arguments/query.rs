//! The query string of a URL.

use std::borrow::Cow;

use super::{ArgumentError, Field, Fields};
use crate::{json, percent};

/// The most parameters that a query string may have.
const PARAMETERS_MAX: usize = 256;

/// The parameter that holds a whole argument as JSON, if it is the only one.
const WHOLE: &str = "args";

/// What a query string says.
#[derive(Debug, PartialEq, Eq)]
pub enum QueryArgument {
    /// The whole argument, as JSON.
    Whole(Vec<u8>),
    /// Its fields.
    Fields(Vec<Field>),
}

/// Reads a query string.
///
/// # Errors
/// If it is badly encoded, has too many parameters, or a value is not of the
/// kind that the schema wants.
pub fn of_query(query: &str, fields: &Fields) -> Result<QueryArgument, ArgumentError> {
    let mut parameters: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
    for (at, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if at == PARAMETERS_MAX {
            return Err(ArgumentError(format!(
                "the query string has more than {PARAMETERS_MAX} parameters"
            )));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        match parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => parameters.push((name, vec![value])),
        }
    }
    if let [(name, values)] = parameters.as_slice()
        && let [value] = values.as_slice()
        && name == WHOLE
        && !fields.has(WHOLE)
    {
        return match json::check(value.as_bytes()) {
            Ok(()) => Ok(QueryArgument::Whole(value.as_bytes().to_vec())),
            Err(error) => Err(ArgumentError(format!("{WHOLE} is not JSON: {error}"))),
        };
    }
    let converted = parameters.into_iter().map(|(name, values)| {
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        let value = fields.convert(&name, &values)?;
        Ok((name.into_owned(), value))
    });
    Ok(QueryArgument::Fields(converted.collect::<Result<_, _>>()?))
}

fn decode(text: &str) -> Result<Cow<'_, str>, ArgumentError> {
    percent::decode_form(text)
        .map_err(|error| ArgumentError(format!("the query string {}", error.reason())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields::of(Some(r#"{"properties": {"limit": {"type": "integer"}}}"#))
    }

    #[track_caller]
    fn check(query: &str, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()));
        let expected = QueryArgument::Fields(expected.collect());
        assert_eq!(of_query(query, &fields()), Ok(expected), "{query}");
    }

    #[test]
    fn parameters_become_fields() {
        check("", &[]);
        check("&&", &[]);
        check("limit=5&sku=a%26b+c", &[("limit", "5"), ("sku", "\"a&b c\"")]);
        check("a=1&b=2&a=3", &[("a", "[\"1\",\"3\"]"), ("b", "\"2\"")]);
        check("flag", &[("flag", "\"\"")]);
        check("args=1&more=2", &[("args", "\"1\""), ("more", "\"2\"")]);
    }

    #[test]
    fn a_whole_argument_can_be_given() {
        let whole = of_query("args=%5B1%2C2%5D", &fields());
        assert_eq!(whole, Ok(QueryArgument::Whole(b"[1,2]".to_vec())));
        assert!(of_query("args=%5B1", &fields()).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert!(of_query("a=%zz", &fields()).is_err());
        assert!(of_query("a=%ff", &fields()).is_err());
        assert!(of_query("limit=x", &fields()).is_err());
        let many = vec!["a=1"; 257].join("&");
        assert!(of_query(&many, &fields()).is_err());
    }
}
