//! What a JSON Schema says of the fields of an argument.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::ArgumentError;
use crate::json;

/// How deep references and alternatives are followed. A schema is a guest's
/// word, and may refer to itself.
const DEPTH_MAX: usize = 16;

/// The fields that an argument has, as far as its schema says.
#[derive(Debug, Default)]
pub struct Fields(HashMap<String, Kind>);

/// What a value may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kind {
    null: bool,
    boolean: bool,
    integer: bool,
    number: bool,
    string: bool,
    object: bool,
    array: bool,
    items: Option<Box<Kind>>,
}

impl Fields {
    /// The fields by a schema, as text. None if it isn't one.
    pub fn of(schema: Option<&str>) -> Self {
        let Some(root) = schema.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
            return Self::default();
        };
        let mut properties = HashMap::new();
        collect(&root, &root, &mut properties, DEPTH_MAX);
        let kinds = properties.into_iter().map(|(name, schema)| {
            let mut kind = Kind::default();
            kind.add(&root, schema, DEPTH_MAX);
            (name.to_owned(), kind)
        });
        Self(kinds.collect())
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The JSON of a field for which a URL gives these values.
    pub fn convert(&self, name: &str, values: &[&str]) -> Result<Vec<u8>, ArgumentError> {
        let kind = self.0.get(name);
        match (kind, values) {
            (None, [value]) => Ok(json::to_vec(value)),
            (None, values) => Ok(json::to_vec(values)),
            (Some(kind), [value]) => match kind.convert(value) {
                Some(json) => Ok(json),
                None if kind.array => kind.list(name, values),
                None => Err(kind.complaint(name, value)),
            },
            (Some(kind), values) if kind.array => kind.list(name, values),
            (Some(_), values) => Err(ArgumentError(format!(
                "{name} is given {} times, and may be given once",
                values.len()
            ))),
        }
    }
}

/// Gathers the properties of an object schema, also from what it refers to.
fn collect<'a>(
    root: &'a Value,
    schema: &'a Value,
    properties: &mut HashMap<&'a str, &'a Value>,
    depth: usize,
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if let Some(own) = schema.get("properties").and_then(Value::as_object) {
        properties.extend(own.iter().map(|(name, schema)| (name.as_str(), schema)));
    }
    for other in others(root, schema) {
        collect(root, other, properties, depth);
    }
}

/// The schemas that another takes in: by reference, or as alternatives or parts.
fn others<'a>(root: &'a Value, schema: &'a Value) -> impl Iterator<Item = &'a Value> {
    let referred = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    let listed = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten();
    referred.into_iter().chain(listed)
}

impl Kind {
    /// Adds what a schema allows. Parts of an `allOf` are taken as alternatives:
    /// one of them says the type, and the others mostly don't.
    fn add(&mut self, root: &Value, schema: &Value, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match schema.get("type") {
            Some(Value::String(name)) => self.allow(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).for_each(|name| self.allow(name));
            }
            _ => {}
        }
        let constants = schema.get("const").into_iter();
        let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        constants.chain(listed).for_each(|value| self.allow_like(value));
        if let Some(items) = schema.get("items") {
            self.items.get_or_insert_default().add(root, items, depth);
        }
        for other in others(root, schema) {
            self.add(root, other, depth);
        }
    }

    fn allow(&mut self, name: &str) {
        match name {
            "null" => self.null = true,
            "boolean" => self.boolean = true,
            "integer" => self.integer = true,
            "number" => self.number = true,
            "string" => self.string = true,
            "object" => self.object = true,
            "array" => self.array = true,
            _ => {}
        }
    }

    fn allow_like(&mut self, value: &Value) {
        match value {
            Value::Null => self.null = true,
            Value::Bool(_) => self.boolean = true,
            Value::Number(_) => self.number = true,
            Value::String(_) => self.string = true,
            Value::Array(_) => self.array = true,
            Value::Object(_) => self.object = true,
        }
    }

    /// Whether the schema says nothing of the type.
    fn is_open(&self) -> bool {
        *self == Self { items: self.items.clone(), ..Self::default() }
    }

    /// One value as JSON, if it can be one of this kind. The text itself is
    /// kept, so that no number is rounded.
    fn convert(&self, text: &str) -> Option<Vec<u8>> {
        let verbatim = || Some(text.as_bytes().to_vec());
        if (self.integer || self.number) && is_number(text, self.number) {
            return verbatim();
        }
        if self.boolean && matches!(text, "true" | "false") {
            return verbatim();
        }
        if self.string || self.is_open() {
            return Some(json::to_vec(text));
        }
        if self.null && matches!(text, "" | "null") {
            return Some(b"null".to_vec());
        }
        let composed = match text.trim_start().as_bytes().first() {
            Some(b'{') => self.object,
            Some(b'[') => self.array,
            _ => false,
        };
        (composed && json::check(text.as_bytes()).is_ok()).then(|| text.as_bytes().to_vec())
    }

    /// Several values as an array.
    fn list(&self, name: &str, values: &[&str]) -> Result<Vec<u8>, ArgumentError> {
        let open = Kind::default();
        let item = self.items.as_deref().unwrap_or(&open);
        let mut list = vec![b'['];
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                list.push(b',');
            }
            list.extend(item.convert(value).ok_or_else(|| item.complaint(name, value))?);
        }
        list.push(b']');
        Ok(list)
    }

    fn complaint(&self, name: &str, value: &str) -> ArgumentError {
        let wanted: BTreeSet<_> = [
            (self.boolean, "true or false"),
            (self.integer && !self.number, "an integer"),
            (self.number, "a number"),
            (self.object, "a JSON object"),
            (self.array, "a JSON array"),
            (self.null, "null"),
        ]
        .into_iter()
        .filter_map(|(wanted, what)| wanted.then_some(what))
        .collect();
        let wanted = wanted.into_iter().collect::<Vec<_>>().join(" or ");
        let value: String = value.chars().take(80).collect();
        ArgumentError(format!("{name} is {value:?}, and must be {wanted}"))
    }
}

/// Whether a text is a JSON number, or an integer if it has to be.
fn is_number(text: &str, fractions: bool) -> bool {
    let begins = text.bytes().next().is_some_and(|b| b == b'-' || b.is_ascii_digit());
    let ends = text.bytes().next_back().is_some_and(|b| b.is_ascii_digit());
    let whole = text.bytes().all(|b| b == b'-' || b.is_ascii_digit());
    begins && ends && (fractions || whole) && json::check(text.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{
        "$defs": {
            "Limit": {"type": "integer", "minimum": 0},
            "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "boolean"}]},
            "Color": {"enum": ["red", "green"]}
        },
        "allOf": [{"properties": {"also": {"type": "integer"}}}],
        "type": "object",
        "properties": {
            "limit": {"$ref": "#/$defs/Limit"},
            "price": {"type": "number"},
            "open": {"type": ["boolean", "null"]},
            "sku": {"type": "string"},
            "after": {"anyOf": [{"$ref": "#/$defs/Limit"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "ids": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Limit"}}, {"type": "null"}]},
            "where": {"type": "object"},
            "loop": {"$ref": "#/$defs/Loop"},
            "color": {"$ref": "#/$defs/Color"},
            "either": {"type": ["integer", "string"]},
            "open-ended": {"description": "anything"}
        }
    }"##;

    #[track_caller]
    fn check(name: &str, values: &[&str], expected: Result<&str, &str>) {
        let found = Fields::of(Some(SCHEMA)).convert(name, values);
        let found = found.map(|json| String::from_utf8(json).expect("UTF-8"));
        assert_eq!(found.as_deref().map_err(|error| &*error.0), expected);
    }

    #[test]
    fn values_become_what_the_schema_says() {
        check("limit", &["5"], Ok("5"));
        check("limit", &["123456789012345678901234567890"], Ok("123456789012345678901234567890"));
        check("price", &["1.50"], Ok("1.50"));
        check("price", &["1e3"], Ok("1e3"));
        check("open", &["true"], Ok("true"));
        check("open", &[""], Ok("null"));
        check("sku", &["5"], Ok("\"5\""));
        check("sku", &["a \"b\""], Ok(r#""a \"b\"""#));
        check("after", &["null"], Ok("null"));
        check("after", &["7"], Ok("7"));
        check("tags", &["a"], Ok(r#"["a"]"#));
        check("tags", &["a", "5"], Ok(r#"["a","5"]"#));
        check("tags", &[r#"["a","b"]"#], Ok(r#"["a","b"]"#));
        check("ids", &["1", "2"], Ok("[1,2]"));
        check("where", &[r#"{"a":1}"#], Ok(r#"{"a":1}"#));
        check("loop", &["false"], Ok("false"));
        check("color", &["red"], Ok("\"red\""));
        check("either", &["5"], Ok("5"));
        check("either", &["05"], Ok("\"05\""));
        check("also", &["1"], Ok("1"));
        check("open-ended", &["1"], Ok("\"1\""));
        check("unknown", &["1"], Ok("\"1\""));
        check("unknown", &["1", "2"], Ok(r#"["1","2"]"#));
    }

    #[test]
    fn values_of_another_kind_are_refused_with_the_reason() {
        check("limit", &["five"], Err(r#"limit is "five", and must be an integer"#));
        check("limit", &["1.5"], Err(r#"limit is "1.5", and must be an integer"#));
        check("limit", &["+1"], Err(r#"limit is "+1", and must be an integer"#));
        check("limit", &[" 1"], Err(r#"limit is " 1", and must be an integer"#));
        check("limit", &["007"], Err(r#"limit is "007", and must be an integer"#));
        check("limit", &["1", "2"], Err("limit is given 2 times, and may be given once"));
        check("price", &["NaN"], Err(r#"price is "NaN", and must be a number"#));
        check("open", &["yes"], Err(r#"open is "yes", and must be null or true or false"#));
        check("ids", &["1", "b"], Err(r#"ids is "b", and must be an integer"#));
        check("where", &["{"], Err(r#"where is "{", and must be a JSON object"#));
    }

    #[test]
    fn a_schema_that_is_none_decides_nothing() {
        for schema in [None, Some(""), Some("[]"), Some("true"), Some(r#"{"properties": 1}"#)] {
            let fields = Fields::of(schema);
            assert_eq!(fields.convert("a", &["1"]), Ok(b"\"1\"".to_vec()), "{schema:?}");
        }
    }
}
