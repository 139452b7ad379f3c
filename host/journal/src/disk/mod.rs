//! Where the journal's files are: a directory of the system's, or a simulated
//! disk that fails on demand.
//!
//! What is assumed of a disk, and simulated accordingly:
//!
//! - What [`DiskFile::sync`] has returned for is there after a power loss. What
//!   was written since may be there or not, sector (512 bytes) by sector.
//! - A sector is written whole or not at all.
//! - Names made, changed or removed are so after a power loss only once
//!   [`Disk::sync_dir`] has returned; before that, any of them may be undone.
//! - Once a sync has failed, nothing is known of what was written before it.

mod real;
pub mod sim;

use std::{fmt, io, sync::Arc};

pub use real::RealDisk;

/// A tree of files, named by paths of the form `name` or `directory/name`.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a directory, if there is none.
    ///
    /// # Errors
    /// The system's.
    fn make_dir(&self, dir: &str) -> io::Result<()>;

    /// The names of the files in a directory; the empty path is the root.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Opens a file that is there, for reading and writing.
    ///
    /// # Errors
    /// The system's; `NotFound` if there is no such file.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file, in place of one that may be there.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file. It is gone for good after the next [`Self::sync_dir`].
    ///
    /// # Errors
    /// The system's; `NotFound` if there is no such file.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Renames a file within its directory, in place of one that may be there.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Takes a lock that lasts until it is dropped or the process ends; `None`
    /// if another has it.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn DiskLock>>>;

    /// The path as people know it, for messages.
    fn describe(&self, path: &str) -> String;
}

/// A lock that is held.
pub trait DiskLock: fmt::Debug + Send + Sync {}

/// An open file. It stays usable when it is renamed or removed.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// The system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills a buffer from an offset.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` if the file ends before.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes bytes at an offset; the file grows as needed.
    ///
    /// # Errors
    /// The system's; some of the bytes may be written then.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or lengthens it with zeros that take no room yet.
    ///
    /// # Errors
    /// The system's.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Takes the room for this many bytes, and lengthens the file to it if it is
    /// shorter, so that writes within it can't find the disk full.
    ///
    /// # Errors
    /// The system's; `StorageFull` if there isn't the room.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// The system's. Nothing is known then of what was written before.
    fn sync(&self) -> io::Result<()>;
}
