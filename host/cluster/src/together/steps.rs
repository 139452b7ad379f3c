//! The steps of placement that are being carried out, each by its group's leader, and
//! those that failed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use stead_model::{NodeId, PartitionId};
use stead_placement::{Change, Step as Planned};

use super::{
    Cluster,
    wire::{Ask, Step, Told},
};

/// How long a step may take until it is planned anew. A store that is sent takes
/// longer; then the learner is there, and waited for.
const STEP_PATIENCE: Duration = Duration::from_secs(20);
/// How long it is until a step that failed is tried again, the first time; then twice as
/// long each time, up to the longest.
const AGAIN_MIN: Duration = Duration::from_millis(250);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// One step of each partition at most. Clones are the same.
#[derive(Default, Clone)]
pub(super) struct Steps(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    under_way: BTreeMap<PartitionId, Change>,
    failed: BTreeMap<PartitionId, Failure>,
}

/// A step that was not carried out.
struct Failure {
    step: Step,
    times: u32,
    /// When it is tried again, if it is still wanted.
    again: Instant,
}

impl Known {
    /// Whether a step may be tried: nothing is under way, and it didn't fail a short
    /// time ago.
    fn may_try(&self, partition: PartitionId, step: &Step, now: Instant) -> bool {
        let failure = self.failed.get(&partition).filter(|failure| failure.step == *step);
        !self.under_way.contains_key(&partition)
            && failure.is_none_or(|failure| now >= failure.again)
    }

    /// The node that was to lead a partition and didn't come to, a short time ago.
    fn doubted(&self, partition: PartitionId, now: Instant) -> Option<NodeId> {
        let failure = self.failed.get(&partition).filter(|failure| now < failure.again)?;
        match &failure.step {
            Step::TransferLeader { to, .. } => Some(*to),
            Step::AddLearner { .. } | Step::ChangeVoters { .. } | Step::RemoveLearner { .. } => {
                None
            }
        }
    }

    /// A step is over.
    fn is_over(&mut self, partition: PartitionId, step: Step, failed: bool, now: Instant) {
        self.under_way.remove(&partition);
        let before = self.failed.remove(&partition).filter(|failure| failure.step == step);
        if failed {
            let times = before.map_or(0, |failure| failure.times.saturating_add(1));
            let wait = AGAIN_MIN.saturating_mul(1 << times.min(16)).min(AGAIN_MAX);
            self.failed.insert(partition, Failure { step, times, again: now + wait });
        }
    }
}

impl Steps {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being done with a partition.
    pub(super) fn under_way(&self, partition: PartitionId) -> Option<Change> {
        self.known().under_way.get(&partition).copied()
    }

    /// The node that was to lead a partition and didn't come to, a short time ago: it is
    /// not asked for again so soon, and others may be.
    pub(super) fn doubted(&self, partition: PartitionId, now: Instant) -> Option<NodeId> {
        self.known().doubted(partition, now)
    }

    /// Whether nothing is being done with any.
    pub(super) fn none_is_under_way(&self) -> bool {
        self.known().under_way.is_empty()
    }

    /// Has a group's leader carry out a step, unless another is under way or it failed
    /// a short time ago. It is planned again, by what is then observed.
    pub(super) fn try_to(&self, cluster: &Cluster, leader: NodeId, step: Step) {
        let (partition, change) = match &step {
            Step::AddLearner { partition, .. }
            | Step::ChangeVoters { partition, .. }
            | Step::RemoveLearner { partition, .. } => (*partition, Change::Members),
            Step::TransferLeader { partition, to } => (*partition, Change::Leader { to: *to }),
        };
        let partition = PartitionId(partition);
        {
            let mut known = self.known();
            if !known.may_try(partition, &step, Instant::now()) {
                return;
            }
            known.under_way.insert(partition, change);
        }
        tracing::info!(?step, leader = %leader.short(), "placement");
        let (cluster, steps) = (cluster.clone(), self.clone());
        tokio::spawn(async move {
            let done = tokio::time::timeout(STEP_PATIENCE, at(&cluster, leader, step.clone()));
            let done = done.await.unwrap_or_else(|_| Err("it takes too long".into()));
            if let Err(why) = &done {
                tracing::info!(%partition, %why, "a step of placement was not carried out");
            }
            steps.known().is_over(partition, step, done.is_err(), Instant::now());
        });
    }
}

async fn at(cluster: &Cluster, leader: NodeId, step: Step) -> Result<(), String> {
    if leader == cluster.id() {
        return cluster.step(step).await;
    }
    let deadline = Instant::now() + STEP_PATIENCE;
    match cluster.ask(leader, &Ask::Step(step), deadline).await {
        Ok(Told::Step(done)) => done,
        Ok(told) => Err(format!("an answer that does not fit: {told:?}")),
        Err(failed) => Err(failed.to_string()),
    }
}

/// A step, as it is told to a leader.
pub(super) fn wire(step: &Planned) -> Step {
    match step {
        Planned::AddLearner { partition, node } => {
            Step::AddLearner { partition: partition.get(), node: *node }
        }
        Planned::ChangeVoters { partition, voters } => {
            let voters = voters.iter().copied().collect();
            Step::ChangeVoters { partition: partition.get(), voters }
        }
        Planned::RemoveLearner { partition, node } => {
            Step::RemoveLearner { partition: partition.get(), node: *node }
        }
        Planned::TransferLeader { partition, to, .. } => {
            Step::TransferLeader { partition: partition.get(), to: *to }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: PartitionId = PartitionId(3);

    fn hand_over(to: u128) -> Step {
        Step::TransferLeader { partition: PARTITION.get(), to: NodeId(to) }
    }

    #[test]
    fn a_step_that_fails_is_tried_less_and_less_often() {
        let (mut known, mut now) = (Known::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(known.may_try(PARTITION, &hand_over(1), now));
            known.is_over(PARTITION, hand_over(1), true, now);
            let begun = now;
            while !known.may_try(PARTITION, &hand_over(1), now) {
                now += AGAIN_MIN / 2;
            }
            waits.push(now - begun);
        }
        assert_eq!(waits[..3], [AGAIN_MIN, AGAIN_MIN * 2, AGAIN_MIN * 4]);
        assert_eq!(waits.last(), Some(&AGAIN_MAX));
    }

    #[test]
    fn another_step_does_not_wait_and_success_is_a_new_beginning() {
        let (mut known, now) = (Known::default(), Instant::now());
        known.is_over(PARTITION, hand_over(1), true, now);
        known.is_over(PARTITION, hand_over(1), true, now);
        assert!(!known.may_try(PARTITION, &hand_over(1), now + AGAIN_MIN));
        assert!(known.may_try(PARTITION, &hand_over(2), now));
        assert_eq!(known.doubted(PARTITION, now), Some(NodeId(1)));
        assert_eq!(known.doubted(PARTITION, now + AGAIN_MAX), None);
        assert!(known.may_try(PartitionId(4), &hand_over(1), now));
        known.is_over(PARTITION, hand_over(1), false, now);
        assert!(known.may_try(PARTITION, &hand_over(1), now));
        known.is_over(PARTITION, hand_over(1), true, now);
        assert!(known.may_try(PARTITION, &hand_over(1), now + AGAIN_MIN));
    }

    #[test]
    fn one_step_of_a_partition_is_under_way_at_most() {
        let steps = Steps::default();
        assert!(steps.none_is_under_way());
        steps.known().under_way.insert(PARTITION, Change::Members);
        assert_eq!(steps.under_way(PARTITION), Some(Change::Members));
        assert!(!steps.none_is_under_way());
        assert!(!steps.known().may_try(PARTITION, &hand_over(1), Instant::now()));
    }
}
