//! The way out when the majority of some partitions is lost for good: nodes are given
//! up, and each of those partitions goes on with what is left of it.
//!
//! It is said by a person, who names the nodes. First all that are there keep away
//! from those; then the cluster's own partition goes on, if it has lost its majority
//! too; then it is a fact that the nodes are given up; and only then the other
//! partitions go on. Whatever breaks off in between can be said again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use stead_model::{NodeId, PartitionId};

use super::{
    Cluster,
    fares::Fares,
    placing::ask_all,
    roll::{Decision, MARKED_MAX},
    wire::{Ask, Group, Groups, Told},
};
use crate::api::{
    LeftOf, OperateError, RecoverAnswer, RecoverRequest, RecoveredPartition, WaitingPartition,
};

/// How long another node may take to do its part.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether a partition is led.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be done with one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Case {
    /// It can decide by itself.
    Sound,
    /// It can't now, and could if these came back.
    Waits(BTreeSet<NodeId>),
    /// It can't ever. This node's replica is the newest of those that are left.
    GoesOn { with: NodeId, lost: NodeId, above: u64 },
    /// Nothing is left of it.
    Gone,
}

impl Cluster {
    /// Gives nodes up, or tells what would come of it.
    pub(super) async fn recover_from(
        &self,
        request: RecoverRequest,
    ) -> Result<RecoverAnswer, OperateError> {
        if self.peers().is_none() {
            return Err(OperateError::alone());
        }
        let said = ask_all(self).await;
        if let Some(silent) = self.others().into_iter().find(|node| !said.contains_key(node)) {
            // It may have the newest replica of something.
            return Err(OperateError::NotNow(format!(
                "node {} is there and doesn't say what it has; say it again in a moment",
                silent.short()
            )));
        }
        let lost = self.nodes_to_give_up(&request.lost, &said)?;
        let cases = self.cases(&said, &self.fares_of_all().await, &lost);
        let mut answer = self.answer_of(&said, &cases);
        if !request.accept_data_loss {
            return Ok(answer);
        }
        let system = self.count().system();
        if let Some(Case::Waits(nodes)) = cases.get(&system) {
            let nodes: Vec<String> = nodes.iter().map(|node| node.short()).collect();
            return Err(OperateError::Refused(format!(
                "the cluster's own partition waits for node {}, and without it nothing can be \
                 decided: start it, or name it too if it is lost",
                nodes.join(", ")
            )));
        }
        self.keep_all_away_from(&said, &lost).await?;
        if let Some(case) = cases.get(&system) {
            self.go_on(system, case).await?;
            self.led(BTreeSet::from([system])).await?;
        }
        self.give_up(lost).await?;
        let others = || cases.iter().filter(|(partition, _)| **partition != system);
        let done = others().map(|(partition, case)| self.go_on(*partition, case));
        for done in futures::future::join_all(done).await {
            done?;
        }
        let went_on = others().filter(|(_, case)| !matches!(case, Case::Sound | Case::Waits(_)));
        self.led(went_on.map(|(partition, _)| *partition).collect()).await?;
        answer.done = true;
        Ok(answer)
    }

    /// Reads who is to be given up: nodes that are known, and gone.
    fn nodes_to_give_up(
        &self,
        named: &BTreeSet<NodeId>,
        said: &BTreeMap<NodeId, Groups>,
    ) -> Result<BTreeSet<NodeId>, OperateError> {
        if named.is_empty() || named.len() > MARKED_MAX {
            return Err(OperateError::Refused(format!(
                "name the nodes that are lost for good: 1 to {MARKED_MAX}"
            )));
        }
        let members = self.gossip().members();
        let met: BTreeSet<NodeId> = members.members.iter().map(|m| m.identity.node).collect();
        let in_groups = |node: &NodeId| {
            let mut groups = said.values().flat_map(|said| &said.groups);
            groups.any(|group| group.voters.contains(node) || group.learners.contains(node))
        };
        for node in named {
            let short = node.short();
            if said.contains_key(node) || self.others().contains(node) || *node == self.id() {
                return Err(OperateError::Refused(format!(
                    "node {short} is there: only nodes that are gone can be given up"
                )));
            }
            let known =
                met.contains(node) || in_groups(node) || self.roll().given_up.contains(node);
            if !known {
                return Err(OperateError::UnknownNode(format!(
                    "there never was a node {short}, as far as those know that are there; \
                     `stead cluster status` shows which are missing"
                )));
            }
        }
        // Those that were given up before stay so.
        Ok(named.union(&self.roll().given_up).copied().collect())
    }

    fn cases(
        &self,
        said: &BTreeMap<NodeId, Groups>,
        fares: &BTreeMap<NodeId, Fares>,
        lost: &BTreeSet<NodeId>,
    ) -> BTreeMap<PartitionId, Case> {
        let of = |partition: PartitionId| {
            let stopped = fares.iter().filter(|(_, of)| of.stopped.contains(&partition.get()));
            let stopped = stopped.map(|(node, _)| *node).collect();
            (partition, case(left_of(said, partition), &stopped, lost))
        };
        self.count().all_and_system().map(of).collect()
    }

    fn answer_of(
        &self,
        said: &BTreeMap<NodeId, Groups>,
        cases: &BTreeMap<PartitionId, Case>,
    ) -> RecoverAnswer {
        let mut answer = RecoverAnswer::default();
        for (partition, case) in cases {
            let left = left_of(said, *partition);
            match case {
                Case::Sound => answer.sound += 1,
                Case::Waits(nodes) => answer.waiting.push(WaitingPartition {
                    partition: partition.get(),
                    waits_for: nodes.iter().map(NodeId::to_string).collect(),
                }),
                Case::GoesOn { .. } | Case::Gone => {
                    let with = match case {
                        Case::GoesOn { with, .. } => Some(*with),
                        _ => None,
                    };
                    let newest = with.and_then(|with| left.get(&with));
                    answer.recovered.push(RecoveredPartition {
                        partition: partition.get(),
                        is_the_clusters_own: *partition == self.count().system(),
                        with: with.map(|with| with.to_string()),
                        last: newest.map_or(0, |group| group.last),
                        committed: left.values().map(|group| group.committed).max().unwrap_or(0),
                        others: newest
                            .map(|group| known_of_others(group, &left))
                            .unwrap_or_default(),
                    });
                }
            }
        }
        answer
    }

    async fn keep_all_away_from(
        &self,
        said: &BTreeMap<NodeId, Groups>,
        lost: &BTreeSet<NodeId>,
    ) -> Result<(), OperateError> {
        self.keep_away_from(lost.iter().copied());
        let deadline = Instant::now() + PATIENCE;
        let ask = Ask::KeepAway { nodes: lost.iter().copied().collect() };
        let asked = said.keys().filter(|node| **node != self.id());
        let told = asked.map(|node| async {
            match self.ask(*node, &ask, deadline).await {
                Ok(_) => Ok(()),
                Err(failed) => Err(OperateError::NotNow(format!(
                    "node {} could not be told to keep away from those that are lost: {failed}",
                    node.short()
                ))),
            }
        });
        futures::future::join_all(told).await.into_iter().collect()
    }

    /// Hears nothing any more from nodes that are given up.
    pub(super) fn keep_away_from(&self, nodes: impl IntoIterator<Item = NodeId>) {
        if let Some(together) = &self.0.together {
            together.given_up.add(nodes);
        }
    }

    async fn go_on(&self, partition: PartitionId, case: &Case) -> Result<(), OperateError> {
        let (node, ask) = match case {
            Case::Sound | Case::Waits(_) => return Ok(()),
            Case::GoesOn { with, lost, above } => {
                let partition = partition.get();
                (*with, Ask::GoOnAlone { partition, lost: *lost, above: *above })
            }
            Case::Gone => (self.id(), Ask::BeginAnew { partition: partition.get() }),
        };
        let failed = |why: String| {
            OperateError::NotNow(format!(
                "partition {partition} does not go on yet: {why}; say it again"
            ))
        };
        let done = if node == self.id() {
            match ask {
                Ask::GoOnAlone { lost, above, .. } => {
                    let above = stead_model::Term(above);
                    let done = self.consensus().go_on_alone(partition, lost, above).await;
                    done.map(drop).map_err(|error| error.to_string())
                }
                _ => {
                    let begun = self.consensus().begin(partition, [self.id()]).await;
                    begun.map_err(|error| error.to_string())
                }
            }
        } else {
            match self.ask(node, &ask, Instant::now() + PATIENCE).await {
                Ok(Told::GoesOn(done)) => done,
                Ok(told) => Err(format!("an answer that does not fit: {told:?}")),
                Err(error) => Err(error.to_string()),
            }
        };
        done.map_err(failed)
    }

    /// Waits until partitions are led.
    async fn led(&self, mut waiting: BTreeSet<PartitionId>) -> Result<(), OperateError> {
        let until = Instant::now() + PATIENCE;
        loop {
            waiting.retain(|partition| self.consensus().leader(*partition).is_none());
            let Some(partition) = waiting.first() else { return Ok(()) };
            if Instant::now() >= until {
                return Err(OperateError::NotNow(format!(
                    "partition {partition} goes on, and nobody has come to lead it yet; \
                     `stead cluster status` shows when"
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes it a fact that nodes are given up.
    async fn give_up(&self, nodes: BTreeSet<NodeId>) -> Result<(), OperateError> {
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        let ask = Ask::GiveUp { nodes: nodes.clone() };
        let until = Instant::now() + PATIENCE;
        loop {
            let failed = match self.consensus().leader(self.count().system()) {
                Some(node) if node == self.id() => match self.give_up_here(nodes.clone()).await {
                    Err(OperateError::NotNow(why)) => why,
                    done => return done,
                },
                Some(node) => match self.ask(node, &ask, until).await {
                    Ok(Told::GivenUp(Err(OperateError::NotNow(why)))) => why,
                    Ok(Told::GivenUp(done)) => return done,
                    Ok(told) => format!("an answer that does not fit: {told:?}"),
                    Err(failed) => failed.to_string(),
                },
                None => "nobody leads the cluster's facts".into(),
            };
            if Instant::now() >= until {
                return Err(OperateError::NotNow(format!(
                    "it could not be written down that the nodes are given up: {failed}"
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// As [`Self::give_up`], where the facts are led.
    pub(super) async fn give_up_here(&self, nodes: Vec<NodeId>) -> Result<(), OperateError> {
        let ledger = self.ledger().ok_or_else(OperateError::alone)?;
        let _changing = ledger.changing().await;
        let known = self.roll().given_up;
        let new: Vec<(NodeId, Decision)> = nodes
            .into_iter()
            .filter(|node| !known.contains(node))
            .map(|node| (node, Decision::GiveUp))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let decided = ledger.decide(&new).await;
        decided.map_err(|error| OperateError::NotNow(error.to_string()))
    }
}

/// What those that are there have of a partition.
fn left_of(said: &BTreeMap<NodeId, Groups>, partition: PartitionId) -> BTreeMap<NodeId, &Group> {
    said.iter()
        .filter_map(|(node, said)| {
            let group = said.groups.iter().find(|group| group.partition == partition.get());
            Some((*node, group?))
        })
        .collect()
}

/// The replica that has the most: whatever was committed as far as any that is left
/// knows is in it, as in the log of one that would be elected.
fn newest<'a>(left: &BTreeMap<NodeId, &'a Group>) -> Option<(NodeId, &'a Group)> {
    let most = left.iter().max_by_key(|(node, group)| (group.last_term, group.last, **node));
    most.map(|(node, group)| (*node, *group))
}

/// `stopped` are those whose replica takes no part, and may have more than others: it is
/// neither left nor lost until their data are given up with them.
fn case(
    mut left: BTreeMap<NodeId, &Group>,
    stopped: &BTreeSet<NodeId>,
    lost: &BTreeSet<NodeId>,
) -> Case {
    let had_some = !left.is_empty();
    left.retain(|node, _| !stopped.contains(node));
    let Some((with, group)) = newest(&left) else {
        return if had_some { Case::Waits(stopped.clone()) } else { Case::Gone };
    };
    let sets: Vec<&Vec<NodeId>> = group.deciding.iter().collect();
    let decide = |may: &dyn Fn(&NodeId) -> bool| {
        sets.iter().all(|set| set.iter().filter(|node| may(node)).count() * 2 > set.len())
    };
    // One that is there and knows of the group takes part in it.
    if decide(&|node| left.contains_key(node)) {
        return Case::Sound;
    }
    let missing = || group.voters.iter().filter(|node| !left.contains_key(node)).copied();
    let may_return: BTreeSet<NodeId> = missing().filter(|node| !lost.contains(node)).collect();
    if decide(&|node| !lost.contains(node)) || !may_return.is_empty() {
        // Those that may return may have more, too.
        return Case::Waits(may_return);
    }
    let above = left.values().map(|group| group.term).max().unwrap_or(group.term);
    match missing().next() {
        Some(lost) => Case::GoesOn { with, lost, above },
        None => Case::Sound,
    }
}

/// How far the others' replicas were known to be.
fn known_of_others(group: &Group, left: &BTreeMap<NodeId, &Group>) -> Vec<LeftOf> {
    group
        .voters
        .iter()
        .chain(&group.learners)
        .map(|node| LeftOf {
            node: node.to_string(),
            is_there: left.contains_key(node),
            last: left.get(node).map(|own| own.last).or_else(|| {
                let matched = group.matched.iter().find(|(matched, _)| matched == node);
                matched.map(|(_, index)| *index)
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(nodes: &[u128]) -> Vec<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn group(voters: &[u128], last_term: u64, last: u64) -> Group {
        Group {
            partition: 0,
            term: last_term,
            leads: false,
            voters: ids(voters),
            deciding: vec![ids(voters)],
            learners: Vec::new(),
            is_changing: false,
            last,
            last_term,
            committed: 0,
            matched: Vec::new(),
        }
    }

    #[track_caller]
    fn check(left: &[(u128, Group)], lost: &[u128], expected: &Case) {
        let left = left.iter().map(|(node, group)| (NodeId(*node), group)).collect();
        assert_eq!(case(left, &BTreeSet::new(), &ids(lost).into_iter().collect()), *expected);
    }

    /// What has stopped is on its disk still, and may be the newest there is.
    #[test]
    fn a_replica_that_has_stopped_is_neither_left_nor_given_up() {
        let of = |stopped: &[u128], lost: &[u128]| {
            let [one, two] = [group(&[1, 2, 3], 2, 10), group(&[1, 2, 3], 3, 90)];
            let left = [(NodeId(1), &one), (NodeId(2), &two)].into_iter().collect();
            let set = |nodes: &[u128]| ids(nodes).into_iter().collect();
            case(left, &set(stopped), &set(lost))
        };
        assert_eq!(of(&[], &[3]), Case::Sound);
        assert_eq!(of(&[2], &[3]), waits(&[2]));
        assert_eq!(of(&[1, 2], &[3]), waits(&[1, 2]));
        assert_eq!(of(&[2], &[2, 3]), goes_on(1, 2, 2));
    }

    fn goes_on(with: u128, lost: u128, above: u64) -> Case {
        Case::GoesOn { with: NodeId(with), lost: NodeId(lost), above }
    }

    fn waits(nodes: &[u128]) -> Case {
        Case::Waits(ids(nodes).into_iter().collect())
    }

    #[test]
    fn a_partition_that_has_its_majority_is_not_touched() {
        let three = || group(&[1, 2, 3], 2, 10);
        check(&[(1, three()), (2, three())], &[3], &Case::Sound);
    }

    #[test]
    fn one_that_could_come_back_waits() {
        let three = || group(&[1, 2, 3], 2, 10);
        check(&[(1, three())], &[3], &waits(&[2]));
        // The one that isn't named may have more than is left.
        check(&[(1, group(&[1, 2, 3, 4, 5], 2, 10))], &[3, 4, 5], &waits(&[2]));
    }

    #[test]
    fn the_newest_that_is_left_goes_on_above_all_terms() {
        check(&[(1, group(&[1, 2, 3], 2, 10))], &[2, 3], &goes_on(1, 2, 2));
        let five = |term, last| group(&[1, 2, 3, 4, 5], term, last);
        let mut voted = five(2, 90);
        voted.term = 9;
        check(&[(1, voted.clone()), (2, five(3, 10))], &[3, 4, 5], &goes_on(2, 3, 9));
        check(&[(1, voted), (2, five(2, 91))], &[3, 4, 5], &goes_on(2, 3, 9));
    }

    #[test]
    fn in_a_change_both_majorities_are_needed() {
        let mut changing = group(&[1, 2, 3, 4, 5], 2, 10);
        changing.deciding = vec![ids(&[1, 2, 3]), ids(&[1, 4, 5])];
        let there: Vec<_> = [1, 2, 3].map(|node| (node, changing.clone())).to_vec();
        check(&there, &[4, 5], &goes_on(3, 4, 2));
        check(&there, &[4], &waits(&[5]));
    }

    #[test]
    fn what_nobody_has_is_gone() {
        check(&[], &[1], &Case::Gone);
    }
}
