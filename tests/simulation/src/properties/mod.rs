//! What must hold at every moment of a run, a property a file.
//!
//! The run says what it sees, and each property judges it. They see every node's
//! log after each millisecond, and every call and its answer.

mod acknowledged_survive;
mod committed_agree;
mod linearizable;
mod no_group_fails;
mod one_writer;
mod sequences_dense;
mod stores_equal;

use std::sync::Arc;

use stead_journal::StoreRow;
use stead_model::{Address, Entry, LogPosition, PartitionId};

use crate::{
    clients::{Answered, Operation},
    network::Machine,
};

/// Something that was seen.
#[derive(Debug)]
pub enum Seen<'a> {
    /// An entry is in a node's log, committed or not.
    InLog {
        /// Where.
        machine: Machine,
        /// The entry.
        entry: &'a Arc<Entry>,
    },
    /// A node takes an entry for committed.
    Committed {
        /// Where.
        machine: Machine,
        /// The entry.
        entry: &'a Arc<Entry>,
    },
    /// An entry of a partition is committed, the next one; seen once for all nodes.
    Decided {
        /// The entry.
        entry: &'a Arc<Entry>,
    },
    /// Somebody asks something, for the first time.
    Invoked {
        /// What.
        operation: &'a Operation,
    },
    /// It has its answer.
    Answered {
        /// What was asked.
        operation: &'a Operation,
        /// The answer.
        answer: &'a Answered,
    },
    /// What a store shows.
    Store {
        /// Where.
        machine: Machine,
        /// Of which partition.
        partition: PartitionId,
        /// At which entry.
        position: LogPosition,
        /// Its rows.
        rows: &'a [StoreRow],
    },
    /// An entity, as a store shows it when all is at rest: its events' numbers.
    Events {
        /// Where.
        machine: Machine,
        /// Which.
        address: &'a Address,
        /// The first and the last number there may be.
        between: (u64, u64),
        /// How many there are.
        found: u64,
    },
    /// A reply that was acknowledged is looked up in a store when all is at rest.
    Recorded {
        /// Where.
        machine: Machine,
        /// Of what.
        operation: &'a Operation,
        /// What is there.
        reply: Option<&'a [u8]>,
    },
    /// Something that no fault explains.
    Trouble {
        /// Where.
        machine: Machine,
        /// What.
        what: &'a str,
    },
}

/// One property.
pub trait Property {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Judges what is seen.
    ///
    /// # Errors
    /// In what way it doesn't hold.
    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String>;
}

/// All of them.
pub struct Properties {
    all: Vec<Box<dyn Property>>,
    /// How often anything was judged.
    pub judged: u64,
    /// The first violation.
    pub violated: Option<(&'static str, String)>,
}

impl Default for Properties {
    fn default() -> Self {
        Self {
            all: vec![
                Box::new(one_writer::OneWriter::default()),
                Box::new(committed_agree::CommittedAgree::default()),
                Box::new(acknowledged_survive::AcknowledgedSurvive::default()),
                Box::new(sequences_dense::SequencesDense::default()),
                Box::new(linearizable::Linearizable::default()),
                Box::new(stores_equal::StoresEqual::default()),
                Box::new(no_group_fails::NoGroupFails),
            ],
            judged: 0,
            violated: None,
        }
    }
}

impl Properties {
    /// Has all of them judge.
    pub fn see(&mut self, seen: &Seen<'_>) {
        for property in &mut self.all {
            self.judged += 1;
            if let Err(how) = property.see(seen)
                && self.violated.is_none()
            {
                self.violated = Some((property.name(), how));
            }
        }
    }

    /// Another way to fail.
    pub fn fail(&mut self, name: &'static str, how: String) {
        self.violated.get_or_insert((name, how));
    }
}
