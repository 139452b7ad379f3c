//! Consensus's messages over the transport between nodes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stead_consensus::{Carrier, CarrierError, Lane};
use stead_model::NodeId;
use stead_peers::Peers;

use super::apart::Apart;

/// Carries consensus's messages, once there is a transport. Clones share it.
#[derive(Clone, Default)]
pub struct Link {
    inner: Arc<Inner>,
    cut: Apart,
}

#[derive(Default)]
struct Inner {
    peers: OnceLock<Arc<Peers>>,
    /// The version of the protocol that was last agreed on with each node.
    versions: Mutex<BTreeMap<NodeId, u16>>,
    closed: AtomicBool,
}

impl Link {
    /// One that carries nothing to those that this node is cut off from.
    pub fn new(cut: Apart) -> Self {
        Self { cut, ..Self::default() }
    }

    /// From now on nothing is carried: without the others' consent a group does
    /// nothing.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
    }

    /// From now on there is a transport.
    pub fn begin(&self, peers: Arc<Peers>) {
        // It is set once, when the node has a cluster.
        let _ = self.inner.peers.set(peers);
    }

    /// This version of the protocol was agreed on with a node.
    pub fn agreed(&self, node: NodeId, version: u16) {
        self.versions().insert(node, version);
    }

    fn versions(&self) -> MutexGuard<'_, BTreeMap<NodeId, u16>> {
        self.inner.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Carrier for Link {
    fn carry(
        &self,
        to: NodeId,
        lane: Lane,
        message: Vec<u8>,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, CarrierError>> {
        if self.cut.has(to) {
            // As over a network that is cut: nothing comes back, not even a refusal.
            return Box::pin(async move {
                tokio::time::sleep(patience).await;
                Err(CarrierError::Unreachable { node: to, why: "this node is cut off".into() })
            });
        }
        let closed = self.inner.closed.load(Ordering::Acquire);
        let Some(peers) = self.inner.peers.get().filter(|_| !closed) else {
            let why = "this node is in no cluster".into();
            let error = CarrierError::Unreachable { node: to, why };
            return Box::pin(std::future::ready(Err(error)));
        };
        let lane = match lane {
            Lane::Control => stead_peers::Lane::Control,
            Lane::Log => stead_peers::Lane::Log,
            Lane::Bulk => stead_peers::Lane::Bulk,
        };
        let answer = peers.call(to, lane, message.into(), Instant::now() + patience);
        Box::pin(async move {
            answer.await.map(|answer| answer.to_vec()).map_err(|error| {
                let why = error.to_string();
                match error.may_have_been_carried_out() {
                    true => CarrierError::Lost { node: to, why },
                    false => CarrierError::Unreachable { node: to, why },
                }
            })
        })
    }

    fn version(&self, to: NodeId) -> u16 {
        self.versions().get(&to).copied().unwrap_or(0)
    }
}
