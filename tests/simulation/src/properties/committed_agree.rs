//! Committed entries agree: what any node takes for committed at an index is the
//! same on all nodes, for ever.

use std::{collections::BTreeMap, sync::Arc};

use stead_model::{Entry, LogIndex, PartitionId};

use super::{Property, Seen};
use crate::network::Machine;

#[derive(Default)]
pub(super) struct CommittedAgree {
    known: BTreeMap<(PartitionId, LogIndex), (Machine, Arc<Entry>)>,
}

impl Property for CommittedAgree {
    fn name(&self) -> &'static str {
        "committed entries agree"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Committed { machine, entry } = seen else { return Ok(()) };
        let at = (entry.partition, entry.index);
        let (first, known) = self.known.entry(at).or_insert_with(|| (*machine, Arc::clone(entry)));
        if known == *entry {
            return Ok(());
        }
        Err(format!(
            "entry {} of partition {} is committed as {known:?} on m{first} and as {entry:?} on \
             m{machine}",
            entry.index, entry.partition
        ))
    }
}
