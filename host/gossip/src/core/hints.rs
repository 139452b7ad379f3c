//! Nodes that another room has reason to miss.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_model::NodeId;

use crate::identity::Identity;

/// A node that is being asked out of turn.
#[derive(Debug, Clone)]
pub(super) struct Hint {
    pub(super) identity: Arc<Identity>,
    answered: bool,
    repeated: bool,
}

/// What to do when the time has come to look for an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A packet may have been lost: ask once more.
    Repeat(Arc<Identity>),
    /// Nothing was heard.
    Suspect(Arc<Identity>),
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
    /// Begins to ask a node. False if it is being asked already.
    pub(super) fn open(&mut self, identity: Arc<Identity>) -> bool {
        let node = identity.node;
        if self.open.contains_key(&node) {
            return false;
        }
        self.open.insert(node, Hint { identity, answered: false, repeated: false });
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
        let answered = hint.answered;
        let last = std::mem::replace(&mut hint.repeated, true);
        if last {
            self.open.remove(&node);
        }
        let next = match (answered, last) {
            (true, _) => Next::Nothing,
            (false, false) => Next::Repeat(identity),
            (false, true) => Next::Suspect(identity),
        };
        Some((next, last))
    }

    /// Forgets all questions: what they found while this node was stopped says nothing.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}
