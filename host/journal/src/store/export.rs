//! A store on its way to another node.

use std::sync::{Arc, Mutex};

use redb::{ReadTransaction, ReadableDatabase};
use stead_model::{LogPosition, PartitionId};

use super::{Open, Store, StoredMembers, Trouble, lock, position_of, read_members_in, rows};
use crate::{
    JournalError,
    format::{Bytes, Kind, seal, store::StateRow, unseal},
    store::reader::StoreReader,
};

/// A row of a store: the number of its table, its key, and what it says.
pub type StoreRow = (u8, Vec<u8>, Vec<u8>);

/// A store's rows as they were at one moment, in chunks. While it is there, the
/// store's file can't reuse the room of what has changed since.
pub struct StoreExport {
    // Let go before the file.
    read: ReadTransaction,
    _open: Arc<Open>,
    store: Arc<Store>,
    position: LogPosition,
    members: Option<StoredMembers>,
    cursor: Mutex<Cursor>,
}

/// How far it has come.
#[derive(Default)]
struct Cursor {
    /// How many chunks were made.
    chunks: u64,
    table: u8,
    after: Option<Vec<u8>>,
    /// The last chunk, in case it is asked for again.
    last: Option<Vec<u8>>,
}

impl std::fmt::Debug for StoreExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "partition {} at entry {}", self.store.partition, self.position)
    }
}

impl StoreReader {
    /// The store as it is now, to be sent to another node.
    ///
    /// # Errors
    /// If the store is damaged or has failed.
    pub fn export(&self) -> Result<StoreExport, JournalError> {
        let open = self.0.opened()?;
        let (read, state, members) = self.0.guarded(|| {
            let read = open.database().begin_read()?;
            let state = self.0.state_in(&read)?;
            let members = read_members_in(&read)?;
            Ok((read, state, members))
        })?;
        Ok(StoreExport {
            read,
            _open: open,
            store: Arc::clone(&self.0),
            position: position_of(&state),
            members,
            cursor: Mutex::default(),
        })
    }
}

impl StoreExport {
    /// The partition.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.store.partition
    }

    /// The last entry that is applied in it.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Who holds the partition, by it.
    #[must_use]
    pub fn members(&self) -> Option<&StoredMembers> {
        self.members.as_ref()
    }

    /// About how many bytes it has: those of the store's file, which may have more.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.store.file_bytes()
    }

    /// Its nth chunk, from 0, of about so many bytes; `None` after the last. To be
    /// asked for in order; the last one may be asked for again. May read from the
    /// disk.
    ///
    /// # Errors
    /// If the store is damaged or has failed, or if another chunk's turn is.
    pub fn chunk(&self, nth: u64, bytes_max: usize) -> Result<Option<Vec<u8>>, JournalError> {
        let mut cursor = lock(&self.cursor);
        if cursor.chunks == nth.saturating_add(1) {
            return Ok(cursor.last.clone());
        }
        if cursor.chunks != nth {
            return Err(JournalError::Inconsistent {
                partition: self.store.partition,
                index: self.position.index,
                what: format!("chunk {nth} is asked for after {} of them", cursor.chunks),
            });
        }
        let mut found = Vec::new();
        self.store.guarded(|| self.fill(&mut cursor, bytes_max, &mut found))?;
        let rows: Vec<_> = found
            .iter()
            .map(|(table, key, value)| rows::Row {
                table: *table,
                key: Bytes(key),
                value: Bytes(value),
            })
            .collect();
        let chunk = (!rows.is_empty()).then(|| seal(Kind::Rows, &nth.to_le_bytes(), &rows));
        cursor.chunks += 1;
        cursor.last.clone_from(&chunk);
        Ok(chunk)
    }

    /// All its rows, each with the number of its table: the same on all replicas at
    /// the same position. The row that names the node is there without the name.
    ///
    /// # Errors
    /// If the store is damaged or has failed.
    pub fn rows(&self) -> Result<Vec<StoreRow>, JournalError> {
        self.store.guarded(|| {
            let mut found = Vec::new();
            let mut cursor = Cursor::default();
            while cursor.table < rows::TABLES {
                self.fill(&mut cursor, usize::MAX, &mut found)?;
            }
            for (table, _, value) in &mut found {
                if *table == rows::STATE {
                    let flaw = |flaw| Trouble::Flaw { table: "state", key: "()".into(), flaw };
                    let state: StateRow = unseal(Kind::StoreState, &[], value).map_err(flaw)?;
                    let state = StateRow { node: 0.into(), ..state };
                    *value = seal(Kind::StoreState, &[], &state);
                }
            }
            Ok(found)
        })
    }

    fn fill(
        &self,
        cursor: &mut Cursor,
        bytes_max: usize,
        found: &mut Vec<rows::OwnedRow>,
    ) -> Result<(), Trouble> {
        while cursor.table < rows::TABLES {
            let after = cursor.after.take();
            let more = rows::read(&self.read, cursor.table, after.as_deref(), bytes_max, found)?;
            if more {
                cursor.after = found.last().map(|(_, key, _)| key.clone());
                return Ok(());
            }
            cursor.table += 1;
            if found.iter().map(|(_, key, value)| key.len() + value.len() + 8).sum::<usize>()
                >= bytes_max
            {
                return Ok(());
            }
        }
        Ok(())
    }
}
