//! What a component says that it offers.

use serde::{Deserialize, Serialize};

/// The most commands, queries and kinds of events together that a component may describe.
pub const DESCRIBED_NAMES_MAX: usize = 1024;
/// The most bytes that the name of a command, query or kind of event may have.
pub const DESCRIBED_NAME_BYTES_MAX: usize = 64;
/// The most bytes that one text of a description may have.
pub const DESCRIBED_TEXT_BYTES_MAX: usize = 256 * 1024;

/// A command or a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Operation {
    /// Its name in requests and URLs.
    pub name: String,
    /// What it does, for people.
    pub summary: String,
    /// The content type of its argument; empty if it takes none.
    pub request_type: String,
    /// The JSON Schema of its argument.
    #[serde(with = "schema_text")]
    pub request_schema: Option<String>,
    /// The content type of its reply.
    pub reply_type: String,
    /// The JSON Schema of its reply.
    #[serde(with = "schema_text")]
    pub reply_schema: Option<String>,
}

/// A kind of event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventKind {
    /// Its name in the journal.
    pub name: String,
    /// What happened, for people.
    pub summary: String,
    /// The content type of its data.
    pub content_type: String,
    /// The JSON Schema of its data.
    #[serde(with = "schema_text")]
    pub schema: Option<String>,
}

/// What a component says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// What the type is for.
    pub summary: String,
    /// Language and SDK.
    pub sdk: String,
    /// The commands.
    pub commands: Vec<Operation>,
    /// The queries.
    pub queries: Vec<Operation>,
    /// The kinds of events.
    pub events: Vec<EventKind>,
    /// The kinds of effects that it may ask for.
    pub effects: Vec<String>,
    /// The JSON Schema of its snapshots.
    #[serde(with = "schema_text")]
    pub state_schema: Option<String>,
}

impl Description {
    /// The command of this name.
    #[must_use]
    pub fn command(&self, name: &str) -> Option<&Operation> {
        self.commands.iter().find(|operation| operation.name == name)
    }

    /// The query of this name.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&Operation> {
        self.queries.iter().find(|operation| operation.name == name)
    }

    /// Whether events of this kind are described.
    #[must_use]
    pub fn has_event(&self, name: &str) -> bool {
        self.events.iter().any(|event| event.name == name)
    }

    /// Checks that the description keeps the contract: names well formed and
    /// not used twice, texts and counts within their limits.
    ///
    /// # Errors
    /// The first thing that is wrong, in a sentence.
    pub fn check(&self) -> Result<(), String> {
        let count = self.commands.len() + self.queries.len() + self.events.len();
        if count > DESCRIBED_NAMES_MAX || self.effects.len() > DESCRIBED_NAMES_MAX {
            return Err(format!(
                "it describes {count} commands, queries and events; at most {DESCRIBED_NAMES_MAX} are served"
            ));
        }
        let operations = self.commands.iter().chain(&self.queries);
        check_names("command or query", operations.clone().map(|o| o.name.as_str()))?;
        check_names("event", self.events.iter().map(|e| e.name.as_str()))?;
        check_names("effect", self.effects.iter().map(String::as_str))?;
        let texts =
            operations
                .flat_map(|o| {
                    let schemas = o.request_schema.iter().chain(&o.reply_schema);
                    [&o.summary, &o.request_type, &o.reply_type].into_iter().chain(schemas)
                })
                .chain(self.events.iter().flat_map(|e| {
                    [&e.summary, &e.content_type].into_iter().chain(e.schema.as_ref())
                }))
                .chain([&self.summary, &self.sdk])
                .chain(self.state_schema.as_ref());
        match texts.map(String::len).find(|&size| size > DESCRIBED_TEXT_BYTES_MAX) {
            Some(size) => Err(format!(
                "a text of its description has {size} bytes; at most {DESCRIBED_TEXT_BYTES_MAX} are taken"
            )),
            None => Ok(()),
        }
    }
}

/// A schema is kept as the text that a guest gave. In JSON it is shown as what
/// that text says, so that programs can use it as it is; text that is no JSON is
/// shown as a string.
mod schema_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(
        text: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let value = text
            .as_ref()
            .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())));
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            value => Some(value.to_string()),
        })
    }
}

fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !crate::address::is_kebab_name(name, DESCRIBED_NAME_BYTES_MAX) {
            let name: String = name.chars().take(80).collect();
            return Err(format!(
                "{name:?} is no name for a {what}: 1 to {DESCRIBED_NAME_BYTES_MAX} lower case letters, digits and hyphens, the first a letter"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("it describes the {what} {name:?} twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_schema_is_shown_as_json_and_read_back() {
        let event = |schema: Option<&str>| EventKind {
            name: "added".into(),
            summary: "It was added.".into(),
            content_type: "application/json".into(),
            schema: schema.map(Into::into),
        };
        for (text, shown) in [
            (Some(r#"{"type":"object"}"#), json!({"type": "object"})),
            (Some("no { json"), json!("no { json")),
            (None, Value::Null),
        ] {
            let json = serde_json::to_value(event(text)).expect("it is shown");
            assert_eq!(json["schema"], shown);
            assert_eq!(json["content-type"], "application/json");
            let read: EventKind = serde_json::from_value(json).expect("it is read");
            assert_eq!(read, event(text));
        }
    }
}
