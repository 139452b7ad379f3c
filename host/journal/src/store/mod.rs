//! One partition's store: what has been applied of its entries, in a redb file.
//!
//! Entries are applied in transactions that redb keeps in memory and in the
//! system's cache, without a sync; a *checkpoint* makes all of it durable. What a
//! store lacks after a crash is applied again from the log.
//!
//! | table | key | value |
//! |---|---|---|
//! | `state` | nothing | how far it has come |
//! | `entities` | type, 0, id | ordinal and standing |
//! | `events` | ordinal, sequence number | an event |
//! | `snapshots` | ordinal, sequence number | a snapshot; the newest two |
//! | `caller-replies` | ordinal, key | a reply |
//! | `minted-replies` | id, ordinal | a reply; ids sort by age, so they go in at the end |
//! | `expiry` | time, ordinal, key | when a caller's key is forgotten |
//! | `purges` | number | events that are dropped and still there |
//!
//! Every value is sealed with its key. redb panics on some damaged pages; that
//! is caught and is damage like any other.

mod apply;
mod backend;
mod reader;
mod tables;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use redb::{Builder, Database, Durability, ReadableDatabase};
use stead_model::{Address, Entry, LogIndex, PartitionId, Term};

pub use reader::{EntityRecord, RecordedReply, SnapshotView, StoreReader, StoredEvent};

use self::{
    apply::{Applier, Standing},
    backend::Backend,
};
use crate::{
    JournalError,
    disk::Disk,
    format::{Flaw, Kind, seal, store::StateRow, unseal},
    options::Identity,
};

/// The most entities whose standing is remembered between transactions.
const STANDINGS_MAX: usize = 16_384;

/// How a store is opened.
#[derive(Debug, Clone)]
pub(crate) struct StoreOptions {
    pub(crate) cache_bytes: usize,
    pub(crate) verify: bool,
}

/// How far a store has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) term: Term,
    pub(crate) index: LogIndex,
}

/// A partition's store.
pub(crate) struct Store {
    pub(crate) partition: PartitionId,
    disk: Arc<dyn Disk>,
    path: String,
    described: String,
    identity: Identity,
    options: StoreOptions,
    database: RwLock<Option<Arc<Held>>>,
    failure: Mutex<Option<JournalError>>,
    writer: Mutex<Writer>,
}

#[derive(Default)]
struct Writer {
    progress: Progress,
    /// How far it was at the last checkpoint.
    durable: LogIndex,
    state: Option<StateRow>,
    standings: HashMap<Address, Standing>,
    bytes_since: u64,
}

/// An open database. redb may panic as it is dropped, after it has panicked on a
/// damaged page; that must not reach whoever happens to drop it.
struct Held(Option<Database>);

impl std::ops::Deref for Held {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let database = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!("a damaged store could not be closed in good order");
        }
    }
}

/// What can end a transaction: redb's errors, or what was found in a row.
#[derive(Debug)]
pub(crate) enum Trouble {
    Redb(redb::Error),
    Flaw { table: &'static str, key: String, flaw: Flaw },
    Damage { place: String, what: String },
    Inconsistent { index: LogIndex, what: String },
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the stores are.
pub(crate) fn directory() -> &'static str {
    "partitions"
}

fn path_of(partition: PartitionId) -> String {
    format!("partitions/{:04}.redb", partition.get())
}

impl Store {
    /// Opens a store, or makes it.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        partition: PartitionId,
        identity: Identity,
        options: StoreOptions,
    ) -> Result<Self, JournalError> {
        let path = path_of(partition);
        let described = disk.describe(&path);
        let store = Self {
            partition,
            disk,
            path,
            described,
            identity,
            options,
            database: RwLock::new(None),
            failure: Mutex::new(None),
            writer: Mutex::default(),
        };
        store.reopen()?;
        Ok(store)
    }

    /// Opens the file anew: it shows the last checkpoint then.
    pub(crate) fn reopen(&self) -> Result<(), JournalError> {
        *self.database_mut() = None;
        let opened = self.guarded(|| self.open_database());
        let (database, state) = opened?;
        let mut writer = lock(&self.writer);
        let progress = Progress { term: Term(state.term), index: LogIndex(state.index) };
        *writer =
            Writer { progress, durable: progress.index, state: Some(state), ..Writer::default() };
        drop(writer);
        *self.database_mut() = Some(Arc::new(Held(Some(database))));
        *lock(&self.failure) = None;
        Ok(())
    }

    fn open_database(&self) -> Result<(Database, StateRow), Trouble> {
        let io = |error: std::io::Error| Trouble::Redb(redb::Error::Io(error));
        let (file, fresh) = match self.disk.open(&self.path) {
            Ok(file) => (file, false),
            // It is made under another name, so that a crash leaves a whole one or none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                (self.disk.create(&self.unfinished()).map_err(io)?, true)
            }
            Err(error) => return Err(io(error)),
        };
        let mut builder = Builder::new();
        builder.set_cache_size(self.options.cache_bytes);
        let mut database = builder.create_with_backend(Backend(file))?;
        if self.options.verify && !fresh && !database.check_integrity()? {
            tracing::info!(file = %self.described, "a store was repaired");
        }
        let found = {
            let read = database.begin_read()?;
            match read.open_table(tables::STATE) {
                Ok(table) => {
                    let row = table.get(())?;
                    row.map(|row| row.value().to_vec())
                }
                Err(redb::TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            }
        };
        let state = match found {
            Some(row) => self.checked_state(&row)?,
            None if fresh => self.create(&database)?,
            None => {
                return Err(Trouble::Damage {
                    place: "table state".into(),
                    what: "it has no row".into(),
                });
            }
        };
        Ok((database, state))
    }

    fn unfinished(&self) -> String {
        format!("{}.new", self.path)
    }

    fn checked_state(&self, row: &[u8]) -> Result<StateRow, Trouble> {
        let flaw = |flaw| Trouble::Flaw { table: "state", key: "()".into(), flaw };
        let state: StateRow = unseal(Kind::StoreState, &[], row).map_err(flaw)?;
        let own = u128::from(state.node) == self.identity.node
            && state.partition == self.partition.get()
            && state.partitions == self.identity.partitions.get();
        if !own {
            return Err(Trouble::Damage {
                place: "table state".into(),
                what: "it is another node's or another partition's store".into(),
            });
        }
        Ok(state)
    }

    fn create(&self, database: &Database) -> Result<StateRow, Trouble> {
        let state = StateRow {
            node: self.identity.node.into(),
            partition: self.partition.get(),
            partitions: self.identity.partitions.get(),
            term: 0,
            index: 0,
            next_ordinal: 1,
            next_purge: 1,
        };
        let mut write = database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_quick_repair(true);
        {
            tables::create_all(&write)?;
            let row = seal(Kind::StoreState, &[], &state);
            write.open_table(tables::STATE)?.insert((), row.as_slice())?;
        }
        write.commit()?;
        self.disk
            .rename(&self.unfinished(), &self.path)
            .and_then(|()| self.disk.sync_dir(directory()))
            .map_err(|error| Trouble::Redb(redb::Error::Io(error)))?;
        Ok(state)
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        lock(&self.writer).progress
    }

    /// How far it would be after a crash.
    pub(crate) fn durable(&self) -> LogIndex {
        lock(&self.writer).durable
    }

    /// How many bytes were applied since the last checkpoint.
    pub(crate) fn bytes_since_checkpoint(&self) -> u64 {
        lock(&self.writer).bytes_since
    }

    /// Why it isn't served, if it isn't.
    pub(crate) fn failure(&self) -> Option<JournalError> {
        lock(&self.failure).clone()
    }

    /// Applies entries, in order, in one transaction. Those that it has already
    /// are passed over.
    pub(crate) fn apply(&self, entries: &[Entry]) -> Result<(), JournalError> {
        let database = self.database()?;
        let mut writer = lock(&self.writer);
        let writer = &mut *writer;
        let Some(state) = writer.state.clone() else { return Err(JournalError::Closed) };
        if writer.standings.len() > STANDINGS_MAX {
            writer.standings.clear();
        }
        let mut standings = std::mem::take(&mut writer.standings);
        let applied = self.guarded(|| {
            let mut write = database.begin_write()?;
            write.set_durability(Durability::None)?;
            let (state, bytes) = {
                let mut applier = Applier::open(&write, state, &mut standings)?;
                for entry in entries {
                    applier.apply(entry)?;
                }
                applier.finish()?
            };
            write.commit()?;
            Ok((state, bytes))
        });
        let (state, bytes) = applied?;
        writer.standings = standings;
        writer.progress = Progress { term: Term(state.term), index: LogIndex(state.index) };
        writer.state = Some(state);
        writer.bytes_since += bytes;
        Ok(())
    }

    /// Makes all that is applied durable.
    pub(crate) fn checkpoint(&self) -> Result<(), JournalError> {
        let database = self.database()?;
        let mut writer = lock(&self.writer);
        if writer.durable == writer.progress.index {
            return Ok(());
        }
        self.guarded(|| {
            let mut write = database.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            write.set_quick_repair(true);
            write.commit()?;
            Ok(())
        })?;
        writer.durable = writer.progress.index;
        writer.bytes_since = 0;
        Ok(())
    }

    /// Lets the file go. Nothing is read or written any more.
    pub(crate) fn close(&self) {
        *self.database_mut() = None;
        let mut failure = lock(&self.failure);
        if failure.is_none() {
            *failure = Some(JournalError::Closed);
        }
    }

    fn database_mut(&self) -> std::sync::RwLockWriteGuard<'_, Option<Arc<Held>>> {
        self.database.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn database(&self) -> Result<Arc<Held>, JournalError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(JournalError::Closed)
    }

    /// Runs what may find damage, in whatever form; an error of the file's latches.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, JournalError> {
        let result = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(trouble)) => self.judge(trouble),
            Err(panic) => {
                let said = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied());
                let what =
                    format!("a page of it makes no sense: {}", said.unwrap_or("no more is known"));
                JournalError::damaged(&self.described, "a page", what)
            }
        };
        tracing::error!(error = %result, "a store is not served any more");
        *lock(&self.failure) = Some(result.clone());
        Err(result)
    }

    fn judge(&self, trouble: Trouble) -> JournalError {
        match trouble {
            Trouble::Redb(redb::Error::Io(error)) => {
                JournalError::io("use", &self.described, &error)
            }
            Trouble::Redb(redb::Error::Corrupted(what)) => {
                JournalError::damaged(&self.described, "a page", what)
            }
            Trouble::Redb(error) => JournalError::Failed {
                file: self.described.clone(),
                operation: "use",
                cause: error.to_string(),
            },
            Trouble::Flaw { table, key, flaw } => JournalError::damaged(
                &self.described,
                format!("table {table}, key {key}"),
                flaw.to_string(),
            ),
            Trouble::Damage { place, what } => JournalError::damaged(&self.described, place, what),
            Trouble::Inconsistent { index, what } => {
                JournalError::Inconsistent { partition: self.partition, index, what }
            }
        }
    }
}
