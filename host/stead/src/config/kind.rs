//! The kinds of values that a setting can have.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde_json::{Value, json};

use stead_cluster::Seed;

use super::{ByteSize, span};

/// What a setting's value has to look like in `stead.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A string.
    Text,
    /// An integer.
    Number,
    /// A string with a unit, or an integer of bytes.
    Size,
    /// A string with a unit.
    Span,
    /// `true` or `false`.
    Flag,
}

/// A type that a setting's value can have.
pub trait Kind: Sized + PartialOrd {
    /// What it has to look like in the file.
    const FORM: Form;
    /// What its number in `--json` counts; empty if it is no number with a unit.
    const UNIT: &'static str = "";

    /// Reads it; the error is a sentence.
    fn parse(text: &str) -> Result<Self, String>;
    /// Shows it as it would be written.
    fn show(&self) -> String;
    /// It, for programs.
    fn to_json(&self) -> Value {
        Value::String(self.show())
    }
}

impl Kind for ByteSize {
    const FORM: Form = Form::Size;
    const UNIT: &'static str = "bytes";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn to_json(&self) -> Value {
        json!(self.0)
    }
}

impl Kind for Duration {
    const FORM: Form = Form::Span;
    const UNIT: &'static str = "milliseconds";

    fn parse(text: &str) -> Result<Self, String> {
        span::parse(text)
    }

    fn show(&self) -> String {
        span::show(*self)
    }

    fn to_json(&self) -> Value {
        json!(span::as_ms(*self))
    }
}

macro_rules! number_kind {
    ($($number:ty),+) => {$(
        impl Kind for $number {
            const FORM: Form = Form::Number;

            fn parse(text: &str) -> Result<Self, String> {
                let plain: String = text.chars().filter(|c| *c != '_').collect();
                plain.parse().map_err(|_| {
                    format!("{text:?} is no whole number from 0 to {}", <$number>::MAX)
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn to_json(&self) -> Value {
                json!(self)
            }
        }
    )+};
}

number_kind!(u8, u16, u32, u64);

impl Kind for bool {
    const FORM: Form = Form::Flag;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn to_json(&self) -> Value {
        json!(self)
    }
}

impl Kind for SocketAddr {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            let hint = match text.parse::<IpAddr>() {
                Ok(_) => "the port is missing",
                Err(_) => "it is an IP address and a port, as in 127.0.0.1:8080 or [::]:8080",
            };
            format!("{text:?} is no address to listen on: {hint}")
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Kind for PathBuf {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("a path has at least one character".into())
        } else {
            Ok(text.into())
        }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Kind for String {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

/// Where other nodes may be found.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct Seeds(pub Vec<Seed>);

impl Kind for Seeds {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        Seed::list(text).map(Self).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        self.0.iter().map(Seed::to_string).collect::<Vec<_>>().join(",")
    }
}

/// What a node does that finds no cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Bootstrap {
    /// Founds one together with others.
    Found,
    /// Waits for one to enter.
    Join,
}

impl Kind for Bootstrap {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "found" => Ok(Self::Found),
            "join" => Ok(Self::Join),
            _ => Err(format!("{text:?} is neither found nor join")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Found => "found".into(),
            Self::Join => "join".into(),
        }
    }
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Kind for LogFormat {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is no log format; there are text and json")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Json => "json".into(),
        }
    }
}

/// Which log lines are wanted: a level, or levels by target.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct LogFilter(pub String);

impl Kind for LogFilter {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) if !text.trim().is_empty() => Ok(Self(text.to_owned())),
            Ok(_) => Err("a log filter has at least a level, as in info".into()),
            Err(error) => {
                Err(format!("{text:?} is no log filter, as info,stead_journal=debug is: {error}"))
            }
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}
