//! One bid, and who has answered it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use stead_model::NodeId;

use crate::word::{Bid, Choice, Word};

/// A bid of this node's own.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) bid: Bid,
    /// When it is given up.
    pub(super) until: Duration,
    expected: u32,
    quorum: usize,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Those that promised, each with what it favoured before.
    Bidding(BTreeMap<NodeId, Option<(Bid, Choice)>>),
    /// Those that favour the choice.
    Choosing(Choice, BTreeSet<NodeId>),
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    /// A majority promised. `before` is what has to be chosen, if anything has.
    Choose {
        bid: Bid,
        before: Option<Choice>,
    },
    Chosen(Choice),
}

impl Attempt {
    pub(super) fn new(bid: Bid, expected: u32, quorum: usize, until: Duration) -> Self {
        Self { bid, until, expected, quorum, phase: Phase::Bidding(BTreeMap::new()) }
    }

    pub(super) fn promised(&mut self, by: NodeId, favoured: Option<(Bid, Choice)>) -> Step {
        let Phase::Bidding(promises) = &mut self.phase else { return Step::Wait };
        promises.insert(by, favoured);
        if promises.len() < self.quorum {
            return Step::Wait;
        }
        // The latest goes before: an earlier one may have failed, that one may not have.
        let latest = promises.values().flatten().max_by_key(|(bid, _)| *bid);
        Step::Choose { bid: self.bid, before: latest.map(|(_, choice)| *choice) }
    }

    pub(super) fn choose(&mut self, node: NodeId, choice: Choice) -> Step {
        self.phase = Phase::Choosing(choice, BTreeSet::new());
        self.favoured(node)
    }

    pub(super) fn favoured(&mut self, by: NodeId) -> Step {
        let Phase::Choosing(choice, favour) = &mut self.phase else { return Step::Wait };
        favour.insert(by);
        if favour.len() < self.quorum { Step::Wait } else { Step::Chosen(*choice) }
    }

    /// What is to be said to those that haven't answered.
    pub(super) fn unanswered(&self, seen: &BTreeSet<NodeId>) -> Vec<(NodeId, Word)> {
        let (word, answered): (_, &dyn Fn(&NodeId) -> bool) = match &self.phase {
            Phase::Bidding(promises) => {
                (Word::Bid { bid: self.bid, expected: self.expected }, &|node| {
                    promises.contains_key(node)
                })
            }
            Phase::Choosing(choice, favour) => {
                (Word::Favour { bid: self.bid, choice: *choice }, &|node| favour.contains(node))
            }
        };
        let others = seen.iter().filter(|node| **node != self.bid.node && !answered(node));
        others.map(|node| (*node, word)).collect()
    }
}
