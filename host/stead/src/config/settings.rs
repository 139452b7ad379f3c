//! All settings together, each with its value and where it came from.

use super::{
    entry::{Checked, Entry, Section},
    sections::{
        AdminSection, ChaosSection, ClientSection, ClusterSection, EntitiesSection, GuestsSection,
        IngressSection, JournalSection, LogSection, MemorySection, NodeSection, RequestsSection,
    },
    source::Source,
};

/// A section's name, what it is about, and its settings.
pub type SectionInfo = (&'static str, &'static [&'static str], &'static [Entry]);

/// All sections, in the order in which they are shown.
pub const SECTIONS: [SectionInfo; 12] = [
    info::<NodeSection>(),
    info::<IngressSection>(),
    info::<ClusterSection>(),
    info::<AdminSection>(),
    info::<RequestsSection>(),
    info::<GuestsSection>(),
    info::<EntitiesSection>(),
    info::<MemorySection>(),
    info::<JournalSection>(),
    info::<ChaosSection>(),
    info::<LogSection>(),
    info::<ClientSection>(),
];

const fn info<S: Section>() -> SectionInfo {
    (S::NAME, S::DOC, S::ENTRIES)
}

/// All settings, in order.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    SECTIONS.iter().flat_map(|(_, _, entries)| entries.iter())
}

/// One setting as it holds.
#[derive(Debug)]
pub struct Setting {
    /// What is known of it.
    pub entry: &'static Entry,
    /// Its value.
    pub value: Checked,
    /// Where that came from.
    pub source: Source,
}

/// All settings as they hold.
#[derive(Debug)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// Every setting at its default.
    pub fn defaults() -> Self {
        let default = |entry: &'static Entry| Setting {
            entry,
            value: (entry.check)(entry.default).expect("defaults are good: a test tries each"),
            source: Source::Default,
        };
        Self(entries().map(default).collect())
    }

    /// Gives a setting a value from a source that goes before all earlier ones.
    pub fn set(&mut self, entry: &Entry, text: &str, source: Source) -> Result<(), String> {
        let value = (entry.check)(text)?;
        let setting = self
            .0
            .iter_mut()
            .find(|setting| {
                std::ptr::eq(setting.entry, entry) || setting.entry.name() == entry.name()
            })
            .expect("every entry has a setting");
        setting.value = value;
        setting.source = source;
        Ok(())
    }

    /// A setting's value as text, by the section's name and the field's.
    pub fn text(&self, section: &str, field: &str) -> &str {
        &self.find(section, field).value.text
    }

    /// Whether nobody gave the setting a value.
    pub fn is_default(&self, section: &str, field: &str) -> bool {
        self.find(section, field).source == Source::Default
    }

    fn find(&self, section: &str, field: &str) -> &Setting {
        let found = self.0.iter().find(|s| s.entry.section == section && s.entry.field == field);
        found.expect("only settings that there are, are asked for")
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_is_good_and_shown_as_it_is_written() {
        for entry in entries() {
            let checked = (entry.check)(entry.default);
            let text = checked.map(|checked| checked.text);
            // 24h is shown as 1d; both are right, and the one in the table reads better.
            if entry.default != "24h" {
                assert_eq!(text.as_deref(), Ok(entry.default), "{}", entry.name());
            }
        }
    }

    #[test]
    fn names_are_unique_also_in_the_environment_and_never_those_of_kubernetes() {
        let mut names = BTreeSet::new();
        for entry in entries() {
            assert!(names.insert(entry.environment()), "{} twice", entry.environment());
            if let Some(alias) = entry.environment_alias {
                assert!(names.insert(alias.to_owned()), "{alias} twice");
            }
            let key = entry.key();
            assert!(!key.starts_with("port") && !key.starts_with("service"), "{key}");
        }
    }

    #[test]
    fn every_setting_is_explained_in_sentences() {
        for entry in entries() {
            assert!(entry.doc_line().ends_with('.'), "{}: {}", entry.name(), entry.doc_line());
        }
    }
}
