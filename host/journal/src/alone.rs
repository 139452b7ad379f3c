//! A journal without consensus: its node is alone, and what is durable here is
//! committed.

use std::sync::{Arc, OnceLock};

use stead_model::{Entry, LogIndex, LogPosition, PartitionId};

use crate::{
    Disk, Done, Journal, JournalError, JournalEvents, JournalOptions, JournalStatus,
    RecoveryReport, StoreReader,
};

/// Who is told what becomes of entries. Called from the journal's threads and
/// from those that append; in order for each partition; must be quick.
pub trait AloneEvents: Send + Sync + 'static {
    /// Entries up to this one are durable.
    fn durable(&self, partition: PartitionId, through: LogIndex);

    /// The store shows entries up to this one.
    fn applied(&self, partition: PartitionId, through: LogIndex);

    /// This entry was not taken. If the error is [`JournalError::is_full`] or
    /// [`JournalError::Inconsistent`], the partition goes on with this index.
    /// With any other it isn't known whether it will be found later, and nothing
    /// more is taken for the partition.
    fn failed(&self, partition: PartitionId, from: LogIndex, error: &JournalError);
}

/// A journal whose node is alone. Cheap to clone.
#[derive(Clone)]
pub struct Alone {
    journal: Journal,
    events: Arc<dyn AloneEvents>,
}

struct Relay {
    events: Arc<dyn AloneEvents>,
    release: OnceLock<Box<dyn Fn(PartitionId, LogPosition) + Send + Sync>>,
}

impl JournalEvents for Relay {
    fn applied(&self, partition: PartitionId, through: LogIndex) {
        self.events.applied(partition, through);
    }

    fn checkpointed(&self, partition: PartitionId, through: LogPosition) {
        if let Some(release) = self.release.get() {
            release(partition, through);
        }
    }
}

impl Alone {
    /// Opens a journal, or makes one; see [`Journal::open`].
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        events: Arc<dyn AloneEvents>,
    ) -> Result<(Self, RecoveryReport), JournalError> {
        let relay = Arc::new(Relay { events: Arc::clone(&events), release: OnceLock::new() });
        let (journal, report) = Journal::open(disk, options, Arc::clone(&relay) as _)?;
        let weak = journal.downgrade();
        // It is set once, here.
        let _ = relay.release.set(Box::new(move |partition, through| {
            if let Some(journal) = weak.upgrade() {
                journal.log(partition).release(through);
            }
        }));
        Ok((Self { journal, events }, report))
    }

    /// Appends an entry. What becomes of it is told to the [`AloneEvents`]. Never
    /// waits.
    pub fn append(&self, entry: Entry) {
        let (partition, index) = (entry.partition, entry.index);
        if let Some(shortage) = self.journal.shortage() {
            self.events.failed(partition, index, &shortage);
            return;
        }
        let log = self.journal.log(partition);
        let (events, weak) = (Arc::clone(&self.events), self.journal.downgrade());
        let done = Done::new(move |result| match (result, weak.upgrade()) {
            (Ok(()), journal) => {
                events.durable(partition, index);
                if let Some(journal) = journal {
                    journal.log(partition).commit(index);
                }
            }
            (Err(error), _) => events.failed(partition, index, &error),
        });
        if let Err(error) = log.append(&[Arc::new(entry)], done) {
            self.events.failed(partition, index, &error);
        }
    }

    /// Whether nothing new is taken for want of room on the disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.journal.shortage().is_some()
    }

    /// A partition's last entry.
    #[must_use]
    pub fn last_index(&self, partition: PartitionId) -> LogIndex {
        self.journal.log(partition).state().last.index
    }

    /// Has what is durable applied soon, rather than gathered for a while.
    pub fn flush(&self, partition: PartitionId) {
        self.journal.flush(partition, self.last_index(partition));
    }

    /// Reads a partition's store.
    ///
    /// # Panics
    /// If there is no such partition.
    #[must_use]
    pub fn reader(&self, partition: PartitionId) -> StoreReader {
        self.journal.reader(partition)
    }

    /// The node's id, 32 hexadecimal digits.
    #[must_use]
    pub fn node_id(&self) -> String {
        self.journal.node().to_string()
    }

    /// How it fares.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        self.journal.status()
    }

    /// Closes it; see [`Journal::close`].
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub fn close(&self) -> Result<(), JournalError> {
        self.journal.close()
    }
}
