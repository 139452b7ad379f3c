//! What a request's head says beside its path.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use stead_model::RequestId;

use super::table::{OperationEntry, essence};
use crate::problem::Problem;

/// The caller's own id for a command.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long the caller waits, in milliseconds.
const DEADLINE_MS: HeaderName = HeaderName::from_static("stead-deadline-ms");

/// The caller's key, if there is one.
pub fn request_id(headers: &HeaderMap) -> Result<Option<RequestId>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refused = |reason: &str| {
        Err(Problem::bad_request("malformed-idempotency-key", format!("Idempotency-Key: {reason}")))
    };
    if values.next().is_some() {
        return refused("there is more than one; a command has one key");
    }
    match value.to_str().map(RequestId::parse) {
        Ok(Ok(id)) => Ok(Some(id)),
        Ok(Err(error)) => refused(&error.to_string()),
        Err(_) => refused("an idempotency key has visible ASCII characters only"),
    }
}

/// How long the caller waits: what it says, and never more than the limit.
pub fn deadline(headers: &HeaderMap, deadline_ms_max: u64) -> Result<Duration, Problem> {
    let most = Duration::from_millis(deadline_ms_max);
    let Some(value) = headers.get(DEADLINE_MS) else { return Ok(most) };
    match value.to_str().map(|text| text.trim().parse::<u64>()) {
        Ok(Ok(ms @ 1..)) => Ok(Duration::from_millis(ms).min(most)),
        _ => Err(Problem::bad_request(
            "malformed-deadline",
            format!(
                "Stead-Deadline-Ms is a whole number of milliseconds from 1; more than {deadline_ms_max} counts as that"
            ),
        )),
    }
}

/// Checks that a body is of the type that the operation takes.
pub fn check_content(headers: &HeaderMap, operation: &OperationEntry) -> Result<(), Problem> {
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-content-encoding",
            "bodies are taken as they are; send this one without Content-Encoding",
        ));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    if operation.request_type.is_empty()
        || value.as_bytes() == operation.request_type.as_bytes()
        || value.to_str().is_ok_and(|text| essence(text) == operation.request_type)
    {
        return Ok(());
    }
    let given: String = String::from_utf8_lossy(value.as_bytes()).chars().take(80).collect();
    let (name, wanted) = (&operation.name, &operation.request_type);
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-content-type",
        format!("{name} takes {wanted}, and the body is said to be {given:?}: send `Content-Type: {wanted}`, or leave it out"),
    )
    .with("expected", wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let name = HeaderName::from_static(name);
        values.iter().map(|v| (name.clone(), http::HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_deadline_is_capped_and_never_nought() {
        let of =
            |value| deadline(&headers("stead-deadline-ms", &[value]), 1_000).map(|d| d.as_millis());
        assert_eq!(of("1").ok(), Some(1));
        assert_eq!(of("5000").ok(), Some(1_000));
        for value in ["0", "-1", "1.5", "soon", ""] {
            assert!(of(value).is_err(), "{value:?}");
        }
        assert_eq!(deadline(&HeaderMap::new(), 7).map(|d| d.as_millis()).ok(), Some(7));
    }

    #[test]
    fn there_is_one_key_or_none() {
        let of = |values: &[&'static str]| request_id(&headers("idempotency-key", values));
        assert!(matches!(of(&[]), Ok(None)));
        assert!(matches!(of(&["a"]), Ok(Some(RequestId::Caller(_)))));
        assert!(of(&["a", "b"]).is_err());
        assert!(of(&["two words"]).is_err());
        assert!(of(&[""]).is_err());
    }
}
