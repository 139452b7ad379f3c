//! The types in service.

use std::collections::{BTreeMap, BTreeSet};

use stead_model::{EntityId, EntityType, Isolation};

use crate::{
    ports::Guests,
    vocabulary::{Answer, Deployment},
};

use super::work::WorkKind;

/// The most entities of a type that are remembered as failing at snapshots. With
/// more, it is the type that fails.
const WITHOUT_SNAPSHOTS_MAX: usize = 1_024;

/// A type in service.
pub struct Type<G: Guests> {
    pub deployment: Deployment<G::Component>,
    /// An audit found that this version doesn't replay exactly: no snapshot of
    /// its entities is to be trusted.
    pub snapshots_off: bool,
    /// Entities whose code failed while a snapshot was taken: they go on without.
    pub without_snapshots: BTreeSet<EntityId>,
}

impl<G: Guests> Type<G> {
    /// Whether each entity has an instance of its own.
    pub fn isolated(&self) -> bool {
        match self.deployment.manifest.isolation {
            Isolation::Entity => true,
            Isolation::Shared => false,
        }
    }

    /// Takes no more snapshots of an entity.
    pub fn go_without_snapshots(&mut self, id: &EntityId) {
        if self.without_snapshots.len() < WITHOUT_SNAPSHOTS_MAX {
            self.without_snapshots.insert(id.clone());
        } else {
            self.snapshots_off = true;
        }
    }

    /// The answer to a request that the type doesn't know.
    pub fn unknown(&self, kind: &WorkKind) -> Option<Answer> {
        let description = &self.deployment.description;
        let (found, operations) = match kind {
            WorkKind::Command { name, .. } => {
                (description.command(name).is_some(), &description.commands)
            }
            WorkKind::Query { name, .. } => {
                (description.query(name).is_some(), &description.queries)
            }
            WorkKind::Snapshot => return None,
        };
        let known = || operations.iter().map(|operation| operation.name.clone()).collect();
        (!found).then(|| Answer::UnknownName { known: known() })
    }
}

/// All of them.
pub type Types<G> = BTreeMap<EntityType, Type<G>>;
