//! Looks at every node's logs and stores, and says what it sees there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use stead_model::{Entry, LogIndex, LogPosition, PartitionId};

use crate::{
    network::Machine,
    node::Node,
    properties::{Properties, Seen},
    trace::Trace,
};

/// The most bytes of entries that are read at once.
const BYTES: usize = 1 << 20;

/// What is known of one node's log of a partition.
#[derive(Default)]
struct Known {
    last: LogPosition,
    committed: LogIndex,
}

/// What is known of all logs.
#[derive(Default)]
pub struct Observer {
    known: BTreeMap<(Machine, PartitionId), Known>,
    /// How far each partition is decided, and what waits for entries before it.
    decided: BTreeMap<PartitionId, LogIndex>,
    ahead: BTreeMap<(PartitionId, LogIndex), Arc<Entry>>,
    stores: BTreeMap<(Machine, PartitionId), LogPosition>,
    /// Who acknowledged entries in which term, and who leads now.
    pub entries: u64,
    /// Stores that were compared.
    pub compared: u64,
}

impl Observer {
    /// A machine's node is gone; another is looked at anew.
    pub fn forget(&mut self, machine: Machine) {
        self.known.retain(|(at, _), _| *at != machine);
        self.stores.retain(|(at, _), _| *at != machine);
    }

    /// Looks at a node's logs.
    pub fn look(&mut self, node: &Node, trace: &Trace, properties: &mut Properties) {
        for partition in node.count.all_and_system() {
            let state = node.consensus().log_state(partition);
            let known = self.known.entry((node.machine, partition)).or_default();
            if (state.last, state.committed) == (known.last, known.committed) {
                continue;
            }
            let before = known.committed;
            (known.last, known.committed) = (state.last, state.committed);
            let from = before.next().max(state.begins_after.index.next());
            trace.mix(
                "log",
                &[
                    node.machine as u64,
                    u64::from(partition.get()),
                    state.last.term.get(),
                    state.last.index.get(),
                    state.committed.get(),
                ],
            );
            let entries = match self.read(node, partition, from, state.last.index) {
                Ok(entries) => entries,
                Err(what) => {
                    properties.see(&Seen::Trouble { machine: node.machine, what: &what });
                    continue;
                }
            };
            for entry in &entries {
                self.entries += 1;
                properties.see(&Seen::InLog { machine: node.machine, entry });
                if entry.index <= state.committed {
                    properties.see(&Seen::Committed { machine: node.machine, entry });
                    self.decide(entry, properties);
                }
            }
        }
    }

    fn read(
        &self,
        node: &Node,
        partition: PartitionId,
        mut from: LogIndex,
        last: LogIndex,
    ) -> Result<Vec<Arc<Entry>>, String> {
        let mut all = Vec::new();
        while from <= last {
            let some = node.consensus().entries(partition, from, BYTES);
            let some = some.map_err(|error| error.to_string())?;
            match some.last() {
                Some(entry) => from = entry.index.next(),
                None => break,
            }
            all.extend(some);
        }
        Ok(all)
    }

    fn decide(&mut self, entry: &Arc<Entry>, properties: &mut Properties) {
        let partition = entry.partition;
        let decided = self.decided.entry(partition).or_default();
        if entry.index <= *decided {
            return;
        }
        self.ahead.entry((partition, entry.index)).or_insert_with(|| Arc::clone(entry));
        while let Some(next) = self.ahead.remove(&(partition, decided.next())) {
            *decided = next.index;
            properties.see(&Seen::Decided { entry: &next });
        }
    }

    /// How far partitions are decided.
    pub fn decided(&self, partition: PartitionId) -> LogIndex {
        self.decided.get(&partition).copied().unwrap_or_default()
    }

    /// Compares a node's store of a partition, if it has come further.
    pub fn compare(&mut self, node: &Node, partition: PartitionId, properties: &mut Properties) {
        let machine = node.machine;
        let rows = node.consensus().reader(partition).export().and_then(|export| {
            if self.stores.get(&(machine, partition)) == Some(&export.position()) {
                return Ok(None);
            }
            export.rows().map(|rows| Some((export.position(), rows)))
        });
        match rows {
            Ok(None) => {}
            Ok(Some((position, rows))) => {
                self.stores.insert((machine, partition), position);
                self.compared += 1;
                properties.see(&Seen::Store { machine, partition, position, rows: &rows });
            }
            Err(error) => {
                let what = error.to_string();
                properties.see(&Seen::Trouble { machine, what: &what });
            }
        }
    }

    /// Where the stores are, of those that were compared last.
    pub fn positions(&self, partition: PartitionId) -> BTreeSet<LogPosition> {
        self.stores.iter().filter(|((_, of), _)| *of == partition).map(|(_, at)| *at).collect()
    }
}
