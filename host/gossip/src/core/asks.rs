//! Questions to addresses: who is there, and of which cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::NAMED_MAX;

/// How many times an address is asked before nobody is said to be there.
const TRIES: u32 = 3;

/// Why an address is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Another room wants to know.
    Asked,
    /// It was given as one to join at.
    Join,
}

/// Whether a question was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    New,
    Already,
    TooMany,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) address: SocketAddr,
    pub(super) why: Why,
    tries: u32,
}

/// What to do when a question's time has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Repeat(SocketAddr),
    GiveUp(SocketAddr, Why),
    /// It was answered.
    Nothing,
}

/// The open questions, at most [`NAMED_MAX`] for each reason.
#[derive(Debug, Default)]
pub(super) struct Asks {
    open: BTreeMap<u64, Ask>,
}

impl Asks {
    /// Opens a question, unless the address is being asked already or too many are.
    pub(super) fn open(&mut self, nonce: u64, address: SocketAddr, why: Why) -> Opened {
        let same = || self.open.values().filter(|ask| ask.why == why);
        if same().any(|ask| ask.address == address) {
            return Opened::Already;
        }
        if same().count() >= NAMED_MAX {
            return Opened::TooMany;
        }
        self.open.insert(nonce, Ask { address, why, tries: 1 });
        Opened::New
    }

    /// How many times in the timeout an address is asked.
    pub(super) const fn tries() -> u32 {
        TRIES
    }

    pub(super) fn due(&mut self, nonce: u64) -> Next {
        let Some(ask) = self.open.get_mut(&nonce) else { return Next::Nothing };
        // An address to join at is tried again by and by anyway.
        if ask.tries < TRIES && ask.why == Why::Asked {
            ask.tries += 1;
            return Next::Repeat(ask.address);
        }
        let ask = *ask;
        self.open.remove(&nonce);
        Next::GiveUp(ask.address, ask.why)
    }

    pub(super) fn answered(&mut self, nonce: u64) -> Option<Ask> {
        self.open.remove(&nonce)
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}
