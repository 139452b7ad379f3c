//! redb's storage, with a file of the disk behind it.

use std::{io, sync::Arc};

use redb::StorageBackend;

use crate::disk::DiskFile;

#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // A file that grows takes its room now: redb asks for it before it
        // writes, so a full disk is found while nothing has been changed.
        if len > self.0.len()? { self.0.allocate(len) } else { self.0.set_len(len) }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
