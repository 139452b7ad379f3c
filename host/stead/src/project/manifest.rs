//! Reading `entity.toml`.

use std::path::Path;

use stead_model::{EntityType, Manifest};

use crate::failure::Failure;

/// The manifest's name in a project.
pub const MANIFEST_FILE: &str = "entity.toml";
/// A larger file is no manifest.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// Reads a manifest. `name` goes before the type's name in the file, and makes
/// up for its absence.
///
/// # Errors
/// If the file can't be read or is no manifest; the failure names the line.
pub fn read_manifest(path: &Path, name: Option<&EntityType>) -> Result<Manifest, Failure> {
    let size = std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?.len();
    if size > MANIFEST_BYTES_MAX {
        return Err(Failure::usage(format!(
            "{}: {size} bytes are too many for a manifest",
            path.display()
        )));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    parse(&text, name).map_err(|(line, reason)| {
        let place = line.map_or(String::new(), |line| format!(":{line}"));
        Failure::usage(format!("{}{place}: {reason}", path.display()))
    })
}

/// The manifest, or the line and what is wrong there.
fn parse(text: &str, name: Option<&EntityType>) -> Result<Manifest, (Option<usize>, String)> {
    let wrong = |added_lines: usize| {
        move |error: toml::de::Error| {
            let reason = error.message().lines().collect::<Vec<_>>().join("; ");
            (error.span().map(|span| (span.start, added_lines)), reason)
        }
    };
    let with_type;
    let (text, added) = match name {
        Some(name) if !names_a_type(text) => {
            with_type = format!("type = \"{name}\"\n{text}");
            (with_type.as_str(), 1)
        }
        _ => (text, 0),
    };
    let mut manifest: Manifest =
        toml::from_str(text).map_err(wrong(added)).map_err(|(at, reason)| {
            let line = at.map(|(offset, added)| {
                let lines = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
                lines.saturating_sub(added).max(1)
            });
            (line, reason)
        })?;
    if let Some(name) = name {
        manifest.entity_type = name.clone();
    }
    Ok(manifest)
}

fn names_a_type(text: &str) -> bool {
    toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> EntityType {
        EntityType::new(name).expect("a name")
    }

    #[test]
    fn the_flag_goes_before_the_file_and_makes_up_for_it() {
        for (text, flag, expected) in [
            ("type = \"cart\"", None, "cart"),
            ("type = \"cart\"", Some("basket"), "basket"),
            ("", Some("basket"), "basket"),
            ("[snapshot]\nevery-events = 1\n", Some("basket"), "basket"),
        ] {
            let manifest = parse(text, flag.map(name).as_ref()).expect("good");
            assert_eq!(manifest.entity_type, name(expected), "{text:?} {flag:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let (line, reason) =
            parse("type = \"cart\"\n\nisolatoin = \"shared\"\n", None).expect_err("a slip");
        assert_eq!(line, Some(3));
        assert!(reason.contains("isolatoin") && reason.contains("isolation"), "{reason}");
        let (line, _) = parse("[snapshot]\nevery = 1\n", Some(&name("cart"))).expect_err("a slip");
        assert_eq!(line, Some(2), "the line in the file, without what was added");
        let (_, reason) = parse("", None).expect_err("no type");
        assert!(reason.contains("type"), "{reason}");
        assert!(parse("type = \"Not A Type\"", None).is_err());
    }
}
