//! A new project, from the template and the SDK's sources in the binary.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use stead_model::EntityType;

use super::embedded;
use crate::failure::Failure;

/// Where the SDK's sources go in a project.
const SDK_DIRECTORY: &str = "vendor/stead-sdk";

/// What Rust, Cargo, or the names that the template itself uses leave no room for.
const TAKEN: &[&str] = &[
    "abstract",
    "after",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "bytes",
    "const",
    "context",
    "continue",
    "core",
    "crate",
    "debug",
    "decremented",
    "default",
    "deps",
    "deserialize",
    "do",
    "dyn",
    "else",
    "ending",
    "entity",
    "enum",
    "err",
    "error",
    "event",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "given",
    "guest",
    "if",
    "impl",
    "in",
    "incremented",
    "incremental",
    "info",
    "json-schema",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "none",
    "ok",
    "option",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "query-context",
    "ref",
    "rejection",
    "result",
    "return",
    "schemars",
    "self",
    "serde",
    "serde-json",
    "serialize",
    "some",
    "static",
    "std",
    "stead-sdk",
    "stead-sdk-macros",
    "string",
    "struct",
    "super",
    "test",
    "trace",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "value",
    "vec",
    "virtual",
    "warn",
    "where",
    "while",
    "yield",
];

/// The names that the template's gaps are filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The project's and the entity type's: `shopping-cart`.
    pub name: EntityType,
    /// The Rust type's: `ShoppingCart`.
    pub type_name: String,
}

impl Names {
    /// Checks a project's name.
    ///
    /// # Errors
    /// A sentence that says what a name is.
    pub fn new(name: &str) -> Result<Self, String> {
        let fits = || {
            let lower = name.to_lowercase().replace(['_', ' ', '.'], "-");
            let kebab = lower.trim_matches('-');
            let hint = if kebab != name && EntityType::new(kebab).is_ok() {
                format!("; {kebab:?} would do")
            } else {
                String::new()
            };
            format!(
                "{name:?} is no name for a project: lower case letters, digits and hyphens, the first a letter, at most 64{hint}"
            )
        };
        let entity_type = EntityType::new(name).map_err(|_| fits())?;
        if name.ends_with('-') || name.contains("--") {
            return Err(format!(
                "{name:?} is no name for a project: hyphens stand alone, between words"
            ));
        }
        if TAKEN.contains(&name) {
            return Err(format!(
                "{name:?} means something else in Rust or its SDK; choose another name"
            ));
        }
        let type_name = name.split('-').map(capitalised).collect();
        Ok(Self { name: entity_type, type_name })
    }

    /// Fills the gaps of a text.
    fn fill(&self, text: &str) -> String {
        text.replace("{{name}}", self.name.as_str())
            .replace("{{type}}", self.name.as_str())
            .replace("{{Struct}}", &self.type_name)
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// What was written.
#[derive(Debug)]
pub struct Unpacked {
    /// The project's own files.
    pub files: Vec<PathBuf>,
    /// How many files the SDK has.
    pub sdk_files: usize,
}

/// A file's path within the project, and its contents.
type File = (PathBuf, Vec<u8>);

/// All files of a new project: its own, and the SDK's.
fn files(names: &Names) -> (Vec<File>, Vec<File>) {
    let own = embedded::TEMPLATE.iter().map(|(path, contents)| {
        let path = names.fill(path.strip_suffix(".tmpl").unwrap_or(path));
        // A file of that name in the template would be heeded by git itself.
        let path = if path == "gitignore" { ".gitignore".to_owned() } else { path };
        let contents = match std::str::from_utf8(contents) {
            Ok(text) => names.fill(text).into_bytes(),
            Err(_) => contents.to_vec(),
        };
        (PathBuf::from(path), contents)
    });
    let sdk = embedded::SDK
        .iter()
        .map(|(path, contents)| (Path::new(SDK_DIRECTORY).join(path), contents.to_vec()));
    (own.collect(), sdk.collect())
}

/// Writes a new project into a directory that isn't there yet, or is empty.
///
/// # Errors
/// If the directory has something in it, or a file could not be written.
pub fn unpack(names: &Names, directory: &Path) -> Result<Unpacked, Failure> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(Failure::failed(format!("{} is there and not empty", directory.display()))
                    .hint("nothing is ever overwritten; choose another name, or another directory with --path"));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::file("read", directory, &error)),
    }
    let (own, sdk) = files(names);
    for (path, contents) in own.iter().chain(&sdk) {
        write_new(&directory.join(path), contents)?;
    }
    let files = own.into_iter().map(|(path, _)| path).collect();
    Ok(Unpacked { files, sdk_files: sdk.len() })
}

fn write_new(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Failure::file("made", parent, &error))?;
    }
    let file = std::fs::File::options().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(contents))
        .map_err(|error| Failure::file("written", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_told_what_would_do() {
        let names = Names::new("shopping-cart2").expect("a name");
        assert_eq!(names.type_name, "ShoppingCart2");
        for (name, part) in [
            ("ShoppingCart", "\"shoppingcart\" would do"),
            ("my_counter", "\"my-counter\" would do"),
            ("2nd", "the first a letter"),
            ("", "lower case letters"),
            ("a--b", "hyphens stand alone"),
            ("a-", "hyphens stand alone"),
            ("../x", "lower case letters"),
            ("struct", "means something else"),
            ("context", "means something else"),
        ] {
            let error = Names::new(name).expect_err(name);
            assert!(error.contains(part), "{name}: {error}");
        }
    }

    #[test]
    fn every_gap_of_the_template_is_filled() {
        let names = Names::new("shopping-cart").expect("a name");
        let (own, sdk) = files(&names);
        for (path, contents) in &own {
            let text = String::from_utf8_lossy(contents);
            for gap in ["{{name}}", "{{type}}", "{{Struct}}"] {
                assert!(!text.contains(gap), "{}: {gap}", path.display());
            }
            assert!(
                path.extension().is_none_or(|extension| extension != "tmpl"),
                "{}",
                path.display()
            );
        }
        let text_of = |wanted: &str| {
            let found = own.iter().chain(&sdk).find(|(path, _)| path == Path::new(wanted));
            let (_, contents) = found.unwrap_or_else(|| panic!("{wanted} is missing"));
            String::from_utf8(contents.clone()).expect("text")
        };
        assert!(text_of("src/lib.rs").contains("stead_sdk::export!(ShoppingCart);"));
        assert!(text_of("entity.toml").contains("type = \"shopping-cart\""));
        assert!(text_of("Cargo.toml").contains("path = \"vendor/stead-sdk\""));
        assert!(text_of(".gitignore").contains("target"));
        assert!(text_of("vendor/stead-sdk/Cargo.toml").contains("name = \"stead-sdk\""));
        assert!(text_of("vendor/stead-sdk/macros/Cargo.toml").contains("stead-sdk-macros"));
        assert!(text_of("vendor/stead-sdk/wit/entity.wit").contains("package stead:entity"));
    }

    #[test]
    fn the_manifest_of_a_new_project_is_one() {
        let names = Names::new("counter").expect("a name");
        let (own, _) = files(&names);
        let (_, contents) =
            own.iter().find(|(path, _)| path == Path::new("entity.toml")).expect("a manifest");
        let text = std::str::from_utf8(contents).expect("text");
        let manifest: stead_model::Manifest = toml::from_str(text).expect("a manifest");
        assert_eq!(manifest.entity_type, names.name);
    }

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let names = Names::new("counter").expect("a name");
        std::fs::write(directory.path().join("precious"), "x").expect("written");
        let failure = unpack(&names, directory.path()).expect_err("it is not empty");
        assert!(failure.message.contains("not empty"), "{}", failure.message);
        assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 1);

        let fresh = directory.path().join("counter");
        let unpacked = unpack(&names, &fresh).expect("written");
        assert!(unpacked.sdk_files > 5);
        assert!(fresh.join("src/lib.rs").is_file());
        assert!(unpack(&names, &fresh).is_err(), "the second time it is there");
    }
}
