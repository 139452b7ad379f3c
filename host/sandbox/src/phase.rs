//! What a guest is doing, and so what it may ask of the host.

use std::fmt;

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The instance is being made: the component's own start-up code runs.
    Start,
    /// The component says what it offers.
    Describe,
    /// An entity without events is made.
    Construct,
    /// An entity is made from a snapshot.
    Restore,
    /// Recorded events are folded.
    Apply,
    /// The state is written down.
    Snapshot,
    /// An entity is let go.
    Release,
    /// A command is handled.
    Handle,
    /// A query is answered.
    Query,
}

impl Phase {
    /// Whether the guest may ask for time and randomness. Everywhere else only
    /// the events may count, or replay would not be exact.
    pub(crate) fn may_ask(self) -> bool {
        match self {
            Self::Handle | Self::Query => true,
            Self::Start
            | Self::Describe
            | Self::Construct
            | Self::Restore
            | Self::Apply
            | Self::Snapshot
            | Self::Release => false,
        }
    }

    /// Whether the deadline for replay holds, rather than that for a command.
    pub(crate) fn is_replay(self) -> bool {
        match self {
            Self::Start | Self::Describe | Self::Restore | Self::Apply | Self::Snapshot => true,
            Self::Construct | Self::Release | Self::Handle | Self::Query => false,
        }
    }

    /// Whether the memory that the call takes is an entity's, and so bounded
    /// by an entity's share.
    pub(crate) fn is_of_an_entity(self) -> bool {
        !matches!(self, Self::Start | Self::Describe)
    }
}

impl fmt::Display for Phase {
    /// Ends a sentence that begins with "while".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "the instance was starting up",
            Self::Describe => "the component was describing itself",
            Self::Construct => "the entity was being constructed",
            Self::Restore => "the entity was being restored from a snapshot",
            Self::Apply => "events were being applied",
            Self::Snapshot => "a snapshot was being taken",
            Self::Release => "the entity was being let go",
            Self::Handle => "a command was being handled",
            Self::Query => "a query was being answered",
        })
    }
}
