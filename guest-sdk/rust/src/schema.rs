//! JSON Schemas as text, as `describe` carries them.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};

/// The schema of what is read: arguments.
pub fn of_input<T: JsonSchema + ?Sized>() -> String {
    text(&generate::<T>(settings().for_deserialize()))
}

/// The schema of what is written: replies, events and states.
pub fn of_output<T: JsonSchema + ?Sized>() -> String {
    text(&generate::<T>(settings().for_serialize()))
}

/// The first paragraph of a type's doc comment, on one line.
pub fn summary_of<T: JsonSchema + ?Sized>() -> String {
    let schema = generate::<T>(settings().for_serialize());
    let description = schema.get("description").and_then(|value| value.as_str());
    let lines = description.unwrap_or_default().lines().map(str::trim);
    let paragraph: Vec<_> =
        lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

fn settings() -> SchemaSettings {
    // Every schema is of the same dialect, and the contract's documentation
    // names it; saying so in each would only make components larger.
    SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None)
}

fn generate<T: JsonSchema + ?Sized>(settings: SchemaSettings) -> Schema {
    settings.into_generator().into_root_schema_for::<T>()
}

fn text(schema: &Schema) -> String {
    schema.as_value().to_string()
}
