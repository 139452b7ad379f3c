//! The pass over the log when it is opened: what is committed and missing in the
//! stores is applied, what is not known to be committed is kept in memory.
//!
//! A partition without a vote never had consensus: its node was alone, and what
//! is durable of it is committed.
//!
//! A partition whose entries contradict each other is given up, and only that one: what
//! others have is not in doubt.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use stead_model::{Entry, LogIndex, LogPosition, PartitionId};

use super::{RecoveryReport, recovery::Heads};
use crate::{
    JournalError,
    format::record::Record,
    log::{Place, Run, Runs, Tail, weight},
    store::Store,
};

/// Bytes of entries that are gathered before they are applied.
const GATHERED_MAX: usize = 8 << 20;

/// What is known of one partition so far.
#[derive(Default)]
struct Known {
    begins_after: LogPosition,
    vote: Option<Arc<[u8]>>,
    committed: LogIndex,
    /// Committed, and to be applied.
    gathered: Vec<Arc<Entry>>,
    /// Not known to be committed.
    pending: VecDeque<Entry>,
    runs: Runs,
}

/// One pass over the log.
pub(super) struct Pass<'a> {
    stores: &'a [Arc<Store>],
    known: Vec<Known>,
    heads: Heads,
    bytes: usize,
    /// The partitions that contradict themselves, and how.
    refused: Refused,
    pub(super) report: RecoveryReport,
}

/// Partitions that nothing is taken for, and why.
pub(super) type Refused = BTreeMap<PartitionId, JournalError>;

/// What the pass came to.
pub(super) struct Passed {
    pub(super) tails: Vec<Tail>,
    pub(super) refused: Refused,
    pub(super) report: RecoveryReport,
}

impl<'a> Pass<'a> {
    pub(super) fn new(stores: &'a [Arc<Store>], report: RecoveryReport) -> Self {
        let known = stores.iter().map(|_| Known::default()).collect();
        Self { stores, known, heads: Heads::new(), bytes: 0, refused: Refused::new(), report }
    }

    /// The last entry of each partition so far.
    pub(super) fn heads(&self) -> &Heads {
        &self.heads
    }

    /// The log begins after these. No store may lack what it doesn't have any more.
    pub(super) fn begin(&mut self, heads: Heads) -> Result<(), JournalError> {
        for (partition, head) in &heads {
            let at = usize::from(partition.get());
            let (Some(store), Some(known)) = (self.stores.get(at), self.known.get_mut(at)) else {
                continue;
            };
            let index = store.progress().index;
            if index < head.index {
                return Err(JournalError::damaged(
                    store.described(),
                    "its state",
                    format!(
                        "it is at entry {index}, and the log begins after entry {}",
                        head.index
                    ),
                ));
            }
            known.begins_after = *head;
        }
        self.heads = heads;
        Ok(())
    }

    /// Takes the next record of the log.
    pub(super) fn take(
        &mut self,
        file: &str,
        place: Place,
        record: Record,
    ) -> Result<(), JournalError> {
        match record {
            Record::Entry(entry) => self.entry(file, place, entry)?,
            Record::Truncation(partition, after) => self.truncation(file, partition, after)?,
            Record::Begin(partition, after) => self.begin_after(partition, after)?,
            Record::Vote(partition, vote) => {
                self.known(partition, LogIndex(0))?.vote = Some(vote.into());
            }
            Record::Commits(commits) => {
                for (partition, through) in commits {
                    self.commit(partition, through)?;
                }
            }
        }
        if self.bytes >= GATHERED_MAX { self.apply() } else { Ok(()) }
    }

    fn known(
        &mut self,
        partition: PartitionId,
        index: LogIndex,
    ) -> Result<&mut Known, JournalError> {
        let what = "there is no such partition".into();
        let stray = JournalError::Inconsistent { partition, index, what };
        self.known.get_mut(usize::from(partition.get())).ok_or(stray)
    }

    fn entry(&mut self, file: &str, place: Place, entry: Entry) -> Result<(), JournalError> {
        self.report.entries_read += 1;
        let (partition, index) = (entry.partition, entry.index);
        self.known(partition, index)?;
        let head = self.heads.entry(partition).or_default();
        if index != head.index.next() || entry.term < head.term {
            let what = format!("entry {} is the one before it", head.index);
            return Err(JournalError::damaged(
                file,
                format!("entry {index} of partition {partition}"),
                what,
            ));
        }
        *head = LogPosition { term: entry.term, index };
        let known = self.known(partition, index)?;
        known.runs.push(Run { first: index, last: index, group: place });
        let alone = known.vote.is_none();
        known.pending.push_back(entry);
        if alone { self.commit(partition, index) } else { Ok(()) }
    }

    fn truncation(
        &mut self,
        file: &str,
        partition: PartitionId,
        after: LogPosition,
    ) -> Result<(), JournalError> {
        let damaged = |what: String| {
            let place = format!("partition {partition}");
            Err(JournalError::damaged(file, place, what))
        };
        let head = self.heads.entry(partition).or_default();
        if after.index > head.index {
            return damaged(format!("entries after {after} are given up, and it ends at {head}"));
        }
        *head = after;
        let known = self.known(partition, after.index)?;
        if after.index < known.committed {
            let committed = known.committed;
            return damaged(format!(
                "entries after {after} are given up, and {committed} was committed"
            ));
        }
        known.pending.retain(|entry| entry.index <= after.index);
        known.runs.cut(after.index);
        Ok(())
    }

    /// A partition went on after an entry that came in a store, which may not have
    /// taken the place of the old one yet.
    fn begin_after(
        &mut self,
        partition: PartitionId,
        after: LogPosition,
    ) -> Result<(), JournalError> {
        let store = self.stores.get(usize::from(partition.get()));
        let known = self.known(partition, after.index)?;
        known.begins_after = after;
        known.committed = known.committed.max(after.index);
        known.gathered.clear();
        known.pending.clear();
        known.runs = Runs::default();
        self.heads.insert(partition, after);
        match store {
            Some(store) if store.progress().index < after.index => store.replace(after),
            Some(_) | None => Ok(()),
        }
    }

    /// What is committed is applied, if the store lacks it.
    fn commit(&mut self, partition: PartitionId, through: LogIndex) -> Result<(), JournalError> {
        let at = usize::from(partition.get());
        let applied = self.stores.get(at).map(|store| store.progress().index).unwrap_or_default();
        let is_refused = self.refused.contains_key(&partition);
        let known = self.known(partition, through)?;
        known.committed = known.committed.max(through);
        let mut bytes = 0;
        let mut count = 0;
        while known.pending.front().is_some_and(|entry| entry.index <= known.committed) {
            let Some(entry) = known.pending.pop_front() else { break };
            if entry.index > applied && !is_refused {
                bytes += weight(&entry);
                count += 1;
                known.gathered.push(Arc::new(entry));
            }
        }
        self.bytes += bytes;
        self.report.entries_applied += count;
        Ok(())
    }

    fn apply(&mut self) -> Result<(), JournalError> {
        self.bytes = 0;
        for (store, known) in self.stores.iter().zip(&mut self.known) {
            let gathered = std::mem::take(&mut known.gathered);
            if gathered.is_empty() || self.refused.contains_key(&store.partition) {
                continue;
            }
            match store.apply(&gathered) {
                Ok(()) => {}
                // It stays in the log, for whoever wants to find out.
                Err(error @ JournalError::Inconsistent { .. }) => {
                    self.refused.insert(store.partition, error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Applies the rest, and sees to it that every store is where the log says.
    pub(super) fn finish(mut self, log: &str) -> Result<Passed, JournalError> {
        self.apply()?;
        let mut tails = Vec::with_capacity(self.stores.len());
        for (store, known) in self.stores.iter().zip(self.known) {
            let head = self.heads.get(&store.partition).copied().unwrap_or_default();
            let applied = match self.refused.contains_key(&store.partition) {
                // It is not applied, and never will be.
                true => known.committed,
                false => store.progress().index,
            };
            // A checkpoint may have come after the last word of the log on what
            // is committed.
            let pending: Vec<Entry> =
                known.pending.into_iter().filter(|entry| entry.index > applied).collect();
            if applied.get() + pending.len() as u64 != head.index.get() {
                let what = format!(
                    "the log ends at entry {}, and the store is at entry {applied}: a segment or \
                     a store is missing",
                    head.index
                );
                let place = format!("partition {}", store.partition);
                return Err(JournalError::damaged(log, place, what));
            }
            tails.push(Tail::recovered(
                known.begins_after,
                head,
                known.vote,
                known.committed,
                pending,
                known.runs,
            ));
        }
        Ok(Passed { tails, refused: self.refused, report: self.report })
    }
}
