//! Reading notices at one's own pace.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::notice::{Numbered, Snapshot};

use super::Shared;

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The next notice.
    Notice(Numbered),
    /// The reader was so slow that notices are lost to it. This is how things stand;
    /// what follows comes after it.
    Missed(Arc<Snapshot>),
}

/// The notices after a moment, in order. Nothing waits for the reader; whoever reads to the
/// end knows the present state, however slow it was.
#[derive(Debug)]
pub struct Notices {
    heard: Option<broadcast::Receiver<Numbered>>,
    shared: Arc<Shared>,
    /// The last notice that the reader knows of.
    seen: u64,
}

impl Notices {
    pub(super) fn new(
        heard: Option<broadcast::Receiver<Numbered>>,
        shared: Arc<Shared>,
        seen: u64,
    ) -> Self {
        Self { heard, shared, seen }
    }

    /// Waits for the next notice; none when gossip has stopped and all were read. May be
    /// dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Option<Heard> {
        let heard = self.heard.as_mut()?;
        loop {
            match heard.recv().await {
                Ok(numbered) if numbered.sequence <= self.seen => {}
                Ok(numbered) => {
                    self.seen = numbered.sequence;
                    return Some(Heard::Notice(numbered));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // What is still in the ring is older than the snapshot, which is
                    // published before its notices are sent: begin at the ring's end.
                    *heard = heard.resubscribe();
                    let snapshot = self.shared.snapshot();
                    self.seen = self.seen.max(snapshot.sequence);
                    return Some(Heard::Missed(snapshot));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
