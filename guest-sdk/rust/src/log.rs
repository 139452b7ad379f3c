//! Lines for the node's log.

use std::fmt;

use crate::host;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth looking at.
    Warn,
    /// Something is wrong.
    Error,
}

/// Writes a line to the node's log, which adds the entity's type and id. What
/// is written while events are folded is dropped by the host.
pub fn log(level: Level, line: fmt::Arguments<'_>) {
    match line.as_str() {
        Some(line) => host::log(level, line),
        None => host::log(level, &line.to_string()),
    }
}

/// Writes a line at level trace to the node's log: `trace!("{count} left")`.
#[macro_export]
macro_rules! trace {
    ($($line:tt)*) => {
        $crate::log($crate::Level::Trace, ::std::format_args!($($line)*))
    };
}

/// Writes a line at level debug to the node's log: `debug!("{count} left")`.
#[macro_export]
macro_rules! debug {
    ($($line:tt)*) => {
        $crate::log($crate::Level::Debug, ::std::format_args!($($line)*))
    };
}

/// Writes a line at level info to the node's log: `info!("{count} left")`.
#[macro_export]
macro_rules! info {
    ($($line:tt)*) => {
        $crate::log($crate::Level::Info, ::std::format_args!($($line)*))
    };
}

/// Writes a line at level warn to the node's log: `warn!("{count} left")`.
#[macro_export]
macro_rules! warn {
    ($($line:tt)*) => {
        $crate::log($crate::Level::Warn, ::std::format_args!($($line)*))
    };
}

/// Writes a line at level error to the node's log: `error!("{count} left")`.
#[macro_export]
macro_rules! error {
    ($($line:tt)*) => {
        $crate::log($crate::Level::Error, ::std::format_args!($($line)*))
    };
}
