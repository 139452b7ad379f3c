//! What a node answers when it can't do what was asked:
//! `application/problem+json`.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use crate::{
    failure::{Exit, Failure},
    output::tame,
};

/// A node's "no".
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// All members of the answer; empty if it was no JSON.
    pub members: Map<String, Value>,
    /// The answer as text, if it was no JSON.
    pub text: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// Reads an answer whose status is no success.
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retry_after = headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => {
                Self { status, members, text: String::new(), retry_after }
            }
            _ => {
                let text: String = String::from_utf8_lossy(body).chars().take(500).collect();
                Self { status, members: Map::new(), text, retry_after }
            }
        }
    }

    /// A problem that came in the midst of an answer.
    pub fn from_members(members: Map<String, Value>) -> Self {
        let status = members
            .get("status")
            .and_then(Value::as_u64)
            .and_then(|status| u16::try_from(status).ok());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, members, text: String::new(), retry_after: None }
    }

    /// A member that is text.
    pub fn text_of(&self, member: &str) -> Option<&str> {
        self.members.get(member)?.as_str()
    }

    /// What kind of problem it is: the last part of its `type`.
    pub fn kind(&self) -> &str {
        self.text_of("type").and_then(|kind| kind.strip_prefix("urn:stead:problem:")).unwrap_or("")
    }

    /// Whether the entity itself said no, rather than the node.
    pub fn is_rejection(&self) -> bool {
        self.kind() == "rejected"
    }

    /// Whether trying again under the same key makes sense.
    pub fn is_worth_a_retry(&self) -> bool {
        matches!(self.exit(), Exit::NotNow | Exit::OutcomeUnknown)
    }

    /// The failure to tell; `what` is what was asked for.
    pub fn into_failure(self, what: &str) -> Failure {
        let exit = self.exit();
        let title = self.text_of("title").unwrap_or_else(|| {
            self.status.canonical_reason().unwrap_or("an answer that is no success")
        });
        let detail = self.text_of("detail").unwrap_or(&self.text);
        let said = match (self.is_rejection(), detail.is_empty()) {
            (true, _) => {
                let code = self.text_of("code").unwrap_or("rejected");
                format!("rejected ({code}): {detail}")
            }
            (false, true) => title.to_owned(),
            (false, false) => detail.to_owned(),
        };
        let mut failure = Failure::new(exit, format!("{what}: {}", tame(&said)));
        failure.hints = self.hints(exit);
        failure.problem = Some(Box::new(self));
        failure
    }

    /// The exit code: by the kind, or by the status where something between
    /// here and the node answered in its stead.
    fn exit(&self) -> Exit {
        match self.kind() {
            "rejected" => return Exit::Rejected,
            "deadline-passed" | "disk-full" => return Exit::NotNow,
            "entity-failed" | "entity-unreadable" => return Exit::GuestFailed,
            _ => {}
        }
        match self.status {
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Exit::NotNow,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY => Exit::OutcomeUnknown,
            _ => Exit::Failed,
        }
    }

    /// What to do about it, and what more the answer says.
    fn hints(&self, exit: Exit) -> Vec<String> {
        let mut hints = Vec::new();
        match exit {
            Exit::NotNow => hints.push(match self.retry_after {
                Some(after) => format!(
                    "nothing was recorded; try again in {} s, or use --retry",
                    after.as_secs()
                ),
                None => "nothing was recorded; try again, or use --retry".into(),
            }),
            Exit::OutcomeUnknown => hints.push(match self.text_of("request-id") {
                Some(id) => format!("to learn the outcome, repeat the call with --key {id}"),
                None => "to learn the outcome, repeat the call under the same key".into(),
            }),
            Exit::GuestFailed => hints.push(match self.text_of("incident") {
                Some(id) => format!("nothing was recorded; the node's log has it as incident {id}"),
                None => "nothing was recorded".into(),
            }),
            Exit::NotFound
            | Exit::Rejected
            | Exit::Failed
            | Exit::Usage
            | Exit::Unreachable
            | Exit::BuildFailed => {}
        }
        for (name, value) in &self.members {
            let shown_already = [
                "type",
                "title",
                "status",
                "detail",
                "code",
                "request-id",
                "incident",
                "retry-after-ms",
            ];
            if shown_already.contains(&name.as_str()) {
                continue;
            }
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
                }
                other => other.to_string(),
            };
            if !value.is_empty() {
                hints.push(tame(&format!("{name}: {value}")));
            }
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(status: u16, body: &Value, retry_after: Option<&'static str>) -> Failure {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static(seconds));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        Problem::read(status, &headers, body.to_string().as_bytes())
            .into_failure("cart/42 add-item")
    }

    fn kind(name: &str) -> Value {
        json!({"type": format!("urn:stead:problem:{name}"), "title": "T", "detail": "D.", "code": name})
    }

    #[test]
    fn every_kind_of_problem_has_its_exit_code() {
        for (status, name, exit) in [
            (422, "rejected", Exit::Rejected),
            (404, "rejected", Exit::Rejected),
            (404, "unknown-type", Exit::NotFound),
            (422, "idempotency-key-reused", Exit::Failed),
            (429, "mailbox-full", Exit::NotNow),
            (503, "unavailable", Exit::NotNow),
            (507, "disk-full", Exit::NotNow),
            (504, "deadline-passed", Exit::NotNow),
            (504, "outcome-unknown", Exit::OutcomeUnknown),
            (500, "entity-failed", Exit::GuestFailed),
            (500, "entity-unreadable", Exit::GuestFailed),
            (500, "storage-failed", Exit::Failed),
        ] {
            assert_eq!(failure(status, &kind(name), None).exit, exit, "{status} {name}");
        }
    }

    #[test]
    fn a_rejection_shows_its_code_its_message_and_its_details() {
        let mut body = kind("rejected");
        body["code"] = json!("out-of-stock");
        body["detail"] = json!("there are 3 left");
        body["details"] = json!({"left": 3});
        let failure = failure(422, &body, None);
        assert_eq!(failure.message, "cart/42 add-item: rejected (out-of-stock): there are 3 left");
        assert_eq!(failure.hints, ["details: {\"left\":3}"]);
        assert_eq!(failure.to_json()["error"]["problem"], body);
    }

    #[test]
    fn an_unknown_outcome_says_under_which_key_to_retry() {
        let mut body = kind("outcome-unknown");
        body["request-id"] = json!("stead-1");
        let failure = failure(504, &body, None);
        assert_eq!(failure.hints, ["to learn the outcome, repeat the call with --key stead-1"]);
    }

    #[test]
    fn a_busy_node_says_when_to_come_back() {
        let failure = failure(429, &kind("mailbox-full"), Some("2"));
        assert_eq!(failure.hints, ["nothing was recorded; try again in 2 s, or use --retry"]);
    }

    #[test]
    fn what_is_known_is_listed() {
        let mut body = kind("unknown-command");
        body["known"] = json!(["add-item", "check-out"]);
        assert_eq!(failure(404, &body, None).hints, ["known: add-item, check-out"]);
    }

    #[test]
    fn an_answer_that_is_no_problem_json_is_shown_tamed() {
        let problem =
            Problem::read(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<h1>\x1b[31mproxy</h1>");
        let failure = problem.into_failure("ls");
        assert_eq!(failure.exit, Exit::OutcomeUnknown);
        assert_eq!(failure.message, "ls: <h1>\\u{1b}[31mproxy</h1>");
    }
}
