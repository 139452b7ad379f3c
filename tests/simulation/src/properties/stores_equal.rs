//! Stores are equal, byte for byte, on all replicas at the same entry.

use std::collections::BTreeMap;

use stead_journal::StoreRow;
use stead_model::{LogPosition, PartitionId};

use super::{Property, Seen};
use crate::{network::Machine, trace::hash};

type Rows = Vec<StoreRow>;

#[derive(Default)]
pub(super) struct StoresEqual {
    known: BTreeMap<(PartitionId, LogPosition), (Machine, u64)>,
    /// The last one of each partition, to show what differs.
    last: BTreeMap<PartitionId, (LogPosition, Rows)>,
}

fn sum(rows: &[StoreRow]) -> u64 {
    rows.iter().fold(rows.len() as u64, |sum, (table, key, value)| {
        hash(hash(hash(sum, &[*table]), key), value)
    })
}

impl Property for StoresEqual {
    fn name(&self) -> &'static str {
        "stores equal at the same entry"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Store { machine, partition, position, rows } = seen else { return Ok(()) };
        let sum = sum(rows);
        let (first, known) = self.known.entry((*partition, *position)).or_insert((*machine, sum));
        if *known != sum {
            let other = self.last.get(partition).filter(|(at, _)| at == position);
            let differs = other.and_then(|(_, other)| {
                rows.iter()
                    .find(|row| !other.contains(row))
                    .or_else(|| other.iter().find(|row| !rows.contains(row)))
            });
            return Err(format!(
                "partition {partition} at {position} differs between m{first} and m{machine}: \
                 {differs:?}"
            ));
        }
        self.last.insert(*partition, (*position, rows.to_vec()));
        Ok(())
    }
}
