//! The connections that others have made, one for each node and lane.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use stead_model::NodeId;
use tokio_util::sync::CancellationToken;

use crate::{Lane, Lanes, RefusalReason, sync::locked};

#[derive(Debug)]
struct Entry {
    dial: u64,
    serial: u64,
    token: CancellationToken,
}

#[derive(Debug, Default)]
struct Present {
    epoch: u64,
    lanes: Lanes<Option<Entry>>,
}

#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<NodeId, Present>,
    open: usize,
    serial: u64,
}

#[derive(Debug)]
pub(crate) struct Registry {
    state: Mutex<State>,
    max: usize,
}

/// A connection's place. Letting it go frees it.
#[derive(Debug)]
pub(crate) struct Place {
    registry: Arc<Registry>,
    node: NodeId,
    lane: Lane,
    serial: u64,
    /// Cancelled when another connection has taken the place.
    pub(crate) taken: CancellationToken,
}

impl Registry {
    pub(crate) fn new(max: usize) -> Self {
        Self { state: Mutex::default(), max }
    }

    pub(crate) fn open(&self) -> usize {
        locked(&self.state).open
    }

    /// Gives a connection its place. An earlier one of the same node and lane is
    /// let go, and all of an earlier start of the node: they lead to nobody.
    pub(crate) fn admit(
        self: &Arc<Self>,
        node: NodeId,
        epoch: u64,
        lane: Lane,
        dial: u64,
    ) -> Result<Place, RefusalReason> {
        let mut state = locked(&self.state);
        let State { nodes, open, serial } = &mut *state;
        let present = nodes.entry(node).or_insert_with(|| Present { epoch, ..Present::default() });
        if present.epoch > epoch {
            return Err(RefusalReason::Outdated);
        }
        if present.epoch < epoch {
            for lane in Lane::ALL {
                if let Some(entry) = present.lanes.get_mut(lane).take() {
                    entry.token.cancel();
                    *open -= 1;
                }
            }
            present.epoch = epoch;
        }
        let slot = present.lanes.get_mut(lane);
        if slot.as_ref().is_some_and(|entry| entry.dial >= dial) {
            return Err(RefusalReason::Outdated);
        }
        if let Some(entry) = slot.take() {
            entry.token.cancel();
            *open -= 1;
        }
        if *open >= self.max {
            Self::tidy(nodes, node);
            return Err(RefusalReason::TooManyConnections);
        }
        *open += 1;
        *serial += 1;
        let taken = CancellationToken::new();
        *slot = Some(Entry { dial, serial: *serial, token: taken.clone() });
        Ok(Place { registry: Arc::clone(self), node, lane, serial: *serial, taken })
    }

    /// A node without connections isn't remembered.
    fn tidy(nodes: &mut BTreeMap<NodeId, Present>, node: NodeId) {
        let empty =
            |present: &Present| Lane::ALL.into_iter().all(|lane| present.lanes.get(lane).is_none());
        if nodes.get(&node).is_some_and(empty) {
            nodes.remove(&node);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = locked(&self.registry.state);
        let Some(present) = state.nodes.get_mut(&self.node) else { return };
        let slot = present.lanes.get_mut(self.lane);
        if slot.as_ref().is_some_and(|entry| entry.serial == self.serial) {
            *slot = None;
            state.open -= 1;
            Registry::tidy(&mut state.nodes, self.node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(1);

    #[test]
    fn a_later_connection_takes_the_place_of_an_earlier_one() {
        let registry = Arc::new(Registry::new(10));
        let first = registry.admit(NODE, 1, Lane::Log, 1).expect("a place");
        let other = registry.admit(NODE, 1, Lane::Bulk, 2).expect("a place");
        let second = registry.admit(NODE, 1, Lane::Log, 3).expect("a place");
        assert!(first.taken.is_cancelled() && !other.taken.is_cancelled());
        assert_eq!(registry.open(), 2);
        drop(first);
        assert_eq!(registry.open(), 2);
        assert!(!second.taken.is_cancelled());
        let late = registry.admit(NODE, 1, Lane::Log, 2);
        assert_eq!(late.err(), Some(RefusalReason::Outdated));
        drop((other, second));
        assert_eq!(registry.open(), 0);
        assert!(locked(&registry.state).nodes.is_empty());
    }

    #[test]
    fn a_later_start_takes_all_places_of_an_earlier_one() {
        let registry = Arc::new(Registry::new(10));
        let log = registry.admit(NODE, 1, Lane::Log, 1).expect("a place");
        let bulk = registry.admit(NODE, 1, Lane::Bulk, 2).expect("a place");
        let new = registry.admit(NODE, 2, Lane::Control, 0).expect("a place");
        assert!(log.taken.is_cancelled() && bulk.taken.is_cancelled());
        assert_eq!(registry.open(), 1);
        let old = registry.admit(NODE, 1, Lane::Requests, 9);
        assert_eq!(old.err(), Some(RefusalReason::Outdated));
        // Once nothing of the later one is left, nothing speaks against it.
        drop(new);
        assert!(registry.admit(NODE, 1, Lane::Requests, 10).is_ok());
    }

    #[test]
    fn places_are_bounded() {
        let registry = Arc::new(Registry::new(2));
        let _first = registry.admit(NODE, 1, Lane::Log, 1).expect("a place");
        let second = registry.admit(NodeId(2), 1, Lane::Log, 1).expect("a place");
        for node in 3..100 {
            let refused = registry.admit(NodeId(node), 1, Lane::Log, 1);
            assert_eq!(refused.err(), Some(RefusalReason::TooManyConnections));
        }
        assert_eq!(locked(&registry.state).nodes.len(), 2);
        // One's own place can be taken over all the same.
        assert!(registry.admit(NODE, 1, Lane::Log, 2).is_ok());
        drop(second);
    }
}
