//! Which stores wait for room on the disk.
//!
//! redb can't go on after a write that failed, so a store never lets it see a
//! full disk: what finds no room is held in memory and read from there. That is
//! bounded because the log takes nothing new while any store is short of room;
//! what it has taken already is what there is to hold.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use stead_model::PartitionId;

use crate::JournalError;

/// Shared by the stores and the log.
#[derive(Debug, Default)]
pub(crate) struct Space {
    short: Mutex<BTreeMap<PartitionId, JournalError>>,
    any: AtomicBool,
    closing: AtomicBool,
}

impl Space {
    fn short(&self) -> MutexGuard<'_, BTreeMap<PartitionId, JournalError>> {
        self.short.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A store has found no room.
    pub(crate) fn lacking(&self, partition: PartitionId, error: JournalError) {
        let mut short = self.short();
        if short.insert(partition, error.clone()).is_none() {
            tracing::warn!(%partition, %error, "a store is short of room, nothing new is taken");
        }
        self.any.store(true, Ordering::Release);
    }

    /// A store has all the room that it wants.
    pub(crate) fn enough(&self, partition: PartitionId) {
        let mut short = self.short();
        if short.remove(&partition).is_some() && short.is_empty() {
            tracing::info!("there is room again, writes are taken");
        }
        self.any.store(!short.is_empty(), Ordering::Release);
    }

    /// Why nothing new can be taken, if so.
    pub(crate) fn shortage(&self) -> Option<JournalError> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.short().values().next().cloned()
    }

    /// Nobody waits for room any more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}
