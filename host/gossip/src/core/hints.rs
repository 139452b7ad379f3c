//! Nodes that there is reason to miss, and that are asked out of turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stead_model::NodeId;

use crate::identity::Identity;

/// A node that is being asked out of turn.
#[derive(Debug, Clone)]
pub(super) struct Hint {
    pub(super) identity: Arc<Identity>,
    suspicion: Duration,
    answered: bool,
    repeated: bool,
}

/// What to do when the time has come to look for an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A packet may have been lost: ask once more.
    Repeat(Arc<Identity>),
    /// Nothing was heard. It has this long to object.
    Suspect(Arc<Identity>, Duration),
    /// Something was heard.
    Nothing,
}

/// At most one for each known node, so a connection that breaks again and again makes
/// no more questions than one.
#[derive(Debug, Default)]
pub(super) struct Hints {
    open: BTreeMap<NodeId, Hint>,
}

impl Hints {
    /// Begins to ask a node, which is to have `suspicion` to object if it doesn't answer.
    /// False if it is being asked already; it has the shorter of the two then.
    pub(super) fn open(&mut self, identity: Arc<Identity>, suspicion: Duration) -> bool {
        if let Some(hint) = self.open.get_mut(&identity.node) {
            hint.suspicion = hint.suspicion.min(suspicion);
            return false;
        }
        let node = identity.node;
        self.open.insert(node, Hint { identity, suspicion, answered: false, repeated: false });
        true
    }

    /// Notes a sign of life.
    pub(super) fn heard(&mut self, identity: &Identity) {
        if let Some(hint) = self.open.get_mut(&identity.node) {
            hint.answered |= *hint.identity == *identity;
        }
    }

    pub(super) fn due(&mut self, node: NodeId) -> Option<(Next, bool)> {
        let hint = self.open.get_mut(&node)?;
        let identity = Arc::clone(&hint.identity);
        let (answered, suspicion) = (hint.answered, hint.suspicion);
        let last = std::mem::replace(&mut hint.repeated, true);
        if last {
            self.open.remove(&node);
        }
        let next = match (answered, last) {
            (true, _) => Next::Nothing,
            (false, false) => Next::Repeat(identity),
            (false, true) => Next::Suspect(identity, suspicion),
        };
        Some((next, last))
    }

    /// Forgets all questions: what they found while this node was stopped says nothing.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}
