//! Where a partition's durable entries are in the log.

use std::collections::VecDeque;

use stead_model::LogIndex;

use super::Place;

/// Entries of a partition that follow each other in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: LogIndex,
    pub(crate) last: LogIndex,
    pub(crate) group: Place,
}

/// The runs of a partition, in the order of their entries.
#[derive(Debug, Default)]
pub(crate) struct Runs(VecDeque<Run>);

impl Runs {
    /// Adds a run, which goes on where the last one ends.
    pub(crate) fn push(&mut self, run: Run) {
        match self.0.back_mut() {
            Some(last) if last.group == run.group && last.last.next() == run.first => {
                last.last = run.last;
            }
            _ => self.0.push_back(run),
        }
    }

    /// Forgets the entries after one.
    pub(crate) fn cut(&mut self, after: LogIndex) {
        while self.0.back().is_some_and(|run| run.first > after) {
            self.0.pop_back();
        }
        if let Some(run) = self.0.back_mut() {
            run.last = run.last.min(after);
        }
    }

    /// Forgets those in a segment, which is the oldest.
    pub(crate) fn drop_segment(&mut self, segment: u64) {
        while self.0.front().is_some_and(|run| run.group.segment == segment) {
            self.0.pop_front();
        }
    }

    /// The run that has an entry.
    pub(crate) fn find(&self, index: LogIndex) -> Option<Run> {
        let at = self.0.partition_point(|run| run.last < index);
        self.0.get(at).filter(|run| run.first <= index).copied()
    }
}
