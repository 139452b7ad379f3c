//! Who founds the cluster: the protocol, without clock, randomness, disk or socket.
//!
//! Two clusters out of nodes that were meant to be one is the worst that can happen
//! at a start, and it would happen if whoever sees a majority just founded: two
//! majorities have a node in common, but that one may have been seen by both. So who
//! would found *bids* for it, and the node in common has to say which of the two it
//! heeds. In the first phase a majority promises to heed no earlier bid and tells
//! what it favoured before; in the second a majority favours one choice: the new
//! cluster's id and its founder. A choice that a majority favours is the only one
//! there will ever be, since whoever bids later hears of it and has to take it up.
//! It is Paxos for a single value. Promises are kept durably before they are told,
//! so that a node that restarts still holds to them.
//!
//! Bidding begins late on purpose. All nodes that are expected must have answered;
//! only if some don't for the long *grace* does a majority do. Two empty nodes are a
//! majority of three, and the third may be the one that has the data.
//!
//! What this can't know: that a node which never answers has data, and that a disk
//! was lost. That is what [`Settings::may_found`] is for.

mod attempt;

use std::{collections::BTreeSet, time::Duration};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde::{Deserialize, Serialize};
use stead_model::{ClusterId, NodeId};

use crate::word::{Bid, Choice, Letter, Word};
use attempt::{Attempt, Step};

/// How often the same nodes must have been seen, one time after the other, before a
/// bid.
const STEADY: u32 = 3;
/// How long a bid may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How much longer each further node of those that are seen waits with a bid of its
/// own, so that the first can be done with it.
const TURN: Duration = Duration::from_secs(3);
/// How long a node whose bid failed waits at most with the next.
const REST_MS: std::ops::Range<u64> = 500..2_500;
/// The most nodes without a cluster that are heeded.
const SEEN_MAX: usize = 1_000;

/// What a node was told about founding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// How many nodes are to be there when the cluster is founded.
    pub expected: u32,
    /// Whether this node takes part in founding one; if not, it only enters one.
    pub may_found: bool,
    /// Whether it was told where others may be found.
    pub knows_of_others: bool,
    /// How long a majority has to be seen before it founds without the rest.
    pub grace: Duration,
}

/// What a node has promised. It is kept durably.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kept {
    /// No bid before this one is heeded.
    pub promised: Bid,
    /// The choice that was favoured last, and in which bid.
    pub favoured: Option<(Bid, Choice)>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// All addresses were asked who is there.
    Looked {
        /// The clusters of those that are in one.
        clusters: BTreeSet<ClusterId>,
        /// The other nodes that are in none.
        without: BTreeSet<NodeId>,
    },
    /// Another node said something.
    Heard(Letter),
}

/// What to do, in order: what is said after something was to be kept holds only
/// once that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Keep this durably, in place of what was kept before.
    Keep(Kept),
    /// Say this. It may get lost.
    Say(Letter),
    /// There is a cluster: enter it. Nothing follows.
    Enter(ClusterId),
    /// This node founds the cluster. Nothing follows.
    Found(ClusterId),
}

/// Why there is no cluster yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// This node only enters a cluster, and found none.
    ToEnter,
    /// Too few nodes answer: so many, this one among them.
    ForMajority(usize),
    /// A majority answers, but not all: so many, for so long.
    ForTheRest(usize, Duration),
    /// Another was told to expect so many nodes.
    ForOneSize(NodeId, u32),
    /// This one was chosen to found the cluster and hasn't yet.
    ForFounder(NodeId),
    /// It is being agreed on.
    ForAgreement,
}

/// The protocol of one node. See the module's words.
#[derive(Debug)]
pub struct Founding {
    settings: Settings,
    kept: Kept,
    /// Those without a cluster in the last look, this one among them.
    seen: BTreeSet<NodeId>,
    /// How often the same were seen.
    steady: u32,
    /// Since when a majority was seen.
    majority_since: Option<Duration>,
    /// Since when this node could bid.
    ready_since: Option<Duration>,
    attempt: Option<Attempt>,
    /// The highest round that was heard of.
    round: u64,
    not_before: Duration,
    /// What a majority favours, if that was found out here.
    chosen: Option<Choice>,
    other_size: Option<(NodeId, u32)>,
    random: Xoshiro256PlusPlus,
    now: Duration,
    effects: Vec<Effect>,
}

impl Founding {
    /// A node that knows nobody yet, with what it kept from before.
    #[must_use]
    pub fn new(settings: Settings, kept: Kept, seed: u64) -> Self {
        Self {
            settings,
            kept,
            seen: BTreeSet::from([settings.node]),
            steady: 0,
            majority_since: None,
            ready_since: None,
            attempt: None,
            round: kept.promised.round,
            not_before: Duration::ZERO,
            chosen: None,
            other_size: None,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            now: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// Takes what happened at the time `now`, a span since any fixed moment, and
    /// returns what to do.
    #[must_use = "effects that nobody carries out are lost"]
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        self.now = self.now.max(now);
        match input {
            Input::Looked { clusters, without } => match clusters.first() {
                Some(cluster) => self.effects.push(Effect::Enter(*cluster)),
                None => self.looked(without),
            },
            Input::Heard(letter) => self.heard(letter),
        }
        std::mem::take(&mut self.effects)
    }

    /// Why there is no cluster yet.
    #[must_use]
    pub fn waits(&self) -> Waits {
        let favoured = self.kept.favoured.map(|(_, choice)| choice);
        let chosen = self.chosen.or(favoured.filter(|choice| !self.seen.contains(&choice.founder)));
        match (chosen, self.other_size, self.majority_since) {
            _ if !self.settings.may_found => Waits::ToEnter,
            (Some(choice), ..) if choice.founder != self.settings.node => {
                Waits::ForFounder(choice.founder)
            }
            (_, Some((node, expected)), _) => Waits::ForOneSize(node, expected),
            (_, _, None) => Waits::ForMajority(self.seen.len()),
            (_, _, Some(since)) if !self.all_are_seen() => {
                Waits::ForTheRest(self.seen.len(), self.now.saturating_sub(since))
            }
            _ => Waits::ForAgreement,
        }
    }

    fn all_are_seen(&self) -> bool {
        self.seen.len() >= self.expected()
    }

    fn expected(&self) -> usize {
        usize::try_from(self.settings.expected).unwrap_or(usize::MAX)
    }

    /// More than half of those that are expected, or of those that are there, if
    /// there are more.
    fn quorum(&self) -> usize {
        self.expected().max(self.seen.len()) / 2 + 1
    }

    fn looked(&mut self, mut without: BTreeSet<NodeId>) {
        without.insert(self.settings.node);
        while without.len() > SEEN_MAX {
            without.pop_last();
        }
        self.steady = if without == self.seen { self.steady.saturating_add(1) } else { 1 };
        self.seen = without;
        // Whoever expects another number says so again, if it is there still.
        self.other_size = self.other_size.filter(|(node, _)| self.seen.contains(node));
        let majority = self.seen.len() >= self.quorum();
        self.majority_since = self.majority_since.filter(|_| majority);
        if majority && self.majority_since.is_none() {
            self.majority_since = Some(self.now);
        }
        let waited = self.majority_since.map(|since| self.now.saturating_sub(since));
        let enough =
            waited.is_some_and(|waited| self.all_are_seen() || waited >= self.settings.grace);
        let ready = enough && self.settings.may_found && (self.steady >= STEADY || self.is_alone());
        self.ready_since = self.ready_since.filter(|_| ready);
        if ready && self.ready_since.is_none() {
            self.ready_since = Some(self.now);
        }
        self.go_on();
    }

    /// Whether this is the only node that there is to be. One that knows of others
    /// looks more than once: they may only be late.
    fn is_alone(&self) -> bool {
        self.settings.expected == 1 && !self.settings.knows_of_others
    }

    /// Says again what may have got lost, gives up what takes too long, and bids if
    /// it is time.
    fn go_on(&mut self) {
        if let Some(choice) = self.chosen {
            self.say(choice.founder, Word::Chosen { choice });
            return;
        }
        if let Some(attempt) = &self.attempt {
            if self.now < attempt.until {
                for (to, word) in attempt.unanswered(&self.seen) {
                    self.say(to, word);
                }
                return;
            }
            self.give_up();
        }
        let Some(since) = self.ready_since else { return };
        let turn = self.seen.iter().position(|node| *node == self.settings.node).unwrap_or(0);
        let turn = TURN.saturating_mul(u32::try_from(turn).unwrap_or(u32::MAX));
        if self.now >= self.not_before && self.now.saturating_sub(since) >= turn {
            self.bid();
        }
    }

    fn give_up(&mut self) {
        self.attempt = None;
        let rest = Duration::from_millis(self.random.random_range(REST_MS));
        self.not_before = self.now + rest;
    }

    fn bid(&mut self) {
        let Some(round) = self.round.max(self.kept.promised.round).checked_add(1) else { return };
        let bid = Bid { round, node: self.settings.node };
        self.round = round;
        self.keep(Kept { promised: bid, ..self.kept });
        let expected = self.settings.expected;
        let mut attempt = Attempt::new(bid, expected, self.quorum(), self.now + ATTEMPT);
        let step = attempt.promised(self.settings.node, self.kept.favoured);
        for (to, word) in attempt.unanswered(&self.seen) {
            self.say(to, word);
        }
        self.attempt = Some(attempt);
        self.step(step);
    }

    fn heard(&mut self, letter: Letter) {
        let Letter { from, to, word } = letter;
        // Whoever only enters a cluster has no say in who founds it.
        if to != self.settings.node || from == to || !self.settings.may_found {
            return;
        }
        match word {
            Word::Bid { bid, expected } if bid.node == from => {
                self.round = self.round.max(bid.round);
                let answer = self.promise(bid, expected);
                self.say(from, answer);
            }
            Word::Favour { bid, choice } if bid.node == from => {
                self.round = self.round.max(bid.round);
                let answer = self.favour(bid, choice);
                self.say(from, answer);
            }
            Word::Promised { bid, favoured } => {
                let step = self.of(bid).map(|attempt| attempt.promised(from, favoured));
                self.step(step.unwrap_or(Step::Wait));
            }
            Word::Favoured { bid } => {
                let step = self.of(bid).map(|attempt| attempt.favoured(from));
                self.step(step.unwrap_or(Step::Wait));
            }
            Word::Refused { bid, promised } => {
                self.round = self.round.max(promised.round);
                if self.of(bid).is_some() {
                    self.give_up();
                }
            }
            Word::OtherSize { bid, expected } => {
                if self.of(bid).is_some() {
                    self.other_size = Some((from, expected));
                }
            }
            Word::Chosen { choice } if choice.founder == self.settings.node => {
                self.effects.push(Effect::Found(choice.cluster));
            }
            Word::Bid { .. } | Word::Favour { .. } | Word::Chosen { .. } => {}
        }
    }

    fn of(&mut self, bid: Bid) -> Option<&mut Attempt> {
        self.attempt.as_mut().filter(|attempt| attempt.bid == bid)
    }

    fn promise(&mut self, bid: Bid, expected: u32) -> Word {
        if expected != self.settings.expected {
            self.other_size = Some((bid.node, expected));
            return Word::OtherSize { bid, expected: self.settings.expected };
        }
        if bid < self.kept.promised {
            return Word::Refused { bid, promised: self.kept.promised };
        }
        self.keep(Kept { promised: bid, ..self.kept });
        Word::Promised { bid, favoured: self.kept.favoured }
    }

    fn favour(&mut self, bid: Bid, choice: Choice) -> Word {
        if bid < self.kept.promised {
            return Word::Refused { bid, promised: self.kept.promised };
        }
        self.keep(Kept { promised: bid, favoured: Some((bid, choice)) });
        Word::Favoured { bid }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait => {}
            Step::Choose { bid, before } => {
                let choice = before.unwrap_or_else(|| Choice {
                    cluster: ClusterId(self.random.random_range(1..=u128::MAX)),
                    founder: self.settings.node,
                });
                // Another may have been promised to since.
                if !matches!(self.favour(bid, choice), Word::Favoured { .. }) {
                    self.give_up();
                    return;
                }
                let node = self.settings.node;
                let Some(attempt) = &mut self.attempt else { return };
                let step = attempt.choose(node, choice);
                let said = attempt.unanswered(&self.seen);
                for (to, word) in said {
                    self.say(to, word);
                }
                self.step(step);
            }
            Step::Chosen(choice) => {
                self.attempt = None;
                if choice.founder == self.settings.node {
                    self.effects.push(Effect::Found(choice.cluster));
                } else {
                    self.chosen = Some(choice);
                    self.say(choice.founder, Word::Chosen { choice });
                }
            }
        }
    }

    fn keep(&mut self, kept: Kept) {
        assert!(kept.promised >= self.kept.promised, "promises only go up");
        if kept != self.kept {
            self.kept = kept;
            self.effects.push(Effect::Keep(kept));
        }
    }

    fn say(&mut self, to: NodeId, word: Word) {
        self.effects.push(Effect::Say(Letter { from: self.settings.node, to, word }));
    }
}
