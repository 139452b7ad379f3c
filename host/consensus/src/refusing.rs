//! Replicas that take nothing, though their nodes are there: what they are on has failed,
//! or contradicts what they are sent.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stead_model::NodeId;

/// The nodes whose replicas of a group refused what they were sent last. Clones are the
/// same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusing(Arc<Mutex<BTreeSet<NodeId>>>);

impl Refusing {
    fn nodes(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node's replica has taken what it was sent, or not.
    pub(crate) fn note(&self, node: NodeId, refuses: bool) {
        let mut nodes = self.nodes();
        let _ = if refuses { nodes.insert(node) } else { nodes.remove(&node) };
    }

    /// Whether it refused it.
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.nodes().contains(&node)
    }
}
