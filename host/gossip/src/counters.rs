//! What was sent, taken and dropped since the start.

/// Counts since the start. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that the system refused to send.
    pub send_failures: u64,
    /// Datagrams that came.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Of them, those not taken.
    pub dropped: Dropped,
    /// Times the system failed to give what came.
    pub receive_failures: u64,
    /// Hints of other rooms that were followed.
    pub hints: u64,
    /// Times this node found that it had been stopped itself.
    pub pauses: u64,
    /// Times this node had to begin another life, as the others held it to be gone.
    pub renewals: u64,
    /// Timers or inputs that foca did not understand. Other than 0 is a defect.
    pub internal: u64,
}

/// Datagrams that came and were not taken, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Not one of ours, cut off, or damaged on the way.
    pub garbage: u64,
    /// Of another version of the format.
    pub other_version: u64,
    /// Of another cluster.
    pub other_cluster: u64,
    /// Gossip that came while this node is in no cluster yet, or has left.
    pub not_member: u64,
    /// Gossip that claims to be from this node's own address.
    pub from_ourselves: u64,
    /// News of more addresses than are remembered.
    pub too_many: u64,
    /// Answers that nobody waits for, or waits for no longer.
    pub unasked: u64,
    /// Gossip of a life that is known to be over; its sender is told.
    pub outdated: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self {
            garbage,
            other_version,
            other_cluster,
            not_member,
            from_ourselves,
            too_many,
            unasked,
            outdated,
        } = self;
        garbage
            + other_version
            + other_cluster
            + not_member
            + from_ourselves
            + too_many
            + unasked
            + outdated
    }
}
