//! From foca's list of addresses to a list of nodes, and what changed in it.
//!
//! Foca knows at most one life to an address. A node that came back at another
//! address is there twice for a while; here it is once, in its latest life.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use foca::State;
use stead_model::{ClusterId, NodeId};

use crate::identity::Identity;
use crate::notice::{Health, Member, Notice, Snapshot};

/// What was last told of the others.
#[derive(Debug)]
pub(super) struct View {
    nodes: BTreeMap<NodeId, (Arc<Identity>, Health)>,
    snapshot: Arc<Snapshot>,
}

impl View {
    pub(super) fn new(own: Identity, cluster: Option<ClusterId>) -> Self {
        let snapshot = Snapshot { sequence: 0, own, cluster, members: Vec::new() };
        Self { nodes: BTreeMap::new(), snapshot: Arc::new(snapshot) }
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The latest life of a node, if it is there.
    pub(super) fn present(&self, node: NodeId) -> Option<&Arc<Identity>> {
        let (identity, health) = self.nodes.get(&node)?;
        (*health != Health::Down).then_some(identity)
    }

    /// The next node that is there in the order of ids, which is a ring.
    pub(super) fn after(&self, node: NodeId) -> Option<&Arc<Identity>> {
        let after = (Bound::Excluded(node), Bound::Unbounded);
        let ring = self.nodes.range(after).chain(self.nodes.range(..node));
        let mut present = ring.filter(|(_, (_, health))| *health != Health::Down);
        present.next().map(|(_, (identity, _))| identity)
    }

    /// Takes over what foca knows, and says what that changed.
    pub(super) fn update<'a>(
        &mut self,
        own: NodeId,
        known: impl Iterator<Item = &'a foca::Member<Identity>>,
    ) -> Vec<Notice> {
        let mut latest: BTreeMap<NodeId, (&Identity, Health)> = BTreeMap::new();
        for member in known.filter(|member| member.id().node != own) {
            let health = match member.state() {
                State::Alive => Health::Alive,
                State::Suspect => Health::Suspect,
                State::Down => Health::Down,
            };
            let node = latest.entry(member.id().node).or_insert((member.id(), health));
            if member.id() > node.0 {
                *node = (member.id(), health);
            }
        }
        let mut notices = Vec::new();
        self.nodes.retain(|node, (identity, health)| {
            let stays = latest.contains_key(node);
            if !stays && *health != Health::Down {
                notices.push(Notice::Down(Arc::clone(identity)));
            }
            stays
        });
        for (node, (identity, health)) in latest {
            let before = self.nodes.get(&node);
            if before.is_some_and(|(id, was)| **id == *identity && *was == health) {
                continue;
            }
            let identity = match before {
                Some((id, _)) if **id == *identity => Arc::clone(id),
                _ => Arc::new(identity.clone()),
            };
            tell(before, &identity, health, &mut notices);
            self.nodes.insert(node, (identity, health));
        }
        notices
    }

    /// Makes a snapshot that takes all notices up to `sequence` into account.
    pub(super) fn take_snapshot(
        &mut self,
        sequence: u64,
        own: &Identity,
        cluster: Option<ClusterId>,
    ) {
        let member = |(identity, health): &(Arc<Identity>, Health)| Member {
            identity: Identity::clone(identity),
            health: *health,
        };
        let members = self.nodes.values().map(member).collect();
        self.snapshot = Arc::new(Snapshot { sequence, own: own.clone(), cluster, members });
    }
}

/// Says what it means that a node was as `before` and is now `health` in the life
/// `identity`.
fn tell(
    before: Option<&(Arc<Identity>, Health)>,
    identity: &Arc<Identity>,
    health: Health,
    notices: &mut Vec<Notice>,
) {
    let id = || Arc::clone(identity);
    let was = before.map_or(Health::Down, |(_, health)| *health);
    let same_life = before.is_some_and(|(before, _)| before == identity);
    let later_life = before.is_some_and(|(before, _)| **before < **identity);
    match (was, health) {
        (Health::Down, Health::Down) => {}
        (_, Health::Down) => notices.push(Notice::Down(id())),
        (Health::Alive, Health::Suspect) if same_life => notices.push(Notice::Suspect(id())),
        (Health::Suspect, Health::Alive) if same_life => notices.push(Notice::Refuted(id())),
        (_, Health::Alive | Health::Suspect) => {
            let notice = if later_life { Notice::Returned } else { Notice::Up };
            notices.push(notice(id()));
            if health == Health::Suspect {
                notices.push(Notice::Suspect(id()));
            }
        }
    }
}
