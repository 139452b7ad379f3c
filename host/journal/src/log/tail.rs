//! What is known in memory of one partition's log: its last entries, where the
//! others are, and how far it has come.

use std::{collections::VecDeque, sync::Arc};

use stead_model::{Entry, LogIndex, LogPosition, PartitionId, Term};

use super::{Run, Runs};
use crate::JournalError;

/// One partition's log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Of the entries up to this one nothing is known any more but this.
    pub(crate) begins_after: LogPosition,
    /// The last entry.
    pub(crate) last: LogPosition,
    /// What consensus voted last, in its own encoding.
    pub(crate) vote: Option<Arc<[u8]>>,
    /// How far it is durable.
    pub(crate) durable: LogIndex,
    /// How far it is known to be committed.
    pub(crate) committed: LogIndex,
    /// How far entries were handed over to be applied.
    pub(crate) handed: LogIndex,
    /// How far they are applied.
    pub(crate) applied: LogIndex,
    /// How far nobody needs to read it any more.
    pub(crate) released: LogIndex,
    /// How often entries were given up.
    pub(crate) truncations: u64,
    /// The truncations that aren't durable yet: which one, and what stayed.
    unwritten: VecDeque<(u64, LogIndex)>,
    /// The last entries, up to the very last.
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// Where durable entries are, oldest first.
    runs: Runs,
}

/// Where an entry is to be read from.
#[derive(Debug)]
pub(crate) enum Found {
    /// These, from memory.
    Here(Vec<Arc<Entry>>),
    /// It is in this run of a segment.
    Stored(Run),
    /// It isn't in the log any more, or not yet.
    Nowhere,
}

impl Tail {
    /// The log as recovery found it: `entries` are those that aren't applied.
    pub(crate) fn recovered(
        begins_after: LogPosition,
        last: LogPosition,
        vote: Option<Arc<[u8]>>,
        committed: LogIndex,
        entries: Vec<Entry>,
        runs: Runs,
    ) -> Self {
        let applied = entries.first().map_or(last.index, |first| LogIndex(first.index.get() - 1));
        let mut tail = Self {
            begins_after,
            last,
            vote,
            durable: last.index,
            committed: committed.max(applied),
            handed: applied,
            applied,
            released: begins_after.index,
            runs,
            ..Self::default()
        };
        for entry in entries {
            tail.bytes += super::weight(&entry);
            tail.entries.push_back(Arc::new(entry));
        }
        tail
    }

    /// Takes entries that follow each other and the last; all or none.
    pub(crate) fn extend(&mut self, entries: &[Arc<Entry>]) -> Result<(), JournalError> {
        let mut last = self.last;
        for entry in entries {
            let (partition, index) = (entry.partition, entry.index);
            let inconsistent = |what| Err(JournalError::Inconsistent { partition, index, what });
            if index != last.index.next() {
                return inconsistent(format!("it does not follow entry {}", last.index));
            }
            if entry.term < last.term {
                return inconsistent(format!("it is of term {}, after {}", entry.term, last.term));
            }
            last = LogPosition { term: entry.term, index };
        }
        self.last = last;
        for entry in entries {
            self.bytes += super::weight(entry);
            self.entries.push_back(Arc::clone(entry));
        }
        Ok(())
    }

    /// Gives up the entries after one, which was of a term.
    pub(crate) fn truncate(
        &mut self,
        partition: PartitionId,
        after: LogPosition,
    ) -> Result<(), JournalError> {
        let inconsistent =
            |what| Err(JournalError::Inconsistent { partition, index: after.index, what });
        if after.index < self.committed {
            return inconsistent(format!("up to {} all is committed", self.committed));
        }
        if after.index > self.last.index {
            return inconsistent(format!("the log ends at {}", self.last));
        }
        while self.entries.back().is_some_and(|entry| entry.index > after.index) {
            self.bytes -= self.entries.pop_back().map_or(0, |entry| super::weight(&entry));
        }
        self.runs.cut(after.index);
        self.truncations += 1;
        self.unwritten.push_back((self.truncations, after.index));
        self.last = after;
        self.durable = self.durable.min(after.index);
        Ok(())
    }

    /// Notes where entries are that are durable now, which were taken when there
    /// had been so many truncations. What was given up since doesn't count.
    pub(crate) fn stored(&mut self, mut run: Run, truncations: u64) {
        let since = self.unwritten.iter().filter(|(number, _)| *number > truncations);
        let limit = since.map(|(_, after)| *after).min().unwrap_or(run.last);
        run.last = run.last.min(limit);
        if run.first <= run.last {
            self.durable = self.durable.max(run.last);
            self.runs.push(run);
        }
    }

    /// A truncation is durable, and with it those before.
    pub(crate) fn truncated(&mut self, truncations: u64) {
        while self.unwritten.front().is_some_and(|(number, _)| *number <= truncations) {
            self.unwritten.pop_front();
        }
    }

    /// What is durable and committed, and has not been handed over.
    pub(crate) fn hand_over(&mut self) -> Vec<Arc<Entry>> {
        let through = self.committed.min(self.durable);
        if through <= self.handed {
            return Vec::new();
        }
        let Some(first) = self.entries.front().map(|entry| entry.index.get()) else {
            return Vec::new();
        };
        let from = self.handed.next().get();
        assert!(first <= from, "what is not applied is in memory");
        let skip = usize::try_from(from - first).unwrap_or(usize::MAX);
        let count = usize::try_from(through.get() - from + 1).unwrap_or(usize::MAX);
        self.handed = through;
        self.entries.iter().skip(skip).take(count).cloned().collect()
    }

    /// Lets go of what is applied, but for as many bytes of it.
    pub(crate) fn applied(&mut self, through: LogIndex, keep_bytes: usize) {
        self.applied = self.applied.max(through);
        while self.bytes > keep_bytes
            && self.entries.front().is_some_and(|entry| entry.index <= self.applied)
        {
            self.bytes -= self.entries.pop_front().map_or(0, |entry| super::weight(&entry));
        }
    }

    /// A segment is gone.
    pub(crate) fn dropped(&mut self, segment: u64) {
        self.runs.drop_segment(segment);
    }

    /// The log doesn't go back behind this entry any more.
    pub(crate) fn release(&mut self, through: LogPosition) {
        self.released = self.released.max(through.index);
        self.begins_after = self.begins_after.max(through);
    }

    /// Nothing stays: the partition goes on after an entry that came otherwise.
    pub(crate) fn restart(&mut self, after: LogPosition) {
        let truncations = self.truncations + 1;
        let mut unwritten = std::mem::take(&mut self.unwritten);
        // What is under way of the entries before counts for nothing.
        unwritten.push_back((truncations, LogIndex(0)));
        *self = Self {
            begins_after: after,
            last: after,
            vote: self.vote.take(),
            durable: after.index,
            committed: after.index,
            handed: after.index,
            applied: after.index,
            released: after.index,
            truncations,
            unwritten,
            ..Self::default()
        };
    }

    /// The term of an entry, if it can be told from memory.
    pub(crate) fn term_of(&self, index: LogIndex) -> Option<Term> {
        if index == self.begins_after.index {
            return Some(self.begins_after.term);
        }
        if index == self.last.index {
            return Some(self.last.term);
        }
        let first = self.entries.front()?.index.get();
        let at = usize::try_from(index.get().checked_sub(first)?).ok()?;
        self.entries.get(at).map(|entry| entry.term)
    }

    /// Entries from one on up to another, excluding that, from where they are:
    /// as many as are in memory, or the run that holds the first.
    pub(crate) fn find(&self, from: LogIndex, until: LogIndex, bytes_max: usize) -> Found {
        if from <= self.begins_after.index || from > self.last.index || from >= until {
            return Found::Nowhere;
        }
        let first = self.entries.front().map_or(u64::MAX, |entry| entry.index.get());
        let Some(skip) = from.get().checked_sub(first) else {
            return self.runs.find(from).map_or(Found::Nowhere, Found::Stored);
        };
        let mut found = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)) {
            if entry.index >= until || (bytes >= bytes_max && !found.is_empty()) {
                break;
            }
            bytes += super::weight(entry);
            found.push(Arc::clone(entry));
        }
        Found::Here(found)
    }
}
