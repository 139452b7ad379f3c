//! The kinds of faults, and in which order they come.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use stead_tests::random::Random;

/// What can happen to a cluster of three nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL, and a restart.
    Kill,
    /// SIGTERM, and a restart.
    Terminate,
    /// SIGSTOP for longer than it takes to be missed, of the node that leads most.
    FreezeLeader,
    /// The same of the node that leads least, and not the cluster's own partition.
    FreezeFollower,
    /// The same of the node that leads the cluster's own partition.
    FreezeFacts,
    /// A node is frozen, another is killed and comes back meanwhile: whoever wakes
    /// has old news of it.
    FreezeObserver,
    /// SIGKILL, and the data directory is gone.
    LoseDisk,
    /// A node reaches no other, and none it.
    Cut,
    /// A node hears nobody, and is heard.
    CutIn,
    /// A node is not heard, and hears.
    CutOut,
    /// Two nodes lose each other; both reach the third.
    Bridge,
    /// Nobody reaches anybody.
    Shatter,
    /// A share of a node's packets is lost.
    Loss,
    /// A node's connections are reset, again and again.
    Reset,
    /// A fourth node comes, takes part, and goes for good.
    Churn,
    /// Two nodes at once: one is killed or frozen, and what the others say to each
    /// other is lost in part, or reset.
    Pair,
    /// Two of three are killed, and come back.
    Majority,
    /// All are killed, and come back.
    Everyone,
}

impl Fault {
    pub const ALL: [Self; 18] = [
        Self::Kill,
        Self::Terminate,
        Self::FreezeLeader,
        Self::FreezeFollower,
        Self::FreezeFacts,
        Self::FreezeObserver,
        Self::LoseDisk,
        Self::Cut,
        Self::CutIn,
        Self::CutOut,
        Self::Bridge,
        Self::Shatter,
        Self::Loss,
        Self::Reset,
        Self::Churn,
        Self::Pair,
        Self::Majority,
        Self::Everyone,
    ];

    /// The short form.
    const SHORT: [Self; 9] = [
        Self::Kill,
        Self::Cut,
        Self::FreezeFacts,
        Self::Bridge,
        Self::CutIn,
        Self::Reset,
        Self::CutOut,
        Self::Loss,
        Self::LoseDisk,
    ];

    /// Those that `STEAD_CHAOS_FAULTS` names, if it does.
    pub fn asked_for() -> Option<Vec<Self>> {
        let names = std::env::var("STEAD_CHAOS_FAULTS").ok()?;
        let named = |name: &str| {
            let found = Self::ALL.into_iter().find(|fault| format!("{fault:?}") == name.trim());
            found.unwrap_or_else(|| panic!("no fault is called {name}; there are {:?}", Self::ALL))
        };
        Some(names.split(',').map(named).collect())
    }
}

/// Which faults come, one after the other.
#[derive(Debug)]
pub struct Plan {
    kinds: Vec<Fault>,
    /// Until when it goes on; once through the kinds, as they are, if there is none.
    until: Option<Instant>,
    /// Those that are still to come before the kinds are gone through again.
    deck: Vec<Fault>,
    rounds: usize,
}

impl Plan {
    /// Once through these, or through the short form.
    pub fn fixed(kinds: Option<Vec<Fault>>) -> Self {
        let kinds = kinds.unwrap_or_else(|| Fault::SHORT.to_vec());
        let deck = kinds.iter().rev().copied().collect();
        Self { kinds, until: None, deck, rounds: 0 }
    }

    /// For so long, and through each of them once at least.
    pub fn by_chance(time: Duration, kinds: Option<Vec<Fault>>) -> Self {
        let kinds = kinds.unwrap_or_else(|| Fault::ALL.to_vec());
        Self { kinds, until: Some(Instant::now() + time), deck: Vec::new(), rounds: 0 }
    }

    /// The kinds that come.
    pub fn kinds(&self) -> BTreeSet<Fault> {
        self.kinds.iter().copied().collect()
    }

    /// The next.
    pub fn next(&mut self, random: &mut Random) -> Option<Fault> {
        let is_time_up = self.until.is_none_or(|until| Instant::now() >= until);
        let all_came = self.rounds >= self.kinds.len();
        if is_time_up && all_came {
            return None;
        }
        if self.deck.is_empty() {
            let mut drawn: Vec<_> =
                self.kinds.iter().map(|kind| (random.number(), *kind)).collect();
            drawn.sort_unstable();
            self.deck = drawn.into_iter().map(|(_, kind)| kind).collect();
        }
        self.rounds += 1;
        self.deck.pop()
    }
}
