//! One partition's part of the log, as consensus sees it.

use std::{collections::BTreeMap, sync::Arc};

use stead_model::{Entry, LogIndex, LogPosition, PartitionId, Term};

use super::Journal;
use crate::{
    JournalError,
    log::Done,
    store::{Received, Receiving, StoreReader, StoredMembers},
};

/// One partition's log. Cheap to clone.
///
/// Its calls are made in an order by one owner. What was taken is written in
/// that order.
#[derive(Clone)]
pub struct PartitionLog {
    journal: Journal,
    partition: PartitionId,
}

/// How a partition's log stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogState {
    /// Entries up to this one can't be read any more.
    pub begins_after: LogPosition,
    /// The last entry.
    pub last: LogPosition,
    /// How far it is known to be committed.
    pub committed: LogIndex,
    /// What consensus voted last, in its own encoding.
    pub vote: Option<Arc<[u8]>>,
}

impl PartitionLog {
    pub(super) fn new(journal: Journal, partition: PartitionId) -> Self {
        Self { journal, partition }
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> LogState {
        let state = self.journal.0.log.look(self.partition, |tail| LogState {
            begins_after: tail.begins_after,
            last: tail.last,
            committed: tail.committed,
            vote: tail.vote.clone(),
        });
        state.unwrap_or_default()
    }

    /// Takes entries that follow each other and the last. They can be read from
    /// now on; `done` hears when they are durable, all of them at once. Never
    /// waits; the caller bounds how much it has under way. When the disk has no
    /// room, they wait for it.
    ///
    /// # Errors
    /// If they don't follow, if the log or the store has failed, or if the
    /// journal is closed. Nothing is taken then.
    pub fn append(&self, entries: &[Arc<Entry>], done: Done) -> Result<(), JournalError> {
        self.journal.0.log.append(self.partition, entries, done)
    }

    /// Gives up the entries after this one.
    ///
    /// # Errors
    /// If some of them are committed, if there is no such entry, or as
    /// [`Self::append`].
    pub fn truncate(&self, after: LogPosition, done: Done) -> Result<(), JournalError> {
        self.journal.0.log.truncate(self.partition, after, done)
    }

    /// Keeps what consensus votes, in its own encoding.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn vote(&self, vote: &Arc<[u8]>, done: Done) -> Result<(), JournalError> {
        self.journal.0.log.vote(self.partition, vote, done)
    }

    /// Reads entries from one on, up to another, excluding that: at least one, if
    /// the log has the first, and about as many as have so many bytes in memory.
    /// May read from the disk.
    ///
    /// # Errors
    /// If what is read isn't what was written, or can't be.
    pub fn read(
        &self,
        from: LogIndex,
        until: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Entry>>, JournalError> {
        self.journal.0.log.read(self.partition, from, until, bytes_max)
    }

    /// Reads as [`Self::read`], from memory alone; `None` if the first isn't there.
    #[must_use]
    pub fn recent(
        &self,
        from: LogIndex,
        until: LogIndex,
        bytes_max: usize,
    ) -> Option<Vec<Arc<Entry>>> {
        self.journal.0.log.recent(self.partition, from, until, bytes_max)
    }

    /// The term of an entry; `None` if the log doesn't have it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn term_of(&self, index: LogIndex) -> Result<Option<Term>, JournalError> {
        let log = &self.journal.0.log;
        if let Some(term) = log.look(self.partition, |tail| tail.term_of(index)).flatten() {
            return Ok(Some(term));
        }
        let entries = self.read(index, index.next(), 1)?;
        Ok(entries.first().map(|entry| entry.term))
    }

    /// All up to this entry is committed: it is applied, once it is durable here.
    pub fn commit(&self, through: LogIndex) {
        self.journal.0.log.commit(self.partition, through);
    }

    /// Nobody reads the entries up to this one any more. They go once the store
    /// has made them durable.
    pub fn release(&self, through: LogPosition) {
        self.journal.0.log.release(self.partition, through);
    }

    /// What has to go of every partition's log, for the node's log to have no more than
    /// about so many bytes.
    #[must_use]
    pub fn surplus(&self, bytes_max: u64) -> BTreeMap<PartitionId, LogIndex> {
        self.journal.surplus(bytes_max)
    }

    /// Puts a store that was received in the place of the partition's own, and has
    /// the log go on behind it. All of the log before is forgotten. Blocks.
    ///
    /// # Errors
    /// If the log has committed more than the store holds, or as
    /// [`Self::append`]. The partition is not served any more if it is not known
    /// what is in place.
    pub fn replace(&self, received: &Received) -> Result<(), JournalError> {
        let (partition, position) = (self.partition, received.position());
        assert_eq!(received.partition, partition, "a store takes the place of its own partition's");
        let (tell, told) = std::sync::mpsc::channel();
        let done = Done::new(move |result| {
            let _ = tell.send(result);
        });
        self.journal.0.log.begin(partition, position, done)?;
        if self.journal.is_stepped() {
            self.journal.0.log.write_all();
        }
        told.recv().unwrap_or(Err(JournalError::Closed))?;
        self.store(|store| store.replace(position)).unwrap_or(Err(JournalError::Closed))?;
        self.journal.0.events.applied(partition, position.index);
        Ok(())
    }

    /// Whether the journal is stepped; then nothing may be left to other threads.
    #[must_use]
    pub fn is_stepped(&self) -> bool {
        self.journal.is_stepped()
    }

    /// Reads the store.
    #[must_use]
    pub fn reader(&self) -> StoreReader {
        self.journal.reader(self.partition)
    }

    /// Begins to receive the partition's store; see [`Journal::receive`].
    ///
    /// # Errors
    /// As [`Journal::receive`].
    pub fn receive(&self) -> Result<Receiving, JournalError> {
        self.journal.receive(self.partition)
    }

    /// How far the store would be after a crash.
    #[must_use]
    pub fn checkpointed(&self) -> LogPosition {
        self.store(|store| store.durable()).unwrap_or_default()
    }

    /// How far the store has come.
    #[must_use]
    pub fn applied(&self) -> LogPosition {
        self.store(|store| store.progress()).unwrap_or_default()
    }

    /// Who holds the partition, as far as is applied.
    #[must_use]
    pub fn members(&self) -> Option<StoredMembers> {
        self.store(|store| store.members()).flatten()
    }

    /// Why nothing more is taken for it, if the log or its store failed.
    #[must_use]
    pub fn failure(&self) -> Option<JournalError> {
        self.journal.failure(self.partition)
    }

    fn store<T>(&self, look: impl FnOnce(&crate::store::Store) -> T) -> Option<T> {
        self.journal.0.stores.get(usize::from(self.partition.get())).map(|store| look(store))
    }
}
