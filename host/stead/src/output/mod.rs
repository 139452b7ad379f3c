//! What verbs print: results on standard output, everything else on standard
//! error; colour and progress only where a person looks.

mod base64;
mod progress;
pub mod reply;
mod table;
mod time;

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
};

use serde_json::Value;

pub use base64::base64;
pub use progress::{Progress, bytes_bar, count_bar, spinner};
pub use table::Table;
pub use time::timestamp;

use crate::failure::Failure;

/// Where a verb's words go.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Whether results are for programs.
    pub json: bool,
    colour_out: bool,
    colour_error: bool,
    /// Whether a person sees standard error.
    pub watched: bool,
}

impl Screen {
    /// As this process's terminals and environment say.
    pub fn of_process(json: bool) -> Self {
        // https://no-color.org: any value but an empty one.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            json,
            colour_out: wanted && !json && std::io::stdout().is_terminal(),
            colour_error: wanted && std::io::stderr().is_terminal(),
            watched: std::io::stderr().is_terminal(),
        }
    }

    /// A line of the result.
    pub fn line(&self, text: impl fmt::Display) -> Result<(), Failure> {
        self.raw(format!("{text}\n").as_bytes())
    }

    /// Bytes of the result, as they are.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::reader_gone(),
            _ => Failure::failed(format!("the result could not be printed: {error}")),
        })
    }

    /// The result, for programs: one JSON document on a line.
    pub fn json(&self, value: &Value) -> Result<(), Failure> {
        self.line(value)
    }

    /// A node's JSON answer, as it came, on a line.
    pub fn document(&self, body: &[u8]) -> Result<(), Failure> {
        self.raw(body)?;
        if body.ends_with(b"\n") { Ok(()) } else { self.raw(b"\n") }
    }

    /// A table of the result.
    pub fn table(&self, table: &Table) -> Result<(), Failure> {
        self.line(table.render(self.colour_out))
    }

    /// A word on the side, for whoever watches. Nothing depends on it, so a
    /// closed standard error is no failure.
    pub fn note(&self, text: impl fmt::Display) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A word on the side, in the background's colour.
    pub fn aside(&self, text: impl fmt::Display) {
        if self.colour_error {
            self.note(format_args!("\x1b[2m{text}\x1b[0m"));
        } else {
            self.note(text);
        }
    }

    /// Something that went well, or changed.
    pub fn good(&self, text: impl fmt::Display) {
        self.labelled("32", "", text);
    }

    /// Something strange that does no harm.
    pub fn warning(&self, text: impl fmt::Display) {
        self.labelled("33", "warning: ", text);
    }

    /// Says how a verb failed.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            self.note(failure.to_json());
            return;
        }
        self.labelled("31", "error: ", &failure.message);
        for hint in &failure.hints {
            self.note(format_args!("  {}", hint.replace('\n', "\n  ")));
        }
    }

    fn labelled(&self, colour: &str, label: &str, text: impl fmt::Display) {
        match (self.colour_error, label.is_empty()) {
            (true, true) => self.note(format_args!("\x1b[{colour}m{text}\x1b[0m")),
            (true, false) => self.note(format_args!("\x1b[1;{colour}m{label}\x1b[0m{text}")),
            (false, _) => self.note(format_args!("{label}{text}")),
        }
    }
}

/// A count with its thousands parted, for people.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes, rounded, for people.
pub fn bytes(count: u64) -> String {
    let mut unit = "B";
    #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let mut value = count as f64;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// Text from outside, fit for a terminal: control characters are shown, not obeyed.
pub fn tame(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let shown: Box<dyn Iterator<Item = char>> = if c.is_control() && c != '\n' && c != '\t'
            {
                Box::new(c.escape_default())
            } else {
                Box::new(std::iter::once(c))
            };
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(17), "17 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
    }

    #[test]
    fn a_terminal_is_not_driven_by_what_is_shown() {
        assert_eq!(tame("a\x1b[31mb\r\nc"), "a\\u{1b}[31mb\\r\nc");
    }
}
