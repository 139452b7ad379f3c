//! Nodes that this one has nothing to do with. It is asked of every message, so it
//! costs next to nothing while there are none.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use stead_model::NodeId;

/// Some nodes. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Apart(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    any: AtomicBool,
    nodes: RwLock<BTreeSet<NodeId>>,
}

impl Apart {
    /// Whether a node is among them.
    pub fn has(&self, node: NodeId) -> bool {
        self.0.any.load(Ordering::Acquire)
            && self.0.nodes.read().unwrap_or_else(PoisonError::into_inner).contains(&node)
    }

    /// They are these.
    pub fn set(&self, nodes: BTreeSet<NodeId>) {
        let any = !nodes.is_empty();
        *self.0.nodes.write().unwrap_or_else(PoisonError::into_inner) = nodes;
        self.0.any.store(any, Ordering::Release);
    }

    /// These are among them too.
    pub fn add(&self, nodes: impl IntoIterator<Item = NodeId>) {
        let mut all = self.0.nodes.write().unwrap_or_else(PoisonError::into_inner);
        all.extend(nodes);
        let any = !all.is_empty();
        drop(all);
        self.0.any.store(any, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_that_were_said_last() {
        let apart = Apart::default();
        assert!(!apart.has(NodeId(1)));
        apart.set(BTreeSet::from([NodeId(1), NodeId(2)]));
        assert!(apart.has(NodeId(1)) && apart.clone().has(NodeId(2)) && !apart.has(NodeId(3)));
        apart.add([NodeId(3)]);
        assert!(apart.has(NodeId(3)));
        apart.set(BTreeSet::new());
        assert!(!apart.has(NodeId(1)));
    }
}
