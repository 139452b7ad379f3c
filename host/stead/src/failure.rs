//! How a verb fails: what happened, where, what to do about it, and the exit
//! code that says so to programs.

use serde_json::{Value, json};

use crate::client::Problem;

/// Exit codes. They are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It failed in a way that no other code names.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The entity said no.
    Rejected = 3,
    /// The node could not be reached.
    Unreachable = 4,
    /// There is no such type, command, query, version, snapshot or file.
    NotFound = 5,
    /// Not now: nothing was recorded, try again later.
    NotNow = 6,
    /// It may or may not have been recorded: retry under the same key to learn.
    OutcomeUnknown = 7,
    /// The entity's code failed; nothing was recorded.
    GuestFailed = 8,
    /// The project could not be built.
    BuildFailed = 9,
}

/// The exit codes, for `stead --help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line or the configuration is wrong
  3  the entity said no (a rejection); nothing was recorded
  4  the node could not be reached
  5  there is no such type, command, query, version, snapshot or file
  6  not now (busy, stopping, disk full); nothing was recorded, try again
  7  the outcome is not known; retry under the same key to learn it
  8  the entity's code failed; nothing was recorded
  9  the project could not be built";

impl Exit {
    /// The code's name for programs.
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::NotFound => "not-found",
            Self::NotNow => "not-now",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::GuestFailed => "guest-failed",
            Self::BuildFailed => "build-failed",
        }
    }
}

/// Why a verb did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, and where.
    pub message: String,
    /// What to do about it, a line each.
    pub hints: Vec<String>,
    /// What the node answered, if it did.
    pub problem: Option<Box<Problem>>,
    /// The reader of our output has gone; there is nobody to tell.
    pub reader_gone: bool,
}

impl Failure {
    /// A failure with a sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hints: Vec::new(), problem: None, reader_gone: false }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// A file could not be read or written.
    pub fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(exit, format!("{} could not be {what}: {error}", path.display()))
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The reader of our output has gone, as with `stead ls | head -1`.
    pub fn reader_gone() -> Self {
        Self { reader_gone: true, ..Self::new(Exit::Failed, "the output's reader has gone") }
    }

    /// It, for programs: the one shape of every error under `--json`.
    pub fn to_json(&self) -> Value {
        let mut error = json!({
            "kind": self.exit.name(),
            "exit": self.exit as u8,
            "message": self.message,
            "hints": self.hints,
        });
        if let (Some(problem), Some(error)) = (&self.problem, error.as_object_mut()) {
            error.insert("problem".into(), Value::Object(problem.members.clone()));
        }
        json!({"error": error})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        for exit in [
            Exit::Failed,
            Exit::Usage,
            Exit::Rejected,
            Exit::Unreachable,
            Exit::NotFound,
            Exit::NotNow,
            Exit::OutcomeUnknown,
            Exit::GuestFailed,
            Exit::BuildFailed,
        ] {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }

    #[test]
    fn an_error_for_programs_has_one_shape() {
        let error = Failure::usage("no").hint("yes").to_json();
        assert_eq!(
            error,
            json!({"error": {"kind": "usage", "exit": 2, "message": "no", "hints": ["yes"]}})
        );
    }
}
