//! First calls to try: `curl` lines made from what a component says of itself.

use serde_json::{Map, Value, json};
use stead_cluster::api::DeployedType;
use stead_model::Operation;

use crate::client::NodeUrl;

/// How deep a schema is followed; schemas may lead in circles.
const DEPTH_MAX: usize = 8;
/// So many commands and queries are shown.
const SHOWN_MAX: usize = 3;

/// Lines to type: a few commands and queries of a type.
pub fn first_calls(deployed: &DeployedType, ingress: &NodeUrl) -> Vec<String> {
    let name = &deployed.manifest.entity_type;
    let url = |operation: &Operation| format!("{ingress}/entities/{name}/1/{}", operation.name);
    let commands = deployed.description.commands.iter().take(SHOWN_MAX).map(|command| {
        let url = url(command);
        match argument(command) {
            Some(body) => format!(
                "curl -H 'content-type: {}' -d {} {url}",
                command.request_type,
                quoted(&body)
            ),
            None => format!("curl -X POST {url}"),
        }
    });
    let queries = deployed.description.queries.iter().take(SHOWN_MAX).map(|query| {
        let url = url(query);
        match argument(query) {
            Some(body) if body != "{}" => format!(
                "curl -X GET -H 'content-type: {}' -d {} {url}",
                query.request_type,
                quoted(&body)
            ),
            _ => format!("curl {url}"),
        }
    });
    commands.chain(queries).collect()
}

/// An argument that fits the schema, if the operation takes one.
fn argument(operation: &Operation) -> Option<String> {
    if operation.request_type.is_empty() {
        return None;
    }
    if !operation.request_type.starts_with("application/json") {
        return Some("…".into());
    }
    let schema = operation.request_schema.as_deref()?;
    let schema: Value = serde_json::from_str(schema).ok()?;
    match example(&schema, &schema, 0) {
        Value::Null => None,
        value => Some(value.to_string()),
    }
}

/// A value that fits a schema, as far as its commonest words say.
fn example(schema: &Value, root: &Value, depth: usize) -> Value {
    let Some(object) = schema.as_object().filter(|_| depth < DEPTH_MAX) else { return Value::Null };
    if let Some(value) = given(object) {
        return value;
    }
    if let Some(target) = object.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Value::Null, |target| example(target, root, depth + 1));
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = object.get(choice).and_then(Value::as_array) {
            let mut examples = choices.iter().map(|choice| example(choice, root, depth + 1));
            return examples.find(|value| !value.is_null()).unwrap_or(Value::Null);
        }
    }
    match kind(object) {
        Some("object") => object_example(object, root, depth),
        Some("array") => match object.get("items").map(|items| example(items, root, depth + 1)) {
            Some(item) if !item.is_null() => json!([item]),
            _ => json!([]),
        },
        Some("integer" | "number") => {
            let least =
                object.get("minimum").filter(|least| least.as_f64().is_some_and(|l| l > 1.0));
            least.cloned().unwrap_or_else(|| json!(1))
        }
        Some("boolean") => json!(true),
        Some("string") => json!(string_example(object)),
        _ => Value::Null,
    }
}

/// A value that the schema itself names.
fn given(schema: &Map<String, Value>) -> Option<Value> {
    let first = |list: &str| schema.get(list).and_then(Value::as_array)?.first().cloned();
    first("examples").or_else(|| schema.get("const").cloned()).or_else(|| first("enum"))
}

/// The first type that isn't null.
fn kind(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null")
        }
        _ if schema.contains_key("properties") => Some("object"),
        _ => None,
    }
}

/// An object with its required fields; with all of them, but for those that
/// have a default, if none is required.
fn object_example(schema: &Map<String, Value>, root: &Value, depth: usize) -> Value {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return json!({});
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let wanted = properties
        .iter()
        .filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()));
    wanted
        .map(|(name, property)| {
            let value = property.get("default").cloned();
            (name.clone(), value.unwrap_or_else(|| example(property, root, depth + 1)))
        })
        .collect::<Map<String, Value>>()
        .into()
}

fn string_example(schema: &Map<String, Value>) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-31T12:00:00Z".into(),
        Some("date") => "2026-01-31".into(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".into(),
        _ => {
            let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
            let text = "text";
            text.repeat(usize::try_from(least.min(256)).unwrap_or(0).div_ceil(text.len()).max(1))
        }
    }
}

/// A text for a shell, in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expected: Value) {
        assert_eq!(example(&schema, &schema, 0), expected, "{schema}");
    }

    #[test]
    fn examples_fit_their_schemas() {
        check(
            json!({"type": "object", "required": ["sku", "n"], "properties": {
                "sku": {"type": "string", "minLength": 5}, "n": {"type": "integer", "minimum": 3},
                "note": {"type": "string"}}}),
            json!({"sku": "texttext", "n": 3}),
        );
        check(
            json!({"type": "object", "properties": {"by": {"type": "integer", "minimum": 0}}}),
            json!({"by": 1}),
        );
        check(
            json!({"type": "object", "properties": {"by": {"type": "integer", "default": 7}}}),
            json!({"by": 7}),
        );
        check(json!({"type": ["integer", "null"]}), json!(1));
        check(json!({"enum": ["red", "green"]}), json!("red"));
        check(json!({"type": "array", "items": {"const": 5}}), json!([5]));
        check(json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}), json!(true));
        check(json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}), json!("text"));
        check(json!({"$ref": "#/$defs/missing"}), Value::Null);
        check(json!(true), Value::Null);
    }

    #[test]
    fn a_schema_that_leads_in_circles_comes_to_an_end() {
        check(json!({"$ref": "#"}), Value::Null);
    }

    #[test]
    fn a_shell_takes_what_is_quoted_as_it_is() {
        assert_eq!(quoted("{\"a\": \"it's\"}"), r#"'{"a": "it'\''s"}'"#);
    }
}
