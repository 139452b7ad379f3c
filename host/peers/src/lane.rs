//! The lanes between two nodes.

use std::fmt;

/// One of the connections from a node to another. Each lane is a TCP connection
/// of its own, so that a long transfer on one never holds up another: a
/// heartbeat doesn't wait behind a partition's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Heartbeats, votes, hints: small and urgent. It is dialled as soon as a
    /// peer is known, is kept up, and is what tells whether the peer is there.
    Control,
    /// The consensus log: appends, in order and pipelined.
    Log,
    /// Stores and components on their way to another node, in chunks.
    Bulk,
    /// Requests of callers, forwarded to where they can be served.
    Requests,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 4] = [Self::Control, Self::Log, Self::Bulk, Self::Requests];

    /// Its number in a handshake. Never change or reuse one.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Log => 2,
            Self::Bulk => 3,
            Self::Requests => 4,
        }
    }

    /// The lane with this number.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.code() == code)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Log => "log",
            Self::Bulk => "bulk",
            Self::Requests => "requests",
        })
    }
}

/// Something for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lanes<T> {
    /// For [`Lane::Control`].
    pub control: T,
    /// For [`Lane::Log`].
    pub log: T,
    /// For [`Lane::Bulk`].
    pub bulk: T,
    /// For [`Lane::Requests`].
    pub requests: T,
}

impl<T> Lanes<T> {
    /// Makes one for each lane.
    pub fn each(mut make: impl FnMut(Lane) -> T) -> Self {
        Self {
            control: make(Lane::Control),
            log: make(Lane::Log),
            bulk: make(Lane::Bulk),
            requests: make(Lane::Requests),
        }
    }

    /// The one for a lane.
    pub const fn get(&self, lane: Lane) -> &T {
        match lane {
            Lane::Control => &self.control,
            Lane::Log => &self.log,
            Lane::Bulk => &self.bulk,
            Lane::Requests => &self.requests,
        }
    }

    /// The one for a lane, to change it.
    pub const fn get_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Log => &mut self.log,
            Lane::Bulk => &mut self.bulk,
            Lane::Requests => &mut self.requests,
        }
    }
}
