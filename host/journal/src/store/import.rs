//! A store that comes from another node. It is put together beside the
//! partition's own, and takes its place when it is whole and durable.

use std::sync::{Arc, OnceLock};

use redb::{Database, Durability};
use stead_model::{LogPosition, PartitionId};

use super::{
    Trouble, directory,
    file::{Backend, StoreFile},
    position_of, rows, tables,
};
use crate::{
    JournalError,
    disk::Disk,
    format::{Kind, seal, store::StateRow, unseal},
    options::Identity,
    space::Space,
};

/// The cache while it is put together, in bytes.
const CACHE_BYTES: usize = 8 << 20;

/// Where a store is put together.
pub(super) fn incoming_path(partition: PartitionId) -> String {
    format!("{}/{:04}.redb.incoming", directory(), partition.get())
}

/// Where a store is that is whole.
pub(super) fn received_path(partition: PartitionId) -> String {
    format!("{}/{:04}.redb.received", directory(), partition.get())
}

/// Removes what was being received when the node ended.
pub(crate) fn clear(disk: &dyn Disk) -> std::io::Result<()> {
    for name in disk.list(directory())? {
        if [".incoming", ".received", ".incoming.sums"].iter().any(|end| name.ends_with(end)) {
            disk.remove(&format!("{}/{name}", directory()))?;
        }
    }
    disk.sync_dir(directory())
}

/// A store that is being received. Dropping it gives it up.
pub struct Receiving {
    partition: PartitionId,
    disk: Arc<dyn Disk>,
    identity: Identity,
    described: String,
    database: Option<Database>,
    state: Option<StateRow>,
    chunks: u64,
    whole: bool,
}

/// A store that was received, and is durable.
#[derive(Debug)]
pub struct Received {
    pub(crate) partition: PartitionId,
    position: LogPosition,
}

impl Received {
    /// The last entry that is applied in it.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }
}

impl Receiving {
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        partition: PartitionId,
        identity: Identity,
        space: Arc<Space>,
    ) -> Result<Self, JournalError> {
        let path = incoming_path(partition);
        let described = disk.describe(&path);
        let made = (|| {
            let file = disk.create(&path)?;
            let disk = Arc::clone(&disk);
            let trouble = Arc::new(OnceLock::new());
            let file = Arc::new(StoreFile::new(partition, disk, file, &path, space, trouble));
            let mut builder = redb::Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            let database = builder.create_with_backend(Backend(file))?;
            let write = database.begin_write()?;
            tables::create_all(&write)?;
            write.commit()?;
            Ok::<_, Trouble>(database)
        })();
        let mut receiving = Self {
            partition,
            disk,
            identity,
            described,
            database: None,
            state: None,
            chunks: 0,
            whole: false,
        };
        receiving.database = Some(made.map_err(|trouble| receiving.failed(trouble))?);
        Ok(receiving)
    }

    /// How many chunks it has taken.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Takes the next chunk. Writes to the disk.
    ///
    /// # Errors
    /// If it isn't the next, isn't what was sent, or can't be written.
    pub fn take(&mut self, chunk: &[u8]) -> Result<(), JournalError> {
        let chunks = self.chunks;
        let taken = (|| {
            let flaw = |flaw| Trouble::Flaw { table: "rows", key: chunks.to_string(), flaw };
            let rows: Vec<rows::Row<'_>> =
                unseal(Kind::Rows, &chunks.to_le_bytes(), chunk).map_err(flaw)?;
            let Some(database) = &self.database else { return Ok(None) };
            let mut write = database.begin_write()?;
            write.set_durability(Durability::None)?;
            let mut state = None;
            for row in &rows {
                if row.table == rows::STATE {
                    state = Some(self.own_state(row.value.0)?);
                } else {
                    rows::write(&write, row)?;
                }
            }
            write.commit()?;
            Ok(state)
        })();
        let state = taken.map_err(|trouble| self.failed(trouble))?;
        self.state = state.or(self.state.take());
        self.chunks += 1;
        Ok(())
    }

    /// The state of another node's store, as one of this node's.
    fn own_state(&self, row: &[u8]) -> Result<StateRow, Trouble> {
        let flaw = |flaw| Trouble::Flaw { table: "state", key: "()".into(), flaw };
        let state: StateRow = unseal(Kind::StoreState, &[], row).map_err(flaw)?;
        if state.partition != self.partition.get()
            || state.partitions != self.identity.partitions.get()
        {
            let what = format!(
                "it is of partition {} of {}, and was to be of {} of {}",
                state.partition,
                state.partitions,
                self.partition,
                self.identity.partitions.get()
            );
            return Err(Trouble::Damage { place: "what was received".into(), what });
        }
        Ok(StateRow { node: self.identity.node.into(), ..state })
    }

    /// It is whole: makes it durable.
    ///
    /// # Errors
    /// If it lacks its state, or can't be written.
    pub fn finish(mut self) -> Result<Received, JournalError> {
        let position = self.complete().map_err(|trouble| self.failed(trouble))?;
        self.whole = true;
        Ok(Received { partition: self.partition, position })
    }

    fn complete(&mut self) -> Result<LogPosition, Trouble> {
        let missing = || Trouble::Damage {
            place: "what was received".into(),
            what: "it has no state".into(),
        };
        let state = self.state.take().ok_or_else(missing)?;
        let database = self.database.take().ok_or_else(missing)?;
        let mut write = database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_quick_repair(true);
        let row = seal(Kind::StoreState, &[], &state);
        write.open_table(tables::STATE)?.insert((), row.as_slice())?;
        write.commit()?;
        drop(database);
        let (from, to) = (incoming_path(self.partition), received_path(self.partition));
        self.disk.rename(&from, &to)?;
        self.disk.sync_dir(directory())?;
        Ok(position_of(&state))
    }

    fn failed(&self, trouble: Trouble) -> JournalError {
        let file = &self.described;
        match trouble {
            Trouble::Redb(redb::Error::Io(error)) => JournalError::io("write", file, &error),
            Trouble::Redb(error) => {
                JournalError::io("write", file, &std::io::Error::other(error.to_string()))
            }
            Trouble::Flaw { table, key, flaw } => {
                JournalError::damaged(file, format!("{table} {key}"), flaw.to_string())
            }
            Trouble::Damage { place, what } => JournalError::damaged(file, place, what),
            Trouble::Inconsistent { index, what } => {
                JournalError::Inconsistent { partition: self.partition, index, what }
            }
            Trouble::NoRoom => {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                JournalError::io("write", file, &full)
            }
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.whole {
            self.database = None;
            // What is left is removed when the journal is next opened.
            let _ = self.disk.remove(&incoming_path(self.partition));
        }
    }
}
