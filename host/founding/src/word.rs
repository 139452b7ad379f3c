//! What nodes without a cluster say to each other about founding one: postcard, in
//! a gossip packet of its own kind. Only ever add kinds at the end.

use serde::{Deserialize, Serialize};
use stead_model::{ClusterId, NodeId};

/// The most bytes that a word takes.
pub const WORD_BYTES_MAX: usize = 256;

/// An attempt to found a cluster. Later rounds go before earlier ones.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bid {
    /// Which attempt it is, from 1.
    pub round: u64,
    /// Who makes it.
    pub node: NodeId,
}

/// Which cluster is to be, and who founds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Choice {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who founds it, and nobody else.
    pub founder: NodeId,
}

/// What one node says to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// "Promise me to heed no earlier bid."
    Bid {
        /// The bid.
        bid: Bid,
        /// How many nodes are expected, as the sender was told.
        expected: u32,
    },
    /// The promise, with the choice that was favoured last.
    Promised {
        /// The bid.
        bid: Bid,
        /// The last choice that the sender favoured, and in which bid.
        favoured: Option<(Bid, Choice)>,
    },
    /// "A majority promised. Favour this choice."
    Favour {
        /// The bid.
        bid: Bid,
        /// The choice.
        choice: Choice,
    },
    /// It is favoured.
    Favoured {
        /// The bid.
        bid: Bid,
    },
    /// A later bid has the sender's promise.
    Refused {
        /// The bid that is refused.
        bid: Bid,
        /// The later one.
        promised: Bid,
    },
    /// The sender was told to expect another number of nodes.
    OtherSize {
        /// The bid that is refused.
        bid: Bid,
        /// How many it expects.
        expected: u32,
    },
    /// "A majority favours that you found this cluster."
    Chosen {
        /// The choice.
        choice: Choice,
    },
}

/// A word on its way. A packet may reach another node than it was meant for, where
/// one has taken over another's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// What.
    pub word: Word,
}

impl Letter {
    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_allocvec(self).expect("it is made of plain values");
        assert!(bytes.len() <= WORD_BYTES_MAX, "a word has at most a few numbers");
        bytes
    }

    /// Reads one; none if the bytes are none. Any bytes may come.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > WORD_BYTES_MAX {
            return None;
        }
        let (letter, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(word: Word) -> Letter {
        Letter { from: NodeId(1), to: NodeId(2), word }
    }

    #[test]
    fn words_are_these_bytes() {
        let bid = Bid { round: 300, node: NodeId(7) };
        let choice = Choice { cluster: ClusterId(9), founder: NodeId(7) };
        for (word, bytes) in [
            (Word::Bid { bid, expected: 3 }, &[0, 172, 2, 7, 3][..]),
            (Word::Promised { bid, favoured: None }, &[1, 172, 2, 7, 0]),
            (
                Word::Promised { bid, favoured: Some((bid, choice)) },
                &[1, 172, 2, 7, 1, 172, 2, 7, 9, 7],
            ),
            (Word::Favour { bid, choice }, &[2, 172, 2, 7, 9, 7]),
            (Word::Favoured { bid }, &[3, 172, 2, 7]),
            (Word::Refused { bid, promised: bid }, &[4, 172, 2, 7, 172, 2, 7]),
            (Word::OtherSize { bid, expected: 5 }, &[5, 172, 2, 7, 5]),
            (Word::Chosen { choice }, &[6, 9, 7]),
        ] {
            let known = [&[1, 2], bytes].concat();
            assert_eq!(letter(word).encode(), known, "{word:?}");
            assert_eq!(Letter::decode(&known), Some(letter(word)));
        }
    }

    #[test]
    fn any_other_bytes_are_no_word() {
        for bytes in [&[][..], &[1, 2, 7, 0], &[1, 2, 6, 9, 7, 0], &[1, 2, 0, 172], &[0xff; 300]] {
            assert_eq!(Letter::decode(bytes), None, "{bytes:?}");
        }
        let most = Bid { round: u64::MAX, node: NodeId(u128::MAX) };
        let choice = Choice { cluster: ClusterId(u128::MAX), founder: NodeId(u128::MAX) };
        let longest = Word::Promised { bid: most, favoured: Some((most, choice)) };
        let letter = Letter { from: most.node, to: most.node, word: longest };
        assert_eq!(Letter::decode(&letter.encode()), Some(letter));
    }
}
