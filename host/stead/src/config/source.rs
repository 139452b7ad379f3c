//! Where a setting's value came from.

use std::{fmt, path::PathBuf};

use serde_json::{Value, json};

/// Where a setting's value came from, in growing precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said otherwise.
    Default,
    /// The file, and the line in it.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line, as it was given.
    Flag(String),
}

impl Source {
    /// It, for programs.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Default => json!({"kind": "default"}),
            Self::File { path, line } => {
                json!({"kind": "file", "path": path.display().to_string(), "line": line})
            }
            Self::Environment(name) => json!({"kind": "environment", "name": name}),
            Self::Flag(flag) => json!({"kind": "flag", "flag": flag}),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
