//! Which nodes are gone, and since when, as far as this node noticed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use stead_model::{NodeId, TimestampMs};

use crate::clock;

/// The nodes that are gone.
#[derive(Default)]
pub struct Gone(Mutex<BTreeMap<NodeId, TimestampMs>>);

impl Gone {
    fn since_when(&self) -> MutexGuard<'_, BTreeMap<NodeId, TimestampMs>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is gone, since now if it wasn't before.
    pub fn note(&self, node: NodeId) {
        self.since(node);
    }

    /// It is there.
    pub fn forget(&self, node: NodeId) {
        self.since_when().remove(&node);
    }

    /// Whether it is gone.
    pub fn is_gone(&self, node: NodeId) -> bool {
        self.since_when().contains_key(&node)
    }

    /// Since when it is gone; since now if it wasn't before.
    pub fn since(&self, node: NodeId) -> TimestampMs {
        *self.since_when().entry(node).or_insert_with(clock::now)
    }
}
