//! The way of a call to the node that leads its entity's partition, through
//! failovers, within the caller's deadline.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use stead_model::{NodeId, PartitionId};
use stead_peers::Lane;

use super::{
    Cluster,
    wire::{self, Ask, Told},
};
use crate::{
    api::CallError,
    calls::{RETRY_AFTER_MS, unavailable},
};

/// The longest that somebody who leads is waited for. A failover takes about a
/// second; when nobody comes to lead for this long, there is no quorum.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// The first wait before another try, and the longest.
const WAIT_MIN: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_millis(50);
/// How much sooner than its caller a forwarded call gives up, so that its answer
/// still arrives.
const MARGIN: Duration = Duration::from_millis(20);

/// How long it takes until a node that this one is cut off from is given up.
const CUT_PATIENCE: Duration = Duration::from_secs(1);

/// What became of one try.
pub enum Tried<T> {
    /// This is the answer.
    Answered(Result<T, CallError>),
    /// It certainly wasn't carried out.
    NotTaken(CallError),
    /// It may have been carried out.
    Unknown(CallError),
}

impl<T> Tried<T> {
    /// An answer, by what it means for another try.
    pub fn of(result: Result<T, CallError>) -> Self {
        match result {
            Err(error @ CallError::Unavailable { .. }) => Self::NotTaken(error),
            Err(error @ CallError::OutcomeUnknown { .. }) => Self::Unknown(error),
            result => Self::Answered(result),
        }
    }

    /// An answer to a call whose type this node knows: one that doesn't know it has
    /// not taken it over yet.
    pub fn of_known(result: Result<T, CallError>) -> Self {
        match result {
            Err(CallError::UnknownType(_)) => Self::NotTaken(unavailable(
                "the node that leads the partition does not know the entity's type yet",
            )),
            result => Self::of(result),
        }
    }
}

impl Cluster {
    /// Tries again, wherever the partition is led, until there is an answer or the
    /// time is up. `attempt` is told where to, and whether it can't have been
    /// carried out before.
    pub(super) async fn routed<T, F>(
        &self,
        partition: PartitionId,
        deadline: Instant,
        mut attempt: impl FnMut(NodeId, bool) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Tried<T>>,
    {
        let mut unknown = None;
        let mut wait = WAIT_MIN;
        let mut leaderless_until = Instant::now() + LEADER_PATIENCE;
        let mut leaders = None;
        loop {
            let leader = self.consensus().leader(partition);
            let refused = match leader {
                Some(node) => match attempt(node, unknown.is_none()).await {
                    Tried::Answered(result) => return result,
                    Tried::NotTaken(error) => error,
                    Tried::Unknown(error) => {
                        // It is worth as long as it takes to learn what became of it.
                        leaderless_until = Instant::now() + LEADER_PATIENCE;
                        unknown = Some(error.clone());
                        error
                    }
                },
                None => unavailable(format!("partition {partition} has no leader for now")),
            };
            if Instant::now() + wait >= deadline.min(leaderless_until) {
                return Err(self.plainly(partition, unknown.unwrap_or(refused)).await);
            }
            let leaders = leaders.get_or_insert_with(|| self.consensus().leaders());
            let other = async {
                while leaders.changed().await.is_ok() {
                    if self.consensus().leader(partition) != leader {
                        return;
                    }
                }
                std::future::pending().await
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(WAIT_MAX),
                () = other => {}
            }
        }
    }

    /// Asks another node.
    pub(super) async fn ask(
        &self,
        node: NodeId,
        ask: &Ask,
        deadline: Instant,
    ) -> Result<Told, AskFailed> {
        let Some(peers) = self.peers() else {
            return Err(AskFailed::NotTaken("this node has no cluster yet".into()));
        };
        if self.together().cut.has(node) {
            tokio::time::sleep_until(deadline.min(Instant::now() + CUT_PATIENCE).into()).await;
            return Err(AskFailed::Unknown("this node is cut off from that one".into()));
        }
        let answer = peers.call(node, Lane::Requests, wire::encode(ask), deadline).await;
        match answer {
            Ok(bytes) => match wire::decode(&bytes) {
                Ok(Told::Unknown(why)) => Err(AskFailed::NotTaken(why)),
                Ok(told) => Ok(told),
                Err(why) => Err(AskFailed::Unknown(why)),
            },
            Err(error) if error.may_have_been_carried_out() => {
                Err(AskFailed::Unknown(error.to_string()))
            }
            Err(error) => Err(AskFailed::NotTaken(error.to_string())),
        }
    }
}

/// Why another node's answer is missing.
#[derive(Debug, Clone)]
pub enum AskFailed {
    /// It certainly did nothing.
    NotTaken(String),
    /// It may have.
    Unknown(String),
}

impl AskFailed {
    /// For something that changes nothing, or may be done twice.
    pub fn harmless<T>(self) -> Tried<T> {
        let (Self::NotTaken(why) | Self::Unknown(why)) = self;
        Tried::NotTaken(unavailable(why))
    }
}

impl std::fmt::Display for AskFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::NotTaken(why) | Self::Unknown(why)) = self;
        f.write_str(why)
    }
}

/// What is left of a deadline for the node that is asked, in milliseconds.
pub fn patience_ms(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// The answer doesn't fit the question.
pub fn misfit<T>(told: &Told) -> Tried<T> {
    tracing::error!(?told, "another node's answer does not fit the question");
    Tried::Answered(Err(CallError::Unavailable {
        reason: "another node's answer does not fit; see the log".into(),
        retry_after_ms: RETRY_AFTER_MS,
    }))
}
