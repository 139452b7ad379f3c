//! The node's own log lines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSection};

/// Consensus's library tells at level info what is for who works on it: it is
/// only heard if it is asked for.
fn quiet(wanted: &str) -> String {
    if wanted.contains("openraft") { wanted.to_owned() } else { format!("{wanted},openraft=error") }
}

/// Starts writing log lines to standard error. Later calls change nothing:
/// there is one log in a process.
pub fn start(log: &LogSection) {
    let filter = EnvFilter::try_new(quiet(&log.filter.0))
        .expect("the setting was checked by reading it in the same way");
    let colour = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => lines.with_ansi(colour).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
    if started.is_err() {
        tracing::debug!("there is a log already");
    }
}
