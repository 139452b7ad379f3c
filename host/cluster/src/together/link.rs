//! Consensus's messages over the transport between nodes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stead_consensus::{Carrier, CarrierError, Lane};
use stead_model::NodeId;
use stead_peers::Peers;

/// Carries consensus's messages, once there is a transport. Clones share it.
#[derive(Clone, Default)]
pub struct Link(Arc<Inner>);

#[derive(Default)]
struct Inner {
    peers: OnceLock<Arc<Peers>>,
    /// The version of the protocol that was last agreed on with each node.
    versions: Mutex<BTreeMap<NodeId, u16>>,
}

impl Link {
    /// From now on there is a transport.
    pub fn begin(&self, peers: Arc<Peers>) {
        // It is set once, when the node has a cluster.
        let _ = self.0.peers.set(peers);
    }

    /// This version of the protocol was agreed on with a node.
    pub fn agreed(&self, node: NodeId, version: u16) {
        self.versions().insert(node, version);
    }

    fn versions(&self) -> MutexGuard<'_, BTreeMap<NodeId, u16>> {
        self.0.versions.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Some(peers) = self.0.peers.get() else {
            let why = "this node has no cluster yet".into();
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
