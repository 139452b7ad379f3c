//! JSON Schemas as text, as `describe` carries them.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

/// How one type's schema is made. All that doesn't depend on the type is in
/// functions that take one of these, or every type would add a copy of it to the
/// component.
type Make = fn(&mut SchemaGenerator) -> Schema;

/// The schema of what is read: arguments.
pub fn of_input<T: JsonSchema + ?Sized>() -> String {
    text(settings().for_deserialize(), T::json_schema, title::<T>())
}

/// The schema of what is written: replies, events and states.
pub fn of_output<T: JsonSchema + ?Sized>() -> String {
    text(settings().for_serialize(), T::json_schema, title::<T>())
}

/// The first paragraph of a type's doc comment, on one line.
pub fn summary_of<T: JsonSchema + ?Sized>() -> String {
    summary(T::json_schema)
}

/// The title of a schema that has none. Types like `u32` need no name.
fn title<T: JsonSchema + ?Sized>() -> Option<String> {
    (!T::inline_schema()).then(|| T::schema_name().into_owned())
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12()
}

fn text(settings: SchemaSettings, make: Make, title: Option<String>) -> String {
    let mut generator = settings.into_generator();
    let mut schema = make(&mut generator);
    if let Some(title) = title
        && schema.get("title").is_none()
    {
        schema.insert("title".into(), title.into());
    }
    let definitions = generator.take_definitions(false);
    if !definitions.is_empty() {
        schema.insert("$defs".into(), Value::Object(definitions));
    }
    schema.as_value().to_string()
}

fn summary(make: Make) -> String {
    let schema = make(&mut settings().into_generator());
    let description = schema.get("description").and_then(Value::as_str);
    let lines = description.unwrap_or_default().lines().map(str::trim);
    let paragraph: Vec<_> =
        lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}
