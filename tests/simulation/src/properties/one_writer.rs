//! One writer for each partition, term and index: no two entries of one term are
//! at one index, on whichever nodes.

use std::{collections::BTreeMap, sync::Arc};

use stead_model::{Entry, LogIndex, PartitionId, Term};

use super::{Property, Seen};
use crate::network::Machine;

#[derive(Default)]
pub(super) struct OneWriter {
    known: BTreeMap<(PartitionId, Term, LogIndex), (Machine, Arc<Entry>)>,
}

impl Property for OneWriter {
    fn name(&self) -> &'static str {
        "one writer per partition, term and index"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::InLog { machine, entry } = seen else { return Ok(()) };
        let at = (entry.partition, entry.term, entry.index);
        let (first, known) = self.known.entry(at).or_insert_with(|| (*machine, Arc::clone(entry)));
        if known == *entry {
            return Ok(());
        }
        let (partition, term, index) = at;
        Err(format!(
            "in partition {partition}, term {term}, entry {index} is {known:?} on m{first} and \
             {entry:?} on m{machine}"
        ))
    }
}
