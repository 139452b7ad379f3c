//! An entity's reply, for people and for programs.

use http::{HeaderName, header};
use serde_json::{Map, Value, json};

use super::{Screen, base64};
use crate::{client::Answer, failure::Failure};

/// How long the caller waits, in milliseconds.
pub const DEADLINE: HeaderName = HeaderName::from_static("stead-deadline-ms");

/// Prints a reply. For people: the reply itself, and beside it, on standard
/// error, what the node says of it. For programs: one object with both.
pub fn show(screen: &Screen, answer: &Answer) -> Result<(), Failure> {
    if screen.json {
        return screen.json(&for_programs(answer));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(&answer.body)
        && let Ok(pretty) = serde_json::to_string_pretty(&value)
    {
        screen.line(pretty)?;
    } else if !answer.body.is_empty() {
        screen.raw(&answer.body)?;
    }
    let mut aside = Vec::new();
    if let Some(sequence) = answer.header("stead-sequence") {
        aside.push(format!("sequence {sequence}"));
    }
    if let Some(id) = answer.header("stead-request-id") {
        aside.push(format!("request {id}"));
    }
    if answer.header("stead-replayed") == Some("true") {
        aside.push("the recorded reply of an earlier attempt".into());
    }
    if screen.watched && !aside.is_empty() {
        screen.aside(aside.join(", "));
    }
    Ok(())
}

fn for_programs(answer: &Answer) -> Value {
    let mut object = Map::new();
    let is_json = answer
        .header(header::CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/json") || kind.contains("+json"));
    let parsed = is_json.then(|| serde_json::from_slice(&answer.body).ok()).flatten();
    match parsed {
        Some(value) => object.insert("reply".into(), value),
        None if answer.body.is_empty() => object.insert("reply".into(), Value::Null),
        None => object.insert("reply-base64".into(), Value::String(base64(&answer.body))),
    };
    if let Some(sequence) =
        answer.header("stead-sequence").and_then(|text| text.parse::<u64>().ok())
    {
        object.insert("sequence".into(), json!(sequence));
        object.insert("replayed".into(), json!(answer.header("stead-replayed") == Some("true")));
    }
    if let Some(id) = answer.header("stead-request-id") {
        object.insert("request-id".into(), json!(id));
    }
    Value::Object(object)
}
