//! A `stead.toml` with every setting in it, commented.

use std::fmt::Write as _;

use super::{entry::Entry, kind::Form, settings::SECTIONS};

/// The text of the example: every setting at its default, commented out.
pub fn example() -> String {
    let mut text = String::from(
        "# Every setting of Stead at its default. Uncomment what you change.\n\
         # Each can be given in the environment too, as STEAD_SECTION_KEY, and on the\n\
         # command line, as --set section.key=value, which goes before both.\n",
    );
    for (section, doc, entries) in SECTIONS {
        text.push('\n');
        for line in doc {
            let _ = writeln!(text, "#{line}");
        }
        let _ = writeln!(text, "[{section}]");
        for entry in entries {
            let _ = writeln!(text);
            for line in entry.doc {
                let _ = writeln!(text, "#{line}");
            }
            let _ = writeln!(text, "# {} = {}", entry.key(), literal(entry));
        }
    }
    text
}

fn literal(entry: &Entry) -> String {
    match entry.form {
        Form::Number | Form::Flag => entry.default.to_owned(),
        Form::Text | Form::Size | Form::Span => format!("{:?}", entry.default),
    }
}
