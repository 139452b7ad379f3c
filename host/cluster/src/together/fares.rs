//! What keeps nodes from doing their part: full disks, replicas that have stopped,
//! what else a node says is wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use stead_model::NodeId;

use super::{
    Cluster,
    wire::{Ask, Told},
};
use crate::api::Service as _;

/// How long a node is waited for.
const PATIENCE: Duration = Duration::from_millis(800);
/// For how long a node must have had room again to count as having room: leads that
/// come back to a disk that is nearly full only have to leave again.
const ROOMY: Duration = Duration::from_secs(30);

/// How a node fares, as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fares {
    /// Why it takes nothing new, if its disk has no room.
    pub shortage: Option<String>,
    /// The replicas on it that take no part any more, and why.
    pub stopped: Vec<(u16, String)>,
    /// What is wrong with it, for people; the above is named again.
    pub problems: Vec<String>,
}

impl Cluster {
    /// How this node fares.
    pub(super) fn fares(&self) -> Fares {
        let consensus = self.consensus();
        Fares {
            shortage: consensus.shortage().map(|shortage| shortage.to_string()),
            stopped: (consensus.stopped().into_iter())
                .map(|(partition, why)| (partition.get(), why))
                .collect(),
            problems: self.status().problems,
        }
    }

    /// How all nodes fare that can be asked.
    pub(super) async fn fares_of_all(&self) -> BTreeMap<NodeId, Fares> {
        let deadline = Instant::now() + PATIENCE;
        let others = self.others().into_iter().map(|node| async move {
            match self.ask(node, &Ask::Fares, deadline).await {
                Ok(Told::Fares(fares)) => Some((node, fares)),
                // One of an earlier release doesn't say.
                Ok(_) | Err(_) => None,
            }
        });
        let mut said: BTreeMap<NodeId, Fares> =
            futures::future::join_all(others).await.into_iter().flatten().collect();
        said.insert(self.id(), self.fares());
        said
    }
}

/// The nodes whose disks have no room, or had none a moment ago.
#[derive(Default)]
pub struct Full(BTreeMap<NodeId, Instant>);

impl Full {
    /// Takes note of what the nodes say.
    pub fn note(&mut self, fares: &BTreeMap<NodeId, Fares>, now: Instant) {
        for (node, fares) in fares {
            if fares.shortage.is_some() {
                let is_new = self.0.insert(*node, now).is_none();
                if is_new {
                    tracing::warn!(
                        node = %node.short(),
                        "a node's disk is full; others are to lead what it leads"
                    );
                }
            }
        }
        self.0.retain(|_, last| now.saturating_duration_since(*last) < ROOMY);
    }

    /// Who they are.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.0.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_was_full_is_so_until_it_has_had_room_for_a_while() {
        let (node, start) = (NodeId(1), Instant::now());
        let fares = |shortage: Option<&str>| {
            let shortage = shortage.map(str::to_owned);
            BTreeMap::from([(node, Fares { shortage, ..Fares::default() })])
        };
        let mut full = Full::default();
        full.note(&fares(None), start);
        assert!(full.nodes().is_empty());
        full.note(&fares(Some("no room")), start);
        assert_eq!(full.nodes(), [node].into());
        full.note(&fares(None), start + ROOMY / 2);
        assert_eq!(full.nodes(), [node].into());
        full.note(&fares(Some("no room")), start + ROOMY);
        full.note(&fares(None), start + ROOMY * 3 / 2);
        assert_eq!(full.nodes(), [node].into(), "it was full again in between");
        full.note(&fares(None), start + ROOMY * 2);
        assert!(full.nodes().is_empty());
        // Nor is one forgotten at once that can't be asked.
        full.note(&fares(Some("no room")), start);
        full.note(&BTreeMap::new(), start + ROOMY / 2);
        assert_eq!(full.nodes(), [node].into());
    }
}
