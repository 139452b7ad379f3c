//! Takes connections in.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::connection::serve;
use crate::shared::Shared;

/// After a failed accept, most often for want of open files, how long to wait
/// for better times.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until this node stops. As many handshakes as may are under way at once. With
/// one more, the one is given up that has waited longest among those from the address
/// with the most: so strangers who connect and say nothing cost a bounded number of
/// sockets, and don't keep out nodes, which say at once who they are.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let accepting = async {
        let mut waiting = Waiting::default();
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let handshake = waiting.admit(from.ip(), shared.config.handshakes_max);
                    shared.tasks.spawn(serve(Arc::clone(&shared), stream, from, handshake));
                }
                Err(error) => {
                    warn!(%error, "a peer's connection could not be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    };
    shared.stopping.run_until_cancelled(accepting).await;
}

/// A handshake under way. Letting it go ends it.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// Cancelled when it is given up for another's sake.
    pub(crate) given_up: CancellationToken,
    over: CancellationToken,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

#[derive(Debug)]
struct Pending {
    given_up: CancellationToken,
    over: CancellationToken,
}

/// The handshakes under way, by address, in the order in which they began.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<IpAddr, VecDeque<Pending>>);

impl Waiting {
    fn admit(&mut self, from: IpAddr, max: usize) -> Handshake {
        self.0.retain(|_, pending| {
            pending.retain(|one| !one.over.is_cancelled());
            !pending.is_empty()
        });
        let all: usize = self.0.values().map(VecDeque::len).sum();
        let fullest = self.0.values_mut().max_by_key(|pending| pending.len());
        if all >= max
            && let Some(oldest) = fullest.and_then(VecDeque::pop_front)
        {
            oldest.given_up.cancel();
        }
        let (given_up, over) = (CancellationToken::new(), CancellationToken::new());
        let pending = Pending { given_up: given_up.clone(), over: over.clone() };
        self.0.entry(from).or_default().push_back(pending);
        Handshake { given_up, over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waited_longest_of_the_address_with_the_most_makes_room() {
        let mut waiting = Waiting::default();
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let single = waiting.admit(one, 4);
        let many: Vec<_> = (0..3).map(|_| waiting.admit(other, 4)).collect();
        assert!(!many.iter().any(|handshake| handshake.given_up.is_cancelled()));
        let more = waiting.admit(one, 4);
        let gone: Vec<_> = many.iter().map(|one| one.given_up.is_cancelled()).collect();
        assert_eq!(gone, [true, false, false]);
        assert!(!single.given_up.is_cancelled() && !more.given_up.is_cancelled());
    }

    #[test]
    fn those_that_are_over_take_no_room() {
        let mut waiting = Waiting::default();
        let from = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..100 {
            let kept = waiting.admit(from, 2);
            drop(waiting.admit(from, 2));
            let last = waiting.admit(from, 2);
            assert!(!kept.given_up.is_cancelled());
            drop((kept, last));
        }
        assert!(waiting.0.values().map(VecDeque::len).sum::<usize>() <= 2);
    }
}
