//! Watching who leads a group, and whether a leader may serve yet.

use std::time::Duration;

use openraft::{LinearizerOption, Raft, ServerState, async_runtime::WatchReceiver};
use stead_journal::PartitionLog;
use stead_model::{LogIndex, NodeId, Term};
use tokio::sync::watch;

use crate::{
    PlantedBug,
    machine::Machine,
    types::{Group, log_index},
};

/// Who leads a group, as this node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// This node does, in this term, and its store shows all that was committed
    /// before.
    Here(Term),
    /// Another does, or this node does and isn't ready.
    Elsewhere(Option<NodeId>),
}

/// Tells `say` of every change, until the group stops.
pub(crate) async fn watch(
    raft: &Raft<Group, Machine>,
    log: &PartitionLog,
    applied: watch::Receiver<LogIndex>,
    planted: Option<PlantedBug>,
    flush: impl Fn(LogIndex),
    say: impl Fn(Leadership),
) {
    let mut metrics = raft.server_metrics();
    let mut said = None;
    loop {
        let (state, term, leader) = {
            let seen = metrics.borrow_watched();
            (seen.state, seen.vote.leader_id.term, seen.current_leader)
        };
        let leads = state == ServerState::Leader;
        if leads && planted == Some(PlantedBug::ServesBeforeReady) {
            if said != Some(Leadership::Here(Term(term))) {
                said = Some(Leadership::Here(Term(term)));
                say(Leadership::Here(Term(term)));
            }
            if metrics.changed().await.is_err() {
                break;
            }
            continue;
        }
        if leads && said != Some(Leadership::Here(Term(term))) {
            tokio::select! {
                ready = ready(raft, log, applied.clone(), &flush) => {
                    if ready {
                        said = Some(Leadership::Here(Term(term)));
                        say(Leadership::Here(Term(term)));
                    } else {
                        // It leads no more, or can't reach a quorum: then it is
                        // asked again after the next change, or in a while.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    continue;
                }
                changed = metrics.changed() => if changed.is_err() { break },
            }
            continue;
        }
        if !leads && said != Some(Leadership::Elsewhere(leader)) {
            said = Some(Leadership::Elsewhere(leader));
            say(Leadership::Elsewhere(leader));
        }
        if metrics.changed().await.is_err() {
            break;
        }
    }
    say(Leadership::Elsewhere(None));
}

/// How long a quorum is waited for that confirms that this node leads.
const QUORUM_PATIENCE: Duration = Duration::from_millis(800);

/// A read that a quorum confirms, after it was asked for.
pub(crate) fn read_index() -> LinearizerOption {
    LinearizerOption::new(Some(Duration::ZERO), true).with_wait_timeout(QUORUM_PATIENCE)
}

/// Waits until the store shows all that was committed before this node led.
async fn ready(
    raft: &Raft<Group, Machine>,
    log: &PartitionLog,
    mut applied: watch::Receiver<LogIndex>,
    flush: impl Fn(LogIndex),
) -> bool {
    let Ok(read) = raft.ensure_linearizable(read_index()).await else { return false };
    let through = log_index(read.log_id().index);
    if log.applied().index < through {
        flush(through);
        if applied.wait_for(|applied| *applied >= through).await.is_err() {
            return false;
        }
    }
    true
}
