//! What went wrong, as `application/problem+json`.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;
use serde::Serialize;

use crate::json::{self, ObjectWriter};

/// The header with a command's request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("stead-request-id");

/// The content type of problems.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What a caller is told when there is no answer. Its `type` is
/// `urn:stead:problem:` and the name of the kind; `code` is what a program
/// matches on: the same name, or an entity's own for a rejection.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    code: String,
    detail: String,
    /// Further members and their JSON.
    members: Vec<(String, Vec<u8>)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of a kind, with a sentence that says what, where, and what to do.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        let (members, headers) = (Vec::new(), Vec::new());
        Self { status, kind, code: kind.into(), detail: detail.into(), members, headers }
    }

    /// A request that can't be understood.
    #[must_use]
    pub fn bad_request(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, detail)
    }

    /// The problem under a code of its own.
    #[must_use]
    pub fn with_code(mut self, code: String) -> Self {
        self.code = code;
        self
    }

    /// The problem with another member.
    #[must_use]
    pub fn with(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.members.push((name.into(), json::to_vec(value)));
        self
    }

    /// The problem with another member, JSON text that has been checked.
    #[must_use]
    pub fn with_raw(mut self, name: &str, value: &[u8]) -> Self {
        self.members.push((name.into(), value.to_vec()));
        self
    }

    /// The problem with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The problem with the id of its request, in body and headers.
    #[must_use]
    pub fn with_request_id(self, id: &str) -> Self {
        let problem = self.with("request-id", id);
        match HeaderValue::from_str(id) {
            Ok(value) => problem.with_header(REQUEST_ID, value),
            Err(_) => problem,
        }
    }

    /// The problem with the time after which to try again.
    #[must_use]
    pub fn retry_after_ms(self, retry_after_ms: u64) -> Self {
        // The header knows whole seconds only, and nought would be "at once".
        let seconds = retry_after_ms.div_ceil(1_000).max(1);
        self.with("retry-after-ms", &retry_after_ms)
            .with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The problem with the methods that would have been right.
    #[must_use]
    pub fn allow(self, methods: &str) -> Self {
        match HeaderValue::from_str(methods) {
            Ok(value) => self.with_header(ALLOW, value),
            Err(_) => self,
        }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether a header of this name is set already.
    #[must_use]
    pub fn has_header(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|(set, _)| set == name)
    }

    /// Its JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut object = ObjectWriter::new();
        object
            .field("type", &format!("urn:stead:problem:{}", self.kind))
            .field("title", self.status.canonical_reason().unwrap_or("Rejected"))
            .field("status", &self.status.as_u16())
            .field("code", &self.code)
            .field("detail", &self.detail);
        for (name, value) in &self.members {
            object.raw(name, value);
        }
        object.finish()
    }

    /// The answer.
    #[must_use]
    pub fn into_answer(self) -> Response<Full<Bytes>> {
        self.into_response_with(|json| Full::new(Bytes::from(json)))
    }

    /// The answer, with a body made of its JSON.
    pub fn into_response_with<B>(self, body: impl FnOnce(Vec<u8>) -> B) -> Response<B> {
        let mut response = Response::new(body(self.to_json()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.into_answer().map(axum::body::Body::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn retry_after(ms: u64) -> String {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "x", "").retry_after_ms(ms);
        let response = problem.into_answer();
        response.headers()[RETRY_AFTER].to_str().expect("text").to_owned()
    }

    #[test]
    fn retry_after_is_in_whole_seconds_and_never_nought() {
        assert_eq!(
            ["1", "1", "1", "2"],
            [0, 1, 1_000, 1_001].map(retry_after).each_ref().map(|s| &**s)
        );
    }
}
