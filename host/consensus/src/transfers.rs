//! The stores that this node sends, all groups' together: how many at once, how
//! fast, and how far each has come.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stead_model::{NodeId, PartitionId};
use tokio::{sync::Notify, time::Instant};

/// How stores are sent to other nodes, for all groups together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferLimits {
    /// The most bytes a second.
    pub bytes_per_second: u64,
    /// The most stores at once; further ones wait for their turn.
    pub at_once: usize,
}

impl Default for TransferLimits {
    fn default() -> Self {
        Self { bytes_per_second: 128 << 20, at_once: 4 }
    }
}

/// A store that this node sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The partition.
    pub partition: PartitionId,
    /// To whom.
    pub to: NodeId,
    /// Whether it waits for its turn.
    pub waits: bool,
    /// How many bytes were taken there.
    pub sent_bytes: u64,
    /// About how many there are: what the store's file has, which may be more.
    pub total_bytes: u64,
    /// How often it went on after it was interrupted.
    pub resumed: u64,
}

/// What all transfers of a node have done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferTotals {
    /// Transfers that began, those that were begun anew among them.
    pub begun: u64,
    /// Transfers whose store is in place.
    pub finished: u64,
    /// Chunks that were sent, those sent again among them.
    pub chunks: u64,
    /// Times that a transfer went on after an interruption.
    pub resumed: u64,
    /// Bytes that were taken.
    pub bytes: u64,
}

/// When so many bytes may go, at an even rate. Pure: the time is handed in.
#[derive(Debug, Default)]
struct Pace {
    /// When what was let go so far has gone.
    free_at: Duration,
}

impl Pace {
    /// How long to wait before these bytes go.
    fn take(&mut self, bytes: u64, per_second: u64, now: Duration) -> Duration {
        let begins = self.free_at.max(now);
        let seconds = bytes as f64 / per_second.max(1) as f64;
        let takes = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.free_at = begins.saturating_add(takes);
        begins - now
    }
}

/// All of a node's. Clones are the same.
#[derive(Clone)]
pub(crate) struct Transfers(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Somebody's turn may have come.
    turn: Notify,
    began: Instant,
}

#[derive(Default)]
struct State {
    limits: TransferLimits,
    pace: Pace,
    next: u64,
    /// What tells the next one apart from all others of this node.
    next_id: u64,
    under_way: BTreeMap<u64, Transfer>,
    totals: TransferTotals,
}

/// One of them, until it is dropped.
pub(crate) struct Ticket {
    transfers: Transfers,
    number: u64,
}

impl Default for Transfers {
    fn default() -> Self {
        let (state, turn) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { state, turn, began: Instant::now() }))
    }
}

impl Transfers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn limit(&self, limits: TransferLimits) {
        self.state().limits = limits;
        self.0.turn.notify_waiters();
    }

    /// Those that begin from now on have ids from this one on. It differs from one
    /// start of the node to the next.
    pub(crate) fn number_from(&self, id: u64) {
        self.state().next_id = id;
    }

    /// An id for one.
    pub(crate) fn draw_id(&self) -> u64 {
        let mut state = self.state();
        state.next_id = state.next_id.wrapping_add(1);
        state.next_id
    }

    pub(crate) fn list(&self) -> Vec<Transfer> {
        self.state().under_way.values().cloned().collect()
    }

    pub(crate) fn totals(&self) -> TransferTotals {
        self.state().totals
    }

    /// Begins one, when its turn has come. First come, first served.
    pub(crate) async fn begin(&self, partition: PartitionId, to: NodeId, bytes: u64) -> Ticket {
        let ticket = {
            let mut state = self.state();
            let number = state.next;
            state.next += 1;
            let transfer = Transfer {
                partition,
                to,
                waits: true,
                sent_bytes: 0,
                total_bytes: bytes,
                resumed: 0,
            };
            state.under_way.insert(number, transfer);
            Ticket { transfers: self.clone(), number }
        };
        loop {
            let turn = self.0.turn.notified();
            tokio::pin!(turn);
            // Before the look, so that no turn is missed.
            turn.as_mut().enable();
            if self.has_turn(ticket.number) {
                return ticket;
            }
            turn.await;
        }
    }

    fn has_turn(&self, number: u64) -> bool {
        let mut state = self.state();
        let before = state.under_way.range(..number).count();
        if before >= state.limits.at_once.max(1) {
            return false;
        }
        state.totals.begun += 1;
        if let Some(transfer) = state.under_way.get_mut(&number) {
            transfer.waits = false;
        }
        true
    }
}

impl Ticket {
    /// Waits until so many bytes may go.
    pub(crate) async fn pace(&self, bytes: u64) {
        let wait = {
            let mut state = self.transfers.state();
            let (rate, now) = (state.limits.bytes_per_second, self.transfers.0.began.elapsed());
            state.pace.take(bytes, rate, now)
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    pub(crate) fn sends(&self) {
        self.transfers.state().totals.chunks += 1;
    }

    pub(crate) fn taken(&self, bytes: u64) {
        let mut state = self.transfers.state();
        state.totals.bytes += bytes;
        if let Some(transfer) = state.under_way.get_mut(&self.number) {
            transfer.sent_bytes += bytes;
        }
    }

    pub(crate) fn resumed(&self) {
        let mut state = self.transfers.state();
        state.totals.resumed += 1;
        if let Some(transfer) = state.under_way.get_mut(&self.number) {
            transfer.resumed += 1;
        }
    }

    pub(crate) fn finished(&self) {
        self.transfers.state().totals.finished += 1;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.transfers.state().under_way.remove(&self.number);
        self.transfers.0.turn.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_at_an_even_rate_whoever_sends_them() {
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        assert_eq!(pace.take(500, 1_000, second), Duration::ZERO);
        assert_eq!(pace.take(500, 1_000, second), second / 2);
        assert_eq!(pace.take(2_000, 1_000, second), second);
        // Nothing is saved up while nobody sends.
        assert_eq!(pace.take(1_000, 1_000, second * 100), Duration::ZERO);
        assert_eq!(pace.take(1, 1_000, second * 100), second);
        assert_eq!(pace.take(u64::MAX, 0, second * 200), Duration::ZERO);
        assert!(pace.take(1, 0, second * 200) > second, "no rate at all is a slow one");
    }

    #[tokio::test]
    async fn so_many_at_once_and_the_rest_in_their_order() {
        let transfers = Transfers::default();
        transfers.limit(TransferLimits { at_once: 2, ..TransferLimits::default() });
        let begin = |nth: u16| {
            let transfers = transfers.clone();
            tokio::spawn(async move { transfers.begin(PartitionId(nth), NodeId(1), 9).await })
        };
        let waiting = || transfers.list().iter().filter(|transfer| transfer.waits).count();
        let (first, second) = (begin(0).await.expect("a turn"), begin(1).await.expect("a turn"));
        let (third, fourth) = (begin(2), begin(3));
        while transfers.list().len() < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting(), 2);
        drop(second);
        let third = third.await.expect("its turn");
        assert_eq!(waiting(), 1);
        // One that is given up while it waits takes nobody's turn.
        fourth.abort();
        let _ = fourth.await;
        drop((first, third));
        assert!(transfers.list().is_empty());
        assert_eq!(transfers.totals().begun, 3);
        begin(5).await.expect("a turn");
    }
}
