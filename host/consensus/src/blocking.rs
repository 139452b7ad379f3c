//! Work that waits for the disk.
//!
//! It is left to other threads, so that the groups don't wait for it. Under
//! simulation there are none: it is done where it comes up.

use std::io;

/// Where such work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// On threads of their own.
    Elsewhere,
    /// Here, and everybody waits.
    Here,
}

impl Blocking {
    /// As it is for a journal that has threads, or hasn't.
    pub(crate) fn of(log: &stead_journal::PartitionLog) -> Self {
        if log.is_stepped() { Self::Here } else { Self::Elsewhere }
    }

    /// Does some.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Self::Elsewhere => tokio::task::spawn_blocking(work).await.map_err(io::Error::other),
            Self::Here => Ok(work()),
        }
    }
}
