//! Handing a group's leadership over to another replica.
//!
//! The leader waits until the other has nearly all of its log. Then it holds back
//! what is proposed until the other has the rest, and bids it stand; the voters
//! grant a vote that was bidden though the leader is there. If the other doesn't
//! come to lead, the leader soon goes on as if nothing had been. (openraft's own
//! transfer has a leader wait for ever for one that doesn't come.)

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openraft::{ServerState, async_runtime::WatchReceiver};
use stead_model::{LogPosition, NodeId};
use tokio::time::Instant;

use crate::{
    Proposal,
    carrier::Lane,
    electing::{self, View},
    member::Member,
    network::Network,
    types::position,
    wire::{Reply, Request},
};

/// How long a leader waits for the other to have nearly all of its log.
const NEAR_PATIENCE: Duration = Duration::from_millis(1_200);
/// How many entries it may lack then.
const NEAR: u64 = 64;
/// How long a leader holds back what is proposed before it goes on itself.
const HOLD_PATIENCE: Duration = Duration::from_millis(500);
/// How long the answer of one that was bidden is waited for, and how long it may then
/// take to be elected until it is bidden again.
const BID_PATIENCE: Duration = Duration::from_millis(400);
const ELECTION_PATIENCE: Duration = Duration::from_millis(120);
/// How often it is looked whether the other has all of the log, and leads.
const LOOK: Duration = Duration::from_millis(2);

/// What is held back while leadership is handed over.
#[derive(Default)]
pub(crate) struct Handover(Mutex<Option<Vec<Proposal>>>);

impl Handover {
    fn held(&self) -> MutexGuard<'_, Option<Vec<Proposal>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a proposal back, if leadership is being handed over; gives it back
    /// if not.
    pub(crate) fn hold(&self, proposal: Proposal) -> Option<Proposal> {
        match &mut *self.held() {
            Some(held) => {
                held.push(proposal);
                None
            }
            None => Some(proposal),
        }
    }

    fn begin(&self) -> bool {
        let mut held = self.held();
        if held.is_some() {
            return false;
        }
        *held = Some(Vec::new());
        true
    }

    /// It is over. What was held back, in its order.
    pub(crate) fn end(&self) -> Vec<Proposal> {
        self.held().take().unwrap_or_default()
    }
}

/// That a replica was bidden to stand by its leader, until when.
#[derive(Clone, Default)]
pub(crate) struct Bidden(Arc<Mutex<Option<Instant>>>);

impl Bidden {
    fn set(&self) {
        let until = Instant::now() + BID_PATIENCE;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    pub(crate) fn holds(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

/// Hands a group's leadership over, if this node leads it. Whether something may
/// have been held back: then the caller [ends](Handover::end) it.
pub(crate) async fn hand_over(member: &Member, network: &Network, to: NodeId) -> bool {
    let view = View::of(member);
    let may = view.state == ServerState::Leader
        && view.voted_for != to
        && view.is_voter(to)
        && !member.refusing.has(to);
    if !may {
        return false;
    }
    let until = Instant::now() + NEAR_PATIENCE;
    while lacking(member, to).is_none_or(|lacking| lacking > NEAR) {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    if !member.handover.begin() {
        return false;
    }
    let _ = tokio::time::timeout(HOLD_PATIENCE, bid(member, &view, network, to)).await;
    true
}

/// How many entries of the leader's log another lacks, as the leader knows.
fn lacking(member: &Member, to: NodeId) -> Option<u64> {
    let last = member.log.state().last;
    let matched = {
        let metrics = member.raft.metrics();
        let seen = metrics.borrow_watched();
        seen.replication.as_ref()?.get(&to).copied()??
    };
    Some(last.index.get().saturating_sub(position(&matched).index.get()))
}

/// Bids another stand until this node doesn't lead any more.
async fn bid(member: &Member, view: &View, network: &Network, to: NodeId) {
    let leads = || {
        let now = View::of(member);
        now.state == ServerState::Leader && now.term == view.term
    };
    while leads() {
        // Whether it has all is for the other to say: what the leader knows of it is
        // not renewed while nothing goes on. What was proposed before anything was
        // held back is in openraft's log when it answers, and not sooner.
        let Ok(last) = member.raft.with_raft_state(|state| state.log_ids.last().cloned()).await
        else {
            return;
        };
        let last = last.as_ref().map_or_else(LogPosition::default, position);
        let asked = Request::Stand { term: view.term.get(), last: last.into() };
        match network.to(to).ask(Lane::Control, asked, BID_PATIENCE).await {
            Ok(Reply::Stood(true)) => {
                // Its election takes two round trips.
                let until = Instant::now() + ELECTION_PATIENCE;
                while leads() && Instant::now() < until {
                    tokio::time::sleep(LOOK).await;
                }
            }
            other => {
                tracing::debug!(?other, "the other didn't stand");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Stands, bidden by the leader of a term whose log ends there. Whether it did.
pub(crate) async fn stand(
    member: &Member,
    network: &Network,
    node: NodeId,
    from: NodeId,
    (term, last): (u64, LogPosition),
) -> bool {
    let view = View::of(member);
    let follows = view.elected && view.voted_for == from && view.term.get() == term;
    if !follows || member.log.state().last != last || !view.is_voter(node) {
        return false;
    }
    member.bidden.set();
    electing::stand(member, &view, network, node, true).await
}
