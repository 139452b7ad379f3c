//! What all tasks of a node's transport share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use stead_model::NodeId;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    PeersConfig, Service, event::EventQueue, inbound::Registry, outbound::Peer, throttle::Throttle,
};

pub(crate) struct Shared {
    pub(crate) config: PeersConfig,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) peers: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
    pub(crate) inbound: Arc<Registry>,
    pub(crate) tasks: TaskTracker,
    /// Cancelled when this node begins to stop.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when everything is to end now.
    pub(crate) ending: CancellationToken,
    pub(crate) is_stopping: AtomicBool,
    pub(crate) dials: AtomicU64,
    pub(crate) seeds: AtomicU64,
    /// When it was last told of connections that were turned away.
    pub(crate) strangers: Throttle,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Takes nothing new from callers.
    pub(crate) fn refuse(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Takes nothing new from here on.
    pub(crate) fn stop(&self) {
        self.refuse();
        self.stopping.cancel();
        for peer in self.all_peers() {
            peer.links().for_each(|link| link.drain());
        }
    }

    /// Ends everything.
    pub(crate) fn end(&self) {
        self.stop();
        self.ending.cancel();
        self.tasks.close();
        self.events.end();
        // Peers are held by their tasks too, which are ending.
        self.peers.write().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    }

    pub(crate) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        let peers = self.peers.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        peers.get(&node).cloned()
    }

    pub(crate) fn all_peers(&self) -> Vec<Arc<Peer>> {
        let peers = self.peers.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        peers.values().cloned().collect()
    }

    /// The number of the next connection that this node makes.
    pub(crate) fn next_dial(&self) -> u64 {
        self.dials.fetch_add(1, Ordering::Relaxed)
    }

    /// Randomness for one task: splitmix64 of a counter that starts at the seed.
    pub(crate) fn next_seed(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.seeds.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
