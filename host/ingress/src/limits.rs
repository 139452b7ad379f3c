//! What a connection, a request and a caller may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stead_model::RequestLimits;

/// What connections may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConnectionLimits {
    /// The most connections at once. One more is answered `503` and closed.
    pub connections_max: usize,
    /// How long a request's head may take from its first byte, in milliseconds.
    /// It is looked at now and then: a slow one is closed after at most one and
    /// a half times this.
    pub head_ms_max: u64,
    /// The most bytes in a request's head (HTTP/1.1; `431` beyond), or in its
    /// list of header fields (HTTP/2). Never taken as less than 8 KiB.
    pub head_bytes_max: u32,
    /// How long a connection may be idle between requests, or before the first
    /// one, in milliseconds.
    pub idle_ms_max: u64,
    /// How long a client may leave an answer unread once its window is full, in
    /// milliseconds.
    pub write_stall_ms_max: u64,
    /// When the server closes a connection, how long it waits for the client to
    /// take notice, in milliseconds. Without it, the end of an answer to a body
    /// that was not wanted would be lost.
    pub linger_ms_max: u64,
    /// How long accepted requests may take once the server stops, in milliseconds.
    pub drain_ms_max: u64,
    /// The most requests that one HTTP/2 connection may have under way.
    pub http2_streams_max: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            head_ms_max: 10_000,
            head_bytes_max: 64 << 10,
            idle_ms_max: 75_000,
            write_stall_ms_max: 30_000,
            linger_ms_max: 1_000,
            drain_ms_max: 15_000,
            http2_streams_max: 256,
        }
    }
}

impl ConnectionLimits {
    /// The limits with no more connections than a process that may have so many
    /// open files can hold, an eighth of them (at least 64) left for the rest
    /// of it. At the end of the open files nothing can be accepted, and no
    /// store opened.
    #[must_use]
    pub fn within_open_files(mut self, open_files_max: u64) -> Self {
        let rest = open_files_max.saturating_sub((open_files_max / 8).max(64));
        let room = usize::try_from(rest).unwrap_or(usize::MAX).max(1);
        self.connections_max = self.connections_max.min(room);
        self
    }

    pub(crate) fn head(&self) -> Duration {
        Duration::from_millis(self.head_ms_max.max(1))
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms_max.max(1))
    }

    pub(crate) fn write_stall(&self) -> Duration {
        Duration::from_millis(self.write_stall_ms_max.max(1))
    }

    pub(crate) fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms_max)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms_max)
    }
}

/// How fast bodies come, and how much room all of them have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BodyLimits {
    /// How long a body may pause, in milliseconds; `408` beyond.
    pub stall_ms_max: u64,
    /// The least bytes a second that a body has to keep up; `408` below.
    pub rate_min: u64,
    /// For how long at its beginning a body may be slower, in milliseconds.
    pub rate_grace_ms: u64,
    /// The most bytes of bodies in memory at once, of all requests under way
    /// together; `503` beyond.
    pub total_bytes_max: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            stall_ms_max: 10_000,
            rate_min: 4 << 10,
            rate_grace_ms: 5_000,
            total_bytes_max: 512 << 20,
        }
    }
}

/// What the entity endpoints allow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IngressOptions {
    /// Connections.
    pub connections: ConnectionLimits,
    /// Bodies on their way in.
    pub bodies: BodyLimits,
    /// Requests: the size of a body, and how long a caller may wait.
    pub requests: RequestLimits,
}

/// What the admin API allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdminOptions {
    /// Connections.
    pub connections: ConnectionLimits,
    /// Bodies on their way in.
    pub bodies: BodyLimits,
    /// The most bytes in a component.
    pub component_bytes_max: usize,
    /// The most bytes in any other body.
    pub json_bytes_max: usize,
    /// The most clients that follow entities' events at once; `503` beyond.
    pub followers_max: usize,
    /// How often a follower to whom nothing happens gets an empty line, in
    /// milliseconds: it shows a client that is gone.
    pub heartbeat_ms: u64,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits { connections_max: 1_024, ..ConnectionLimits::default() },
            bodies: BodyLimits { total_bytes_max: 256 << 20, ..BodyLimits::default() },
            component_bytes_max: 64 << 20,
            json_bytes_max: 1 << 20,
            followers_max: 256,
            heartbeat_ms: 15_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        let fitted = |files| ConnectionLimits::default().within_open_files(files).connections_max;
        assert_eq!(fitted(1_000_000), 16_384);
        assert_eq!(fitted(1_024), 896);
        assert_eq!(fitted(256), 192);
        assert_eq!(fitted(10), 1, "one at least, whatever comes of it");
    }
}
