//! Bugs put in on purpose, so that a simulation can show that it finds them.

/// A bug that a test harness must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// A proposal counts as committed as soon as it was handed over.
    CommitsBeforeQuorum,
    /// What was proposed for one term is appended in another.
    ProposalTermIgnored,
    /// A leader takes it for granted that it still leads.
    LeadershipUnconfirmed,
    /// A vote is given before it is durable.
    VotesBeforeDurable,
    /// A leader serves before its store shows all that was committed before.
    ServesBeforeReady,
    /// A store that was received counts as further than it is.
    StoresCountedAhead,
    /// A replica whose storage has failed goes on leading.
    FailedReplicasGoOn,
}
