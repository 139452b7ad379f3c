//! What can go wrong, and what it means for what was asked.

use std::io;

use stead_model::{LogIndex, PartitionId};

/// Why the journal could not do something. Cheap enough to clone that one
/// failure can be told to everyone whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The disk has no room. Nothing of what was to be appended is recorded, now
    /// or later; service goes on when there is room again.
    #[error(
        "the disk has no room left: {operation} {file}: {cause}; free some space, service resumes by itself"
    )]
    Full {
        /// The file.
        file: String,
        /// What was being done to it.
        operation: &'static str,
        /// What the system said.
        cause: String,
    },
    /// Input or output failed. The file is not used again until the journal is
    /// reopened. An append that failed so has an *unknown* outcome: it may be
    /// found recorded when the journal is next opened.
    #[error(
        "{operation} {file} failed: {cause}; the file is not used any more: see to the disk (the \
         system's log may say more), then restart the node"
    )]
    Failed {
        /// The file.
        file: String,
        /// What was being done to it.
        operation: &'static str,
        /// What the system said.
        cause: String,
    },
    /// Stored data is not what was written.
    #[error(
        "{file} is damaged at {place}: {what}; in a cluster, start the node with an empty data \
         directory, and the other replicas give it everything anew; a node that is alone takes a \
         backup of the whole directory"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it: an offset, or a table and a key.
        place: String,
        /// What was found.
        what: String,
    },
    /// An entry contradicts what came before it. Either what is stored isn't this node's
    /// newest, or it is a defect in this program.
    #[error(
        "partition {partition}, entry {index}: {what}; if the data directory is an older copy, \
         start the node with an empty one; if it is not, this is a defect, please report it"
    )]
    Inconsistent {
        /// The partition.
        partition: PartitionId,
        /// The entry.
        index: LogIndex,
        /// How it contradicts.
        what: String,
    },
    /// The data directory is another's: of another node, another partition
    /// count, or a version of the format that this program does not know.
    #[error("{file}: {what}")]
    Foreign {
        /// The file that says so.
        file: String,
        /// What it says and what was expected.
        what: String,
    },
    /// The journal has been closed.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// An I/O error, told apart by whether the disk is merely full.
    pub(crate) fn io(operation: &'static str, file: &str, error: &io::Error) -> Self {
        let (file, cause) = (file.to_owned(), error.to_string());
        if is_full(error) {
            Self::Full { file, operation, cause }
        } else {
            Self::Failed { file, operation, cause }
        }
    }

    /// An I/O error after which the file is not to be trusted, full disk or not.
    pub(crate) fn fatal(operation: &'static str, file: &str, error: &io::Error) -> Self {
        Self::Failed { file: file.to_owned(), operation, cause: error.to_string() }
    }

    pub(crate) fn damaged(file: &str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), place: place.into(), what: what.into() }
    }

    /// Whether it is a matter of room on the disk only.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// Whether the system says that there is no room: on the device, in the quota,
/// or under the process's file size limit.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
