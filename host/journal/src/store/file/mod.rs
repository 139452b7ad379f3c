//! The file of a store, as redb sees it: one that never lacks room, and whose
//! blocks are what was written.

mod spill;
mod sums;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redb::StorageBackend;
use stead_model::PartitionId;

use self::spill::Spill;
use self::sums::{RottenBlock, Sums};
use crate::{
    JournalError,
    disk::{Disk, DiskFile},
    error::is_full,
    space::Space,
};

/// The unit of the checks and of what is held in memory; redb's page size.
const BLOCK: usize = 4096;
/// Where redb's header keeps its two commit slots: they change with every
/// durable commit and with nothing else.
const SLOTS: (u64, usize) = (64, 256);
/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// The file of a store.
#[derive(Debug)]
pub(super) struct StoreFile {
    partition: PartitionId,
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    /// For messages.
    described: String,
    sums_path: String,
    sums: Sums,
    /// What found no room on the disk.
    spill: Mutex<Spill>,
    /// Whether there is any of it, or room was promised that isn't taken yet.
    short: AtomicBool,
    /// redb's header was written since the last sync: a sync is a commit's, and
    /// must leave nothing behind. Others only make the file's length durable.
    header_written: AtomicBool,
    /// Whether a commit waits for room; not while the store is being opened or
    /// let go.
    patient: AtomicBool,
    space: Arc<Space>,
    /// The first error that is not for want of room.
    trouble: Arc<OnceLock<JournalError>>,
}

/// What redb is given: the file.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<StoreFile>);

impl StoreFile {
    pub(super) fn new(
        partition: PartitionId,
        disk: Arc<dyn Disk>,
        file: Arc<dyn DiskFile>,
        path: &str,
        space: Arc<Space>,
        trouble: Arc<OnceLock<JournalError>>,
    ) -> Self {
        Self {
            partition,
            described: disk.describe(path),
            disk,
            file,
            sums_path: format!("{path}.sums"),
            sums: Sums::default(),
            spill: Mutex::default(),
            short: AtomicBool::new(false),
            header_written: AtomicBool::new(false),
            patient: AtomicBool::new(false),
            space,
            trouble,
        }
    }

    /// Passes a result on, and remembers what went wrong.
    fn noted<T>(&self, operation: &'static str, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let rotten = error.get_ref().and_then(|inner| inner.downcast_ref::<RottenBlock>());
            self.trouble.get_or_init(|| match rotten {
                Some(rotten) => JournalError::damaged(
                    &self.described,
                    format!("byte {}", rotten.offset),
                    "the block there is not what was written",
                ),
                None if error.kind() == io::ErrorKind::UnexpectedEof => {
                    JournalError::damaged(&self.described, "its end", "it is cut short")
                }
                None => JournalError::io(operation, &self.described, error),
            });
        }
        result
    }

    fn spill(&self) -> MutexGuard<'_, Spill> {
        self.spill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the sums of the blocks. Whether they are those of the file as it
    /// is: if not, they are learned as the blocks are read, and somebody else
    /// must see to it that all of them are right.
    pub(super) fn load_sums(&self) -> bool {
        let loaded = self
            .slots()
            .ok()
            .zip(read_whole(&*self.disk, &self.sums_path))
            .is_some_and(|(slots, bytes)| self.sums.decode(&bytes, &slots));
        self.sums.learn(!loaded);
        loaded
    }

    /// From now on blocks that nobody wrote and no sum is known of are as they are.
    pub(super) fn learned(&self) {
        self.sums.learn(false);
    }

    /// Keeps the sums beside the file. They aren't synced, and may be lost: then
    /// they don't fit the file, and it is checked as a whole when it is opened.
    pub(super) fn save_sums(&self) {
        let saved = self.slots().and_then(|slots| {
            let file = self.disk.create(&self.sums_path)?;
            file.write(0, &self.sums.encode(&slots))
        });
        if let Err(error) = saved {
            tracing::debug!(file = %self.sums_path, %error, "the sums of a store are not kept");
        }
    }

    fn slots(&self) -> io::Result<Vec<u8>> {
        let mut slots = vec![0; SLOTS.1];
        self.read(SLOTS.0, &mut slots)?;
        Ok(slots)
    }

    /// Whether commits wait for room.
    pub(super) fn wait_for_room(&self, patient: bool) {
        self.patient.store(patient, Ordering::Release);
    }

    /// Tries again to take the room that was lacking. Whether all is there now.
    pub(super) fn make_room(&self) -> io::Result<bool> {
        if !self.short.load(Ordering::Acquire) {
            return Ok(true);
        }
        let mut spill = self.spill();
        let tried = self.file.len().and_then(|length| self.file.allocate(length));
        match tried.and_then(|()| spill.write_to(&*self.file)) {
            Ok(()) => {
                self.short.store(false, Ordering::Release);
                drop(spill);
                self.space.enough(self.partition);
                Ok(true)
            }
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lacking(&self, operation: &'static str, error: &io::Error) {
        self.short.store(true, Ordering::Release);
        self.space.lacking(self.partition, JournalError::io(operation, &self.described, error));
    }
}

/// The whole of a small file.
fn read_whole(disk: &dyn Disk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(path).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?];
    file.read(0, &mut bytes).ok()?;
    Some(bytes)
}

impl StoreFile {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)?;
        if self.short.load(Ordering::Acquire) {
            self.spill().read(offset, out);
        }
        self.sums.check(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len <= self.file.len()? {
            self.sums.cut(len);
            self.spill().cut(len);
            return self.file.set_len(len);
        }
        // Room is taken when the file grows, so that writing finds it there.
        match self.file.allocate(len) {
            Err(error) if is_full(&error) => {
                // Holes take none.
                self.file.set_len(len)?;
                self.lacking("take room for", &error);
                Ok(())
            }
            other => other,
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let commit = self.header_written.load(Ordering::Acquire);
        while !self.make_room()? && commit && !self.spill().is_empty() {
            if !self.patient.load(Ordering::Acquire) || self.space.is_closing() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            std::thread::sleep(RETRY);
        }
        self.file.sync()?;
        if commit {
            self.header_written.store(false, Ordering::Release);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset < BLOCK as u64 {
            self.header_written.store(true, Ordering::Release);
        }
        self.sums.note(offset, data);
        let spilling = self.short.load(Ordering::Acquire);
        let mut spill = spilling.then(|| self.spill());
        match self.file.write(offset, data) {
            Ok(()) => {
                if let Some(spill) = &mut spill {
                    spill.forget(offset, data);
                }
                Ok(())
            }
            Err(error) if is_full(&error) => {
                let mut spill = spill.unwrap_or_else(|| self.spill());
                spill.hold(&*self.file, offset, data)?;
                drop(spill);
                self.lacking("write", &error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.noted("measure", self.0.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.noted("read", self.0.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.noted("grow", self.0.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.noted("sync", self.0.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.noted("write", self.0.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        // redb may have committed once more, on letting go.
        self.0.save_sums();
        self.0.space.enough(self.0.partition);
        Ok(())
    }
}
