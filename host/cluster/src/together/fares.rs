//! What keeps nodes from doing their part: full disks, replicas that have stopped,
//! what else a node says is wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use stead_model::{NodeId, PartitionId};

use super::{
    Cluster,
    placing::ask_others,
    wire::{Ask, Told},
};

/// The most problems that a node tells others: with many partitions there may be many.
const PROBLEMS_MAX: usize = 16;
/// For how long a node must have had room again to count as having room: leads that
/// come back to a disk that is nearly full only have to leave again.
const ROOMY: Duration = Duration::from_secs(30);

/// How a node fares, as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fares {
    /// Why it takes nothing new, if its disk has no room.
    pub shortage: Option<String>,
    /// The partitions whose replica on it takes no part any more.
    pub stopped: Vec<u16>,
    /// What is wrong with it, for people; the above is named again, with why. At most
    /// [`PROBLEMS_MAX`] are told, and how many more there are.
    pub problems: Vec<String>,
}

impl Cluster {
    /// How this node fares. It is asked often, and so must cost next to nothing.
    pub(super) fn fares(&self) -> Fares {
        let consensus = self.consensus();
        let mut problems = self.node().problems();
        problems.extend(self.unready());
        Fares {
            shortage: consensus.shortage().map(|shortage| shortage.to_string()),
            stopped: consensus.stopped().into_iter().map(PartitionId::get).collect(),
            problems: few(problems),
        }
    }

    /// How all nodes fare that can be asked. One of an earlier release doesn't say.
    pub(super) async fn fares_of_all(&self) -> BTreeMap<NodeId, Fares> {
        let fares = |told| match told {
            Told::Fares(fares) => Some(fares),
            _ => None,
        };
        let mut said = ask_others(self, &Ask::Fares, fares).await;
        said.insert(self.id(), self.fares());
        said
    }
}

/// The first of them, and how many more there are.
fn few(mut problems: Vec<String>) -> Vec<String> {
    if let Some(more @ 1..) = problems.len().checked_sub(PROBLEMS_MAX) {
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more; see its log"));
    }
    problems
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
    fn a_node_tells_some_of_its_problems_and_how_many_more_there_are() {
        let many = |count: usize| (0..count).map(|nth| nth.to_string()).collect::<Vec<_>>();
        assert_eq!(few(many(PROBLEMS_MAX)), many(PROBLEMS_MAX));
        let told = few(many(PROBLEMS_MAX + 9));
        assert_eq!(told.len(), PROBLEMS_MAX + 1);
        assert_eq!(told.last().map(String::as_str), Some("and 9 more; see its log"));
    }

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
