//! The configuration: `stead.toml`, then the environment, then flags, each
//! going before the one before it.
//!
//! Every setting is described once, in `sections.rs`: its type, its default,
//! its bounds and what it is for. From that come the typed [`NodeConfig`], the
//! reading of file, environment and flags, and what `stead config` shows.

mod entry;
mod environment;
mod example;
mod file;
mod kind;
mod nearest;
mod node;
mod sections;
mod settings;
mod size;
mod source;
pub mod span;

use std::path::PathBuf;

pub use example::example;
pub use kind::{Bootstrap, Form, Kind, LogFilter, LogFormat};
pub use node::NodeConfig;
pub use sections::{ClientSection, LogSection};
pub use settings::{Setting, Settings};
pub use size::ByteSize;
pub use source::Source;

/// A value from a flag: the setting's whole name, the value, and the flag.
#[derive(Debug, Clone)]
pub struct Override {
    /// `section.key`.
    pub name: String,
    /// The value, as text.
    pub value: String,
    /// The flag, as it was given.
    pub flag: String,
}

/// What the configuration is made from.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The file, if one was named.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// The flags, in order.
    pub overrides: Vec<Override>,
}

impl Inputs {
    /// With this process's environment; a file named by `STEAD_CONFIG` counts
    /// as named.
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<Override>) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .filter(|(name, _)| name.starts_with("STEAD_"))
            .collect();
        let file = file.or_else(|| std::env::var_os("STEAD_CONFIG").map(PathBuf::from));
        Self { file, environment, overrides }
    }
}

/// What came of reading the configuration.
#[derive(Debug)]
pub struct Loaded {
    /// Every setting as it holds.
    pub settings: Settings,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is strange but does no harm.
    pub warnings: Vec<String>,
}

/// Reads the configuration.
///
/// # Errors
/// All that is wrong with it, one sentence each.
pub fn load(inputs: &Inputs) -> Result<Loaded, Vec<String>> {
    let mut settings = Settings::defaults();
    let mut wrong = Vec::new();
    let file = file::read(inputs.file.as_deref()).map_err(|error| vec![error])?;
    if let Some((path, text)) = &file {
        file::apply(&mut settings, path, text, &mut wrong);
    }
    let warnings = environment::apply(&mut settings, &inputs.environment, &mut wrong);
    for given in &inputs.overrides {
        if let Err(reason) = apply_override(&mut settings, given) {
            wrong.push(format!("{}: {reason}", given.flag));
        }
    }
    if wrong.is_empty() {
        Ok(Loaded { settings, file: file.map(|(path, _)| path), warnings })
    } else {
        Err(wrong)
    }
}

fn apply_override(settings: &mut Settings, given: &Override) -> Result<(), String> {
    let (section, key) = given
        .name
        .split_once('.')
        .ok_or("it is SECTION.KEY=VALUE, as in ingress.listen=[::]:8080")?;
    let Some(entry) = settings::entries().find(|e| e.section == section && e.key() == key) else {
        return Err(format!(
            "there is no setting {:?}; {}",
            given.name,
            nearest::suggest(section, key)
        ));
    };
    settings.set(entry, &given.value, Source::Flag(given.flag.clone()))
}

#[cfg(test)]
mod tests;
