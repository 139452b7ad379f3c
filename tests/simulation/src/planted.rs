//! Bugs put into the product on purpose, to show that a run finds them.

use std::fmt;

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// A bug that is put in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Planted {
            $($(#[$doc])* $bug,)*
        }

        impl Planted {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// The one of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|bug| bug.to_string() == name)
            }
        }

        impl fmt::Display for Planted {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$bug => $name,)*
                })
            }
        }
    };
}

bugs! {
    /// What was proposed counts as committed at once.
    AcknowledgesBeforeQuorum = "acknowledges-before-quorum",
    /// What was proposed in one term is appended in another.
    IgnoresTerm = "ignores-term",
    /// A leader doesn't ask whether it still leads: a lease that never ends.
    LeaseTooLong = "lease-too-long",
    /// A vote is given before it is durable.
    VotesBeforeDurable = "votes-before-durable",
    /// Entries are said to be durable before they are.
    DurableBeforeSync = "durable-before-sync",
    /// A store that was received counts as further than it is.
    StoresCountedAhead = "stores-counted-ahead",
    /// A leader serves before its store shows what was committed before.
    ServesBeforeReady = "serves-before-ready",
    /// A leader whose disk has failed goes on leading.
    FailedReplicasGoOn = "failed-replicas-go-on",
    /// Answers leave before what they speak of is committed.
    AnswersBeforeCommit = "answers-before-commit",
    /// Queries are answered whatever they saw.
    QueriesBeforeCommit = "queries-before-commit",
    /// A command is handled again when it comes again.
    RequestIdsIgnored = "request-ids-ignored",
    /// Entities are brought back from a store that is behind.
    StoreReadTooSoon = "store-read-too-soon",
}

impl Planted {
    /// If it is one of consensus.
    pub fn of_consensus(self) -> Option<stead_consensus::PlantedBug> {
        use stead_consensus::PlantedBug;
        match self {
            Self::AcknowledgesBeforeQuorum => Some(PlantedBug::CommitsBeforeQuorum),
            Self::IgnoresTerm => Some(PlantedBug::ProposalTermIgnored),
            Self::LeaseTooLong => Some(PlantedBug::LeadershipUnconfirmed),
            Self::VotesBeforeDurable => Some(PlantedBug::VotesBeforeDurable),
            Self::StoresCountedAhead => Some(PlantedBug::StoresCountedAhead),
            Self::FailedReplicasGoOn => Some(PlantedBug::FailedReplicasGoOn),
            Self::ServesBeforeReady => Some(PlantedBug::ServesBeforeReady),
            _ => None,
        }
    }

    /// If it is one of the journal.
    pub fn of_journal(self) -> Option<stead_journal::PlantedBug> {
        (self == Self::DurableBeforeSync).then_some(stead_journal::PlantedBug::DurableBeforeSync)
    }

    /// If it is one of the engine.
    pub fn of_engine(self) -> Option<stead_partition::PlantedBug> {
        use stead_partition::PlantedBug;
        match self {
            Self::AnswersBeforeCommit => Some(PlantedBug::AnswersBeforeCommit),
            Self::QueriesBeforeCommit => Some(PlantedBug::QueriesBeforeCommit),
            Self::RequestIdsIgnored => Some(PlantedBug::RequestIdsIgnored),
            Self::StoreReadTooSoon => Some(PlantedBug::StoreReadTooSoon),
            _ => None,
        }
    }
}
