//! One partition's store: what has been applied of its entries, in a redb file.
//!
//! Entries are applied in transactions that redb keeps in memory and in the
//! system's cache, without a sync; a *checkpoint* makes all of it durable. What a
//! store lacks after a crash is applied again from the log.
//!
//! | table | key | value |
//! |---|---|---|
//! | `state` | nothing | how far it has come |
//! | `members` | nothing | who holds the partition |
//! | `entities` | type, 0, id | ordinal and standing |
//! | `events` | ordinal, sequence number | an event |
//! | `snapshots` | ordinal, sequence number | a snapshot; the newest two |
//! | `caller-replies` | ordinal, key | a reply |
//! | `minted-replies` | id, ordinal | a reply; ids sort by age, so they go in at the end |
//! | `expiry` | time, ordinal, key | when a caller's key is forgotten |
//! | `purges` | number | events that are dropped and still there |
//!
//! Every value is sealed with its key, and every block of the file is checked
//! against its checksum when it is read; see [`file`]. redb panics on some pages
//! that make no sense; that is caught and is damage like any other.

mod apply;
mod export;
mod file;
mod import;
mod reader;
mod rows;
mod tables;

use std::{
    any::Any,
    collections::HashMap,
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
};

use redb::{Builder, Database, Durability, ReadableDatabase};
use stead_model::{Address, Entry, LogIndex, LogPosition, PartitionId, Term};

pub use apply::{FAR_OFF_KEPT_MS, MINTED_KEPT};
pub use export::{StoreExport, StoreRow};
pub(crate) use import::clear as clear_received;
pub use import::{Received, Receiving};
pub use reader::{EntityRecord, RecordedReply, SnapshotView, StoreReader, StoredEvent};

use self::{
    apply::{Applier, Standing},
    file::{Backend, StoreFile},
};
use crate::{
    JournalError,
    disk::{Disk, DiskFile},
    format::{
        Bytes, Flaw, Kind, seal,
        store::{MembersRow, StateRow},
        unseal,
    },
    options::Identity,
    space::Space,
};

/// The most entities whose standing is remembered between transactions.
const STANDINGS_MAX: usize = 16_384;

/// How a store is opened.
#[derive(Debug, Clone)]
pub(crate) struct StoreOptions {
    pub(crate) cache_bytes: usize,
    pub(crate) verify: bool,
    pub(crate) space: Arc<Space>,
}

/// Who holds a partition, and the entry that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMembers {
    /// The entry.
    pub position: LogPosition,
    /// The members, as consensus wrote them.
    pub members: Vec<u8>,
}

/// A partition's store.
pub(crate) struct Store {
    pub(crate) partition: PartitionId,
    disk: Arc<dyn Disk>,
    path: String,
    described: String,
    identity: Identity,
    options: StoreOptions,
    database: RwLock<Option<Arc<Open>>>,
    failure: Mutex<Option<JournalError>>,
    /// The first error of the file itself, however redb passed it on.
    trouble: Arc<OnceLock<JournalError>>,
    writer: Mutex<Writer>,
}

/// The file, and redb over it.
struct Open {
    /// Always there but while it is dropped.
    database: Option<Database>,
    file: Arc<StoreFile>,
}

impl Open {
    fn database(&self) -> &Database {
        self.database.as_ref().expect("it is only taken when dropped")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // What redb still writes on letting go must not wait for room.
        self.file.wait_for_room(false);
        // After damage it may not be able to let go in good order.
        let database = self.database.take();
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::warn!("a damaged store was let go without ceremony");
        }
    }
}

#[derive(Default)]
struct Writer {
    progress: LogPosition,
    /// How far it was at the last checkpoint.
    durable: LogPosition,
    state: Option<StateRow>,
    members: Option<StoredMembers>,
    standings: HashMap<Address, Standing>,
    bytes_since: u64,
}

/// What can end a transaction: redb's errors, or what was found in a row.
#[derive(Debug)]
pub(crate) enum Trouble {
    Redb(redb::Error),
    Flaw {
        table: &'static str,
        key: String,
        flaw: Flaw,
    },
    Damage {
        place: String,
        what: String,
    },
    Inconsistent {
        index: LogIndex,
        what: String,
    },
    /// Not now: the disk is full.
    NoRoom,
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

fn position_of(state: &StateRow) -> LogPosition {
    LogPosition { term: Term(state.term), index: LogIndex(state.index) }
}

fn read_members(open: &Open) -> Result<Option<StoredMembers>, Trouble> {
    read_members_in(&open.database().begin_read()?)
}

fn read_members_in(read: &redb::ReadTransaction) -> Result<Option<StoredMembers>, Trouble> {
    let table = match read.open_table(tables::MEMBERS) {
        Ok(table) => table,
        // It is made when there is something to put in.
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(row) = table.get(())? else { return Ok(None) };
    let flaw = |flaw| Trouble::Flaw { table: "members", key: "()".into(), flaw };
    let row: MembersRow<'_> = unseal(Kind::Members, &[], row.value()).map_err(flaw)?;
    Ok(Some(StoredMembers {
        position: LogPosition { term: Term(row.term), index: LogIndex(row.index) },
        members: row.members.0.to_vec(),
    }))
}

fn write_members(write: &redb::WriteTransaction, members: &StoredMembers) -> Result<(), Trouble> {
    let row = MembersRow {
        term: members.position.term.get(),
        index: members.position.index.get(),
        members: Bytes(&members.members),
    };
    let sealed = seal(Kind::Members, &[], &row);
    write.open_table(tables::MEMBERS)?.insert((), sealed.as_slice())?;
    Ok(())
}

impl Store {
    /// Opens a store, or makes it. It shows its last checkpoint then.
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
            trouble: Arc::default(),
            writer: Mutex::default(),
        };
        let (open, state) = store.guarded(|| store.open_file())?;
        let members = store.guarded(|| read_members(&open))?;
        let progress = position_of(&state);
        *lock(&store.writer) = Writer {
            progress,
            durable: progress,
            state: Some(state),
            members,
            ..Writer::default()
        };
        *store.database_mut() = Some(Arc::new(open));
        Ok(store)
    }

    fn open_file(&self) -> Result<(Open, StateRow), Trouble> {
        let opened = match self.disk.open(&self.path) {
            Ok(file) => self.open_existing(file)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.make()?,
            Err(error) => return Err(error.into()),
        };
        opened.0.file.wait_for_room(true);
        Ok(opened)
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.options.cache_bytes);
        builder
    }

    fn store_file(&self, file: Arc<dyn DiskFile>) -> Arc<StoreFile> {
        Arc::new(StoreFile::new(
            self.partition,
            Arc::clone(&self.disk),
            file,
            &self.path,
            Arc::clone(&self.options.space),
            Arc::clone(&self.trouble),
        ))
    }

    fn open_existing(&self, file: Arc<dyn DiskFile>) -> Result<(Open, StateRow), Trouble> {
        let file = self.store_file(file);
        let known = file.load_sums();
        let database = self.builder().create_with_backend(Backend(Arc::clone(&file)))?;
        let mut open = Open { database: Some(database), file };
        // Without the sums of its blocks, or if it is wanted, a store is read as
        // a whole, against the checksums that redb keeps.
        if !known || self.options.verify {
            let database = open.database.as_mut().expect("it is only taken when dropped");
            if !database.check_integrity()? {
                tracing::info!(file = %self.described, "a store was put right after a crash");
            }
            open.file.save_sums();
        }
        open.file.learned();
        let state = self.state_in(&open.database().begin_read()?)?;
        Ok((open, state))
    }

    fn state_in(&self, read: &redb::ReadTransaction) -> Result<StateRow, Trouble> {
        let table = read.open_table(tables::STATE)?;
        let row = table.get(())?.map(|row| row.value().to_vec());
        let row = row.ok_or_else(|| Trouble::Damage {
            place: "table state".into(),
            what: "it has no row".into(),
        })?;
        self.checked_state(&row)
    }

    /// Makes a store under another name, and gives it its own once it is whole,
    /// so that a crash leaves all of it or nothing.
    fn make(&self) -> Result<(Open, StateRow), Trouble> {
        let unfinished = format!("{}.new", self.path);
        let file = self.store_file(self.disk.create(&unfinished)?);
        let database = self.builder().create_with_backend(Backend(Arc::clone(&file)))?;
        let state = self.fill(&database)?;
        self.disk.rename(&unfinished, &self.path)?;
        self.disk.sync_dir(directory())?;
        file.save_sums();
        Ok((Open { database: Some(database), file }, state))
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

    fn fill(&self, database: &Database) -> Result<StateRow, Trouble> {
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
        Ok(state)
    }

    /// Puts the store that was received in the place of this one. It must be at
    /// this entry.
    pub(crate) fn replace(&self, at: LogPosition) -> Result<(), JournalError> {
        let mut writer = lock(&self.writer);
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let (open, state) = self.guarded(|| {
            // The old file is read until the new one is open, and by whoever is
            // reading it as long as they need it.
            let sums = format!("{}.sums", self.path);
            match self.disk.remove(&sums) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            self.disk.rename(&import::received_path(self.partition), &self.path)?;
            self.disk.sync_dir(directory())?;
            self.open_file()
        })?;
        let progress = position_of(&state);
        if progress != at {
            let what = format!("it is at entry {progress}, and should be at {at}");
            return self.guarded(|| Err(Trouble::Damage { place: "its state".into(), what }));
        }
        let members = self.guarded(|| read_members(&open))?;
        *writer = Writer {
            progress,
            durable: progress,
            state: Some(state),
            members,
            ..Writer::default()
        };
        *self.database_mut() = Some(Arc::new(open));
        Ok(())
    }

    /// Its file, for messages.
    pub(crate) fn described(&self) -> &str {
        &self.described
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> LogPosition {
        lock(&self.writer).progress
    }

    /// How far it would be after a crash.
    pub(crate) fn durable(&self) -> LogPosition {
        lock(&self.writer).durable
    }

    /// Who holds the partition, as far as is applied.
    pub(crate) fn members(&self) -> Option<StoredMembers> {
        lock(&self.writer).members.clone()
    }

    /// How many bytes its file has; 0 if that can't be told now.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.disk.open(&self.path).and_then(|file| file.len()).unwrap_or(0)
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
    pub(crate) fn apply(&self, entries: &[Arc<Entry>]) -> Result<(), JournalError> {
        let open = self.opened()?;
        let mut writer = lock(&self.writer);
        let writer = &mut *writer;
        let Some(state) = writer.state.clone() else { return Err(JournalError::Closed) };
        if writer.standings.len() > STANDINGS_MAX {
            writer.standings.clear();
        }
        let mut standings = std::mem::take(&mut writer.standings);
        let applied = self.guarded(|| {
            let mut write = open.database().begin_write()?;
            write.set_durability(Durability::None)?;
            let (state, bytes, members) = {
                let mut applier = Applier::open(&write, state, &mut standings)?;
                for entry in entries {
                    applier.apply(entry)?;
                }
                applier.finish()?
            };
            if let Some(members) = &members {
                write_members(&write, members)?;
            }
            write.commit()?;
            Ok((state, bytes, members))
        });
        let (state, bytes, members) = applied?;
        writer.standings = standings;
        writer.progress = position_of(&state);
        writer.members = members.or(writer.members.take());
        writer.state = Some(state);
        writer.bytes_since += bytes;
        Ok(())
    }

    /// Makes all that is applied durable.
    pub(crate) fn checkpoint(&self) -> Result<(), JournalError> {
        let open = self.opened()?;
        let mut writer = lock(&self.writer);
        if writer.durable == writer.progress {
            return Ok(());
        }
        self.guarded(|| {
            // It would wait for room, and hold up what is to be applied.
            if !open.file.make_room()? {
                return Err(Trouble::NoRoom);
            }
            let mut write = open.database().begin_write()?;
            write.set_durability(Durability::Immediate)?;
            write.set_quick_repair(true);
            write.commit()?;
            Ok(())
        })?;
        open.file.save_sums();
        writer.durable = writer.progress;
        writer.bytes_since = 0;
        Ok(())
    }

    /// Tries again to take room that was lacking.
    pub(crate) fn make_room(&self) -> Result<bool, JournalError> {
        let open = self.opened()?;
        self.guarded(|| Ok(open.file.make_room()?))
    }

    /// Lets the file go. Nothing is read or written any more.
    pub(crate) fn close(&self) {
        *self.database_mut() = None;
        let mut failure = lock(&self.failure);
        if failure.is_none() {
            *failure = Some(JournalError::Closed);
        }
    }

    fn database_mut(&self) -> std::sync::RwLockWriteGuard<'_, Option<Arc<Open>>> {
        self.database.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Result<Arc<Open>, JournalError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(JournalError::Closed)
    }

    /// Runs what may find damage, in whatever form. What it finds stays: nothing
    /// is read from the file or written to it any more.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, JournalError> {
        let found = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(Trouble::NoRoom)) => {
                let shortage = self.options.space.shortage();
                return Err(shortage.unwrap_or_else(|| {
                    JournalError::io("grow", &self.described, &ErrorKind::StorageFull.into())
                }));
            }
            Ok(Err(trouble)) => self.judge(trouble),
            Err(panic) => self.damaged("a page", format!("it makes no sense: {}", said(&*panic))),
        };
        let mut failure = lock(&self.failure);
        if failure.is_none() {
            tracing::error!(error = %found, "a store is not served any more");
        }
        // The first is the cause, the others may be what it led to.
        Err(failure.get_or_insert(found).clone())
    }

    fn damaged(&self, place: impl Into<String>, what: impl Into<String>) -> JournalError {
        JournalError::damaged(&self.described, place, what)
    }

    fn judge(&self, trouble: Trouble) -> JournalError {
        use redb::Error;
        // redb's own words for an error of the file say less than the error does.
        let of_file = self.trouble.get();
        match trouble {
            Trouble::Redb(Error::Io(_) | Error::PreviousIo) if of_file.is_some() => {
                of_file.cloned().unwrap_or(JournalError::Closed)
            }
            Trouble::Redb(Error::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                self.damaged("its header", error.to_string())
            }
            Trouble::Redb(Error::Io(error)) => JournalError::io("use", &self.described, &error),
            Trouble::Redb(
                error @ (Error::Corrupted(_)
                | Error::UpgradeRequired(_)
                | Error::LockPoisoned(_)
                | Error::TableDoesNotExist(_)
                | Error::TableTypeMismatch { .. }
                | Error::TypeDefinitionChanged { .. }
                | Error::TableIsMultimap(_)
                | Error::TableIsNotMultimap(_)),
            ) => self.damaged("a page", error.to_string()),
            Trouble::Redb(error) => JournalError::Failed {
                file: self.described.clone(),
                operation: "use",
                cause: error.to_string(),
            },
            Trouble::Flaw { table, key, flaw } => {
                self.damaged(format!("table {table}, key {key}"), flaw.to_string())
            }
            Trouble::Damage { place, what } => self.damaged(place, what),
            Trouble::Inconsistent { index, what } => {
                JournalError::Inconsistent { partition: self.partition, index, what }
            }
            Trouble::NoRoom => {
                JournalError::io("grow", &self.described, &ErrorKind::StorageFull.into())
            }
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no more is known")
}
