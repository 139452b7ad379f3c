//! Room that is kept back, so that a full disk stops what is new and not what
//! has been promised.
//!
//! What is in the log must still get into the stores when the disk is full, and
//! reading must go on. So a file of some size lies beside them; it is given up
//! when a store finds no room, and the log takes nothing new until there is room
//! to put it back.

use std::sync::Arc;

use crate::{JournalError, disk::Disk};

const PATH: &str = "ballast";

pub(super) struct Ballast {
    disk: Arc<dyn Disk>,
    bytes: u64,
}

impl Ballast {
    pub(super) fn new(disk: Arc<dyn Disk>, bytes: u64) -> Self {
        Self { disk, bytes }
    }

    /// Puts it there, if there is room.
    pub(super) fn take(&self) -> Result<(), JournalError> {
        if self.bytes == 0 {
            return Ok(());
        }
        let taken = match self.disk.open(PATH) {
            Ok(file) if file.len().is_ok_and(|length| length == self.bytes) => return Ok(()),
            Ok(file) => file.set_len(0).and_then(|()| file.allocate(self.bytes)),
            Err(_) => self.disk.create(PATH).and_then(|file| file.allocate(self.bytes)),
        };
        taken.map_err(|error| {
            self.give_up();
            JournalError::io("keep room back in", &self.disk.describe(PATH), &error)
        })
    }

    /// Lets its room be used.
    pub(super) fn give_up(&self) {
        let given = self.disk.open(PATH).and_then(|file| file.set_len(0));
        if given.is_ok() {
            // A name without bytes takes next to no room if it can't be removed.
            let _ = self.disk.remove(PATH);
        }
    }
}
