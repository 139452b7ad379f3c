//! Saying plainly that a partition has lost its majority: which nodes are missing,
//! and since when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use stead_model::{NodeId, PartitionId, TimestampMs};

use super::{
    Cluster,
    placing::{ask_all, newest},
    wire::Group,
};
use crate::{
    api::{CallError, LostMajority},
    clock,
};

/// For how long what was found out is said again without another look.
const FRESH: Duration = Duration::from_secs(1);

impl Cluster {
    /// What a group has lost, if that is its majority; `there` are the nodes that are.
    pub(super) fn lost_of(&self, group: &Group, there: &BTreeSet<NodeId>) -> Option<LostMajority> {
        let needed = needed(group, there)?;
        let missing: BTreeSet<NodeId> =
            group.voters.iter().filter(|voter| !there.contains(voter)).copied().collect();
        let mut since: Vec<TimestampMs> =
            missing.iter().map(|node| self.gone().since(*node)).collect();
        since.sort_unstable();
        // With one fewer of them gone than are needed back there still was one.
        let decisive = since.get(missing.len().saturating_sub(needed)).copied();
        Some(LostMajority {
            partition: group.partition,
            missing: missing.iter().map(NodeId::to_string).collect(),
            needed: needed as u64,
            since: decisive.unwrap_or_else(clock::now),
        })
    }

    /// An error of a call that found nobody who leads its partition, with the reason
    /// if its majority is lost.
    pub(super) async fn plainly(&self, partition: PartitionId, error: CallError) -> CallError {
        let Some(why) = self.why_lost(partition).await else { return error };
        match error {
            CallError::Unavailable { retry_after_ms, .. } => {
                CallError::Unavailable { reason: why, retry_after_ms }
            }
            CallError::OutcomeUnknown { request, reason } => {
                CallError::OutcomeUnknown { request, reason: format!("{reason}; {why}") }
            }
            other => other,
        }
    }

    async fn why_lost(&self, partition: PartitionId) -> Option<String> {
        let view = self.consensus().view(partition).await;
        if view.deciding.is_empty() {
            return self.why_lost_elsewhere(partition).await;
        }
        // This node takes part in it, and knows who else does.
        let mut there = self.others();
        there.insert(self.id());
        let lost = self.lost_of(&self.group_of(partition, view), &there)?;
        Some(sentence(&lost))
    }

    /// Asks the others, at most once in a while, whoever wants to know.
    async fn why_lost_elsewhere(&self, partition: PartitionId) -> Option<String> {
        let mut known = self.0.together.as_ref()?.lost.lock().await;
        match &*known {
            Some((looked, lost)) if looked.elapsed() < FRESH => {
                return lost.get(&partition).cloned();
            }
            _ => {}
        }
        let said = ask_all(self).await;
        let there: BTreeSet<NodeId> = said.keys().copied().collect();
        let lost: BTreeMap<PartitionId, String> = newest(&said)
            .into_iter()
            .filter_map(|(partition, (_, group))| {
                Some((partition, sentence(&self.lost_of(&group, &there)?)))
            })
            .collect();
        let why = lost.get(&partition).cloned();
        *known = Some((Instant::now(), lost));
        why
    }
}

/// How many of a group's voters must be back until a majority is there; none if one is.
fn needed(group: &Group, there: &BTreeSet<NodeId>) -> Option<usize> {
    let lacking = |set: &Vec<NodeId>| {
        let here = set.iter().filter(|node| there.contains(node)).count();
        (set.len() / 2 + 1).saturating_sub(here)
    };
    group.deciding.iter().map(lacking).max().filter(|lacking| *lacking > 0)
}

fn sentence(lost: &LostMajority) -> String {
    let short = |node: &String| node.get(..8).unwrap_or(node).to_owned();
    let nodes: Vec<String> = lost.missing.iter().map(short).collect();
    let (is, back) = match nodes.len() {
        1 => ("is", "it is".to_owned()),
        _ if lost.needed == 1 => ("are", "one of them is".to_owned()),
        _ => ("are", format!("{} of them are", lost.needed)),
    };
    format!(
        "partition {} has lost its majority: node {} {is} gone, for {} s; it goes on when {back} \
         back (see `stead cluster status`)",
        lost.partition,
        nodes.join(", "),
        clock::now().get().saturating_sub(lost.since.get()) / 1_000,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(nodes: &[u128]) -> Vec<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn it_is_said_how_many_must_be_back() {
        let mut group = Group {
            partition: 3,
            term: 1,
            leads: true,
            voters: ids(&[1, 2, 3, 4, 5]),
            deciding: vec![ids(&[1, 2, 3, 4, 5])],
            learners: Vec::new(),
            is_changing: false,
            last: 1,
            last_term: 1,
            committed: 1,
            matched: Vec::new(),
        };
        let there = |nodes: &[u128]| ids(nodes).into_iter().collect();
        assert_eq!(needed(&group, &there(&[1, 2, 3])), None);
        assert_eq!(needed(&group, &there(&[1, 2])), Some(1));
        assert_eq!(needed(&group, &there(&[1])), Some(2));
        group.deciding = vec![ids(&[1, 2, 3]), ids(&[3, 4, 5])];
        assert_eq!(needed(&group, &there(&[1, 2, 3])), Some(1), "of those that come");
    }

    #[test]
    fn it_is_a_sentence() {
        let mut lost = LostMajority {
            partition: 7,
            missing: vec!["ab".repeat(16), "cd".repeat(16)],
            needed: 1,
            since: TimestampMs(clock::now().get() - 12_500),
        };
        let said = sentence(&lost);
        assert!(said.contains("node abababab, cdcdcdcd are gone, for 12 s"), "{said}");
        assert!(said.contains("when one of them is back"), "{said}");
        lost.missing.pop();
        assert!(sentence(&lost).contains("is gone, for 12 s; it goes on when it is back"));
    }
}
