//! The journal as a group's log.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use openraft::{
    OptionalSend, RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use stead_journal::{Done, PartitionLog};
use stead_model::{LogIndex, LogPosition};
use tokio::sync::oneshot;

use crate::{
    PlantedBug,
    blocking::Blocking,
    encoding,
    error::{io as io_error, missing},
    types::{Group, LogEntry, LogId, Vote, log_id, log_index, position},
};

/// How many bytes of entries are sent at once; one entry more may go over.
pub const READ_BYTES: u64 = 4 << 20;

/// A partition's log. Clones are the same log.
#[derive(Clone)]
pub(crate) struct GroupLog(pub(crate) PartitionLog, pub(crate) Option<PlantedBug>);

impl GroupLog {
    fn vote(&self) -> io::Result<Option<Vote>> {
        let Some(bytes) = self.0.state().vote else { return Ok(None) };
        let vote = encoding::read_vote(&bytes).ok_or_else(|| {
            let partition = self.0.partition();
            let what = format!("the vote of partition {partition} can't be understood");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(Some(vote))
    }

    /// Some entries from one on, up to another, excluding that.
    async fn some(&self, from: LogIndex, until: LogIndex) -> io::Result<Vec<LogEntry>> {
        let entries = match self.0.recent(from, until, READ_BYTES as usize) {
            Some(entries) => entries,
            None => {
                // From the disk: not on the thread that all groups share.
                let log = self.0.clone();
                let read = move || log.read(from, until, READ_BYTES as usize);
                Blocking::of(&self.0).run(read).await?.map_err(io_error)?
            }
        };
        Ok(entries.into_iter().map(LogEntry::of).collect())
    }
}

/// The bounds of a range, as the first and the one after the last.
fn bounds(range: &impl RangeBounds<u64>, last: LogPosition) -> (LogIndex, LogIndex) {
    let from = match range.start_bound() {
        Bound::Included(&index) => index,
        Bound::Excluded(&index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let until = match range.end_bound() {
        Bound::Included(&index) => index.saturating_add(1),
        Bound::Excluded(&index) => index,
        Bound::Unbounded => last.index.get(),
    };
    (LogIndex(from.saturating_add(1)), LogIndex(until.saturating_add(1)))
}

impl RaftLogReader<Group> for GroupLog {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<LogEntry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let state = self.0.state();
        let (from, until) = bounds(&range, state.last);
        // What the log doesn't have at either end is not asked for.
        let mut from = from.max(state.begins_after.index.next());
        let until = until.min(state.last.index.next());
        let mut entries = Vec::new();
        while from < until {
            let some = self.some(from, until).await?;
            let Some(last) = some.last() else { return Err(missing(self.0.partition(), from)) };
            from = last.entry.index.next();
            entries.extend(some);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<LogEntry>, io::Error> {
        let (from, until) = (log_index(start), log_index(end));
        let some = self.some(from, until).await?;
        if some.is_empty() && from < until {
            return Err(missing(self.0.partition(), from));
        }
        Ok(some)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.vote()
    }
}

impl RaftLogStorage<Group> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Group>, io::Error> {
        let state = self.0.state();
        Ok(LogState {
            last_purged_log_id: log_id(state.begins_after),
            last_log_id: log_id(state.last),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (sender, receiver) = oneshot::channel();
        let done = Done::new(move |result| drop(sender.send(result)));
        let bytes: Arc<[u8]> = encoding::vote(vote).into();
        self.0.vote(&bytes, done).map_err(io_error)?;
        if self.1 == Some(PlantedBug::VotesBeforeDurable) {
            return Ok(());
        }
        receiver.await.map_err(io::Error::other)?.map_err(io_error)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.0.commit(position(&committed).index);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let state = self.0.state();
        let index = state.committed.min(state.last.index);
        if index == state.begins_after.index {
            return Ok(log_id(state.begins_after));
        }
        let term = match self.0.term_of(index).map_err(io_error)? {
            Some(term) => term,
            // It is in the store, and no longer in the log.
            None => return Ok(None),
        };
        Ok(log_id(LogPosition { term, index }))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Group>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let partition = self.0.partition();
        let entries: Vec<_> = entries.into_iter().map(|e| e.into_entry(partition)).collect();
        let done = Done::new(move |result| callback.io_completed(result.map_err(io_error)));
        self.0.append(&entries, done).map_err(io_error)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let after = last.map(|last| position(&last)).unwrap_or_default();
        self.0.truncate(after, Done::nothing()).map_err(io_error)
    }

    async fn purge(&mut self, through: LogId) -> Result<(), io::Error> {
        self.0.release(position(&through));
        Ok(())
    }
}
