//! Reading `stead.toml`.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{
    entry::Entry,
    kind::Form,
    nearest::{nearest, suggest},
    settings::{SECTIONS, Settings},
    source::Source,
};

/// The file that is read if it is there and no other is named.
pub const FILE_NAME: &str = "stead.toml";
/// A larger file is no configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a configuration file into text. `None` if it was not asked for by name
/// and isn't there.
pub fn read(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, String> {
    let path = named.unwrap_or(Path::new(FILE_NAME));
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(format!(
                "{}: {} bytes are too many for a configuration",
                path.display(),
                metadata.len()
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            return Ok(None);
        }
        Err(error) => return Err(format!("{} could not be read: {error}", path.display())),
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) => Err(format!("{} could not be read: {error}", path.display())),
    }
}

/// Takes every setting of a file; collects whatever is wrong with it.
pub fn apply(settings: &mut Settings, path: &Path, text: &str, wrong: &mut Vec<String>) {
    let at = |offset: usize| format!("{}:{}", path.display(), line_of(text, offset));
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let place = error.span().map_or(path.display().to_string(), |span| at(span.start));
            wrong.push(format!("{place}: {}", error.message()));
            return;
        }
    };
    for (section, value) in &table {
        let section_name: &str = section.get_ref();
        let place = at(section.span().start);
        let Some((_, _, entries)) = SECTIONS.iter().find(|(name, _, _)| *name == section_name)
        else {
            wrong.push(format!("{place}: {}", unknown_section(section_name)));
            continue;
        };
        let DeValue::Table(keys) = value.get_ref() else {
            wrong.push(format!("{place}: {section_name} is a section: write [{section_name}] and its settings below"));
            continue;
        };
        for (key, value) in keys {
            let place = at(key.span().start);
            let key: &str = key.get_ref();
            let Some(entry) = entries.iter().find(|entry| entry.key() == key) else {
                let hint = suggest(section_name, key);
                wrong.push(format!(
                    "{place}: there is no setting {key:?} in [{section_name}]; {hint}"
                ));
                continue;
            };
            let source =
                Source::File { path: path.to_owned(), line: line_of(text, value.span().start) };
            let taken = as_text(entry, value.get_ref())
                .and_then(|value| settings.set(entry, &value, source));
            if let Err(reason) = taken {
                wrong.push(format!("{place}: {section_name}.{key}: {reason}"));
            }
        }
    }
}

fn unknown_section(name: &str) -> String {
    let known = SECTIONS.map(|(name, _, _)| name);
    match nearest(name, known) {
        Some(near) => format!("there is no section [{name}]; the nearest is [{near}]"),
        None => format!("there is no section [{name}]; there are {}", known.join(", ")),
    }
}

/// The value as the text that every source gives, if it is of the right form.
fn as_text(entry: &Entry, value: &DeValue<'_>) -> Result<String, String> {
    let wanted = match (entry.form, value) {
        (Form::Text | Form::Size | Form::Span, DeValue::String(text)) => {
            return Ok(text.to_string());
        }
        (Form::Number | Form::Size, DeValue::Integer(number)) => {
            return u64::from_str_radix(number.as_str(), number.radix())
                .map(|number| number.to_string())
                .map_err(|_| format!("{number} is no whole number from 0 to {}", u64::MAX));
        }
        (Form::Flag, DeValue::Boolean(flag)) => return Ok(flag.to_string()),
        (Form::Text, _) => "a text in quotes".to_owned(),
        (Form::Number, _) => "a whole number, without quotes".to_owned(),
        (Form::Size, _) => "a size in quotes, as in \"64MiB\"".to_owned(),
        (Form::Span, _) => "a span of time in quotes, as in \"10s\"".to_owned(),
        (Form::Flag, _) => "true or false, without quotes".to_owned(),
    };
    Err(format!("it is {wanted}"))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
