//! Which nodes are gone, and since when, as far as this node noticed. That is measured
//! by a clock that nobody sets: a clock that is put back must not keep replicas from
//! being made again, nor one that is put forward have them made at once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use stead_model::{NodeId, TimestampMs};

use crate::clock;

/// The nodes that are gone.
#[derive(Default)]
pub struct Gone(Mutex<BTreeMap<NodeId, Instant>>);

impl Gone {
    fn since_when(&self) -> MutexGuard<'_, BTreeMap<NodeId, Instant>> {
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

    /// Since when it is gone, by the clock as it is now; since now if it wasn't before.
    pub fn since(&self, node: NodeId) -> TimestampMs {
        let since = *self.since_when().entry(node).or_insert_with(Instant::now);
        let gone_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        TimestampMs(clock::now().get().saturating_sub(gone_ms))
    }
}
