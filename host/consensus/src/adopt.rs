//! Taking over a partition from the time before there was consensus, when its
//! node was alone: the node becomes its group's only member.

use std::sync::Arc;

use openraft::impls::EmptyNode;
use stead_journal::{Done, JournalError, PartitionLog};
use stead_model::{Entry, Item, LogIndex, NodeId, Term, TimestampMs};

use crate::{
    encoding,
    types::{Membership, Vote},
};

/// If a partition has entries and never had a vote, says who its member is. What
/// was durable then was committed, and the journal has applied it.
pub(crate) fn adopt(log: &PartitionLog, node: NodeId) -> Result<(), JournalError> {
    let state = log.state();
    if state.vote.is_some() || state.last.index == LogIndex(0) {
        return Ok(());
    }
    let term = Term(state.last.term.get().max(1));
    let vote = Vote::new_committed(term.get(), node);
    log.vote(&encoding::vote(&vote).into(), Done::nothing())?;
    let members = Membership::new_with_defaults(
        vec![[node].into_iter().collect()],
        std::iter::empty::<NodeId>(),
    );
    debug_assert_eq!(members.get_node(&node), Some(&EmptyNode {}));
    let index = state.last.index.next();
    let entry = Entry {
        partition: log.partition(),
        term,
        index,
        at: TimestampMs(0),
        items: vec![Item::Members(encoding::members(&members))],
    };
    log.append(&[Arc::new(entry)], Done::nothing())?;
    log.commit(index);
    tracing::info!(partition = %log.partition(), "a partition from before there was consensus is taken over");
    Ok(())
}
