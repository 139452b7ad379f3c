//! Going on with one replica when the majority of a group is lost for good.
//!
//! No vote can be had then, so somebody has to say that the rest is given up. The
//! replica is told so in the group's own words: as if one of the lost nodes had been
//! elected once more, in a term above all that are known, and had said that this
//! replica is the group's only member and that all of its log is committed. It is then
//! elected by itself and goes on like any other.
//!
//! What the lost nodes had beyond this replica's log is lost. And they must never take
//! part again: they would know nothing of it, and be a majority of what was.

use openraft::{
    entry::RaftEntry,
    raft::{AppendEntriesRequest, AppendEntriesResponse},
};
use stead_model::{LogIndex, LogPosition, NodeId, PartitionId, Term};

use crate::{
    MembersError,
    electing::View,
    member::Member,
    types::{Committed, LogEntry, LogId, Membership, Payload, Vote, position, raft_index},
};

/// Makes this node the group's only member, in a term above `above`. `lost` is one of
/// the nodes that are given up. Where the group's log ended.
pub(crate) async fn go_on_alone(
    member: &Member,
    partition: PartitionId,
    node: NodeId,
    lost: NodeId,
    above: Term,
) -> Result<LogPosition, MembersError> {
    let failed = |why: String| MembersError { partition, why };
    if lost == node {
        return Err(failed("a node that is given up can't go on".into()));
    }
    let _not_installing = member.installing.read().await;
    // openraft's own word: what was proposed and isn't in the journal yet counts.
    let last = member
        .raft
        .with_raft_state(|state| state.log_ids.last().cloned())
        .await
        .map_err(|error| failed(error.to_string()))?;
    let ended = last.as_ref().map_or_else(LogPosition::default, position);
    if ended.index == LogIndex(0) {
        return Err(failed("this node has nothing of it".into()));
    }
    let term = View::of(member).term.max(above).get().saturating_add(1);
    let id = LogId::new(Committed::new(term), raft_index(ended.index.next()));
    let alone = Membership::new_with_defaults(
        vec![[node].into_iter().collect()],
        std::iter::empty::<NodeId>(),
    );
    let request = AppendEntriesRequest {
        vote: Vote::new_committed(term, lost),
        prev_log_id: last,
        entries: vec![LogEntry::new(id, Payload::Members(alone))],
        leader_commit: Some(id),
    };
    match member.raft.append_entries(request).await {
        Ok(AppendEntriesResponse::Success) => Ok(ended),
        Ok(other) => Err(failed(format!("its log changed meanwhile: {other}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}
