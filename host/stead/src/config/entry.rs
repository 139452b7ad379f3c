//! What is known of each setting, and the macro that makes a section of the
//! configuration and what is known of it from one description.

use serde_json::Value;

use super::kind::Form;

/// What is known of one setting.
#[derive(Debug)]
pub struct Entry {
    /// Its section: `ingress`.
    pub section: &'static str,
    /// Its field in the section's type; [`Entry::key`] is what people write.
    pub field: &'static str,
    /// What it is for, a paragraph in lines.
    pub doc: &'static [&'static str],
    /// Its value if nobody says otherwise.
    pub default: &'static str,
    /// What its value has to look like in the file.
    pub form: Form,
    /// What its number counts.
    pub unit: &'static str,
    /// A second, shorter name in the environment.
    pub environment_alias: Option<&'static str>,
    /// Checks a value and shows it.
    pub check: fn(&str) -> Result<Checked, String>,
}

/// A value that was found good.
#[derive(Debug, PartialEq)]
pub struct Checked {
    /// As it would be written.
    pub text: String,
    /// For programs.
    pub json: Value,
}

impl Entry {
    /// Its name within the section, as people write it: `idle-timeout`.
    pub fn key(&self) -> String {
        self.field.replace('_', "-")
    }

    /// Its whole name: `ingress.idle-timeout`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key())
    }

    /// Its name in the environment: `STEAD_INGRESS_IDLE_TIMEOUT`.
    pub fn environment(&self) -> String {
        format!("STEAD_{}_{}", self.section, self.field).to_ascii_uppercase()
    }

    /// The paragraph as one line.
    pub fn doc_line(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

/// A section of the configuration.
pub trait Section {
    /// Its name.
    const NAME: &'static str;
    /// What it is about.
    const DOC: &'static [&'static str];
    /// Its settings.
    const ENTRIES: &'static [Entry];
}

/// Describes a section once: the type that holds it, its settings, their
/// defaults, bounds and words of explanation.
///
/// No setting may be called `port` or begin with `port-` or `service-`:
/// Kubernetes gives every container variables such as `STEAD_INGRESS_PORT` for
/// a service named `stead-ingress`, and they would be taken for settings.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        $section:ident in $section_name:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $kind:ty = $default:literal
                    $(also $alias:literal)?
                    $(, $low:expr => $high:expr)?;
            )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $section {
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }

        impl $crate::config::entry::Section for $section {
            const NAME: &'static str = $section_name;
            const DOC: &'static [&'static str] = &[$($section_doc),+];
            const ENTRIES: &'static [$crate::config::entry::Entry] = &[$(
                $crate::config::entry::Entry {
                    section: $section_name,
                    field: stringify!($field),
                    doc: &[$($doc),+],
                    default: $default,
                    form: <$kind as $crate::config::kind::Kind>::FORM,
                    unit: <$kind as $crate::config::kind::Kind>::UNIT,
                    environment_alias: $crate::config::entry::section!(@alias $($alias)?),
                    check: |text| {
                        let value = <$kind as $crate::config::kind::Kind>::parse(text)?;
                        $($crate::config::entry::check_range(&value, &$low, &$high)?;)?
                        Ok($crate::config::entry::Checked {
                            text: $crate::config::kind::Kind::show(&value),
                            json: $crate::config::kind::Kind::to_json(&value),
                        })
                    },
                },
            )+];
        }

        impl $section {
            /// Takes the section from values that have been checked.
            pub fn from_settings(settings: &$crate::config::Settings) -> Self {
                Self {
                    $($field: <$kind as $crate::config::kind::Kind>::parse(
                        settings.text($section_name, stringify!($field)),
                    ).expect("settings are checked when they are taken"),)+
                }
            }
        }
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}
pub(crate) use section;

/// Checks that a value is within its bounds, both included.
pub fn check_range<K: super::kind::Kind>(value: &K, low: &K, high: &K) -> Result<(), String> {
    if value < low || value > high {
        return Err(format!(
            "{} is out of bounds: it is from {} to {}",
            value.show(),
            low.show(),
            high.show()
        ));
    }
    Ok(())
}
