//! Nodes to test with.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_model::{ClusterId, NodeId};
use stead_peers::{
    CallError, Lane, LossKind, LossReason, PeerEvent, PeerEvents, PeerInfo, Peers, PeersConfig,
    Reply, Service,
};
use tokio::{runtime::Handle, time::timeout};

pub const CLUSTER: ClusterId = ClusterId(0xc1);
/// Longer than anything here takes, on however busy a machine.
pub const LONG: Duration = Duration::from_secs(30);

/// What a test's service does with a call.
pub trait Act: Fn(&PeerInfo, Lane, Bytes, Reply) + Send + Sync + 'static {}
impl<T: Fn(&PeerInfo, Lane, Bytes, Reply) + Send + Sync + 'static> Act for T {}

struct Acting<T>(T);

impl<T: Act> Service for Acting<T> {
    fn serve(&self, from: &PeerInfo, lane: Lane, payload: Bytes, reply: Reply) {
        (self.0)(from, lane, payload, reply);
    }
}

pub fn echo(_: &PeerInfo, _: Lane, payload: Bytes, reply: Reply) {
    reply.answer(payload);
}

/// A node under test.
pub struct Node {
    pub id: NodeId,
    pub peers: Peers,
    pub events: PeerEvents,
}

pub fn config(node: u128) -> PeersConfig {
    let mut config = PeersConfig::new(NodeId(node), 1, CLUSTER);
    // A busy machine may keep a node from its ticks for long.
    config.times.control_silence = Duration::from_secs(5);
    config.times.silence = Duration::from_secs(10);
    config.times.connect_max = Duration::from_secs(5);
    config.times.handshake_max = Duration::from_secs(5);
    config.seed = 1;
    config
}

pub fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

pub fn start(config: PeersConfig, act: impl Act) -> Node {
    start_at(listener(), config, act)
}

pub fn start_at(listener: TcpListener, config: PeersConfig, act: impl Act) -> Node {
    let id = config.node;
    let (peers, events) =
        Peers::start(config, listener, Arc::new(Acting(act)), &Handle::current()).expect("started");
    Node { id, peers, events }
}

impl Node {
    /// Makes the other a peer of this one.
    pub fn knows(&self, other: &Node) {
        self.peers.set_peer(other.id, other.peers.address()).expect("a peer");
    }

    pub async fn call(&self, to: NodeId, lane: Lane, payload: Bytes) -> Result<Bytes, CallError> {
        timeout(LONG, self.peers.call(to, lane, payload, Instant::now() + LONG))
            .await
            .expect("every call has a result")
    }

    pub async fn event(&mut self) -> PeerEvent {
        timeout(LONG, self.events.next()).await.expect("an event").expect("not the end")
    }

    pub async fn met(&mut self, other: NodeId) -> u64 {
        loop {
            if let PeerEvent::Met { node, epoch, .. } = self.event().await
                && node == other
            {
                return epoch;
            }
        }
    }

    pub async fn lost(&mut self, other: NodeId) -> (LossKind, LossReason) {
        loop {
            if let PeerEvent::Lost { node, kind, reason } = self.event().await
                && node == other
            {
                return (kind, reason);
            }
        }
    }

    pub async fn stop(self) {
        timeout(LONG, self.peers.stop(LONG)).await.expect("stopped");
    }
}

/// Two nodes; the first knows the second and has met it.
pub async fn pair(act: impl Act) -> (Node, Node) {
    pair_of(config(1), config(2), act).await
}

pub async fn pair_of(a: PeersConfig, b: PeersConfig, act: impl Act) -> (Node, Node) {
    let b = start(b, act);
    let mut a = start(a, echo);
    a.knows(&b);
    a.met(b.id).await;
    (a, b)
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Replies that a service holds until the test answers them.
#[derive(Clone, Default)]
pub struct Held(Arc<Mutex<Vec<(Bytes, Reply)>>>);

impl Held {
    pub fn act(&self) -> impl Act + use<> {
        let held = self.clone();
        move |_: &PeerInfo, _, payload, reply| held.lock().push((payload, reply))
    }

    pub fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Bytes, Reply)>> {
        self.0.lock().expect("not poisoned")
    }

    pub fn take(&self) -> Vec<(Bytes, Reply)> {
        std::mem::take(&mut *self.lock())
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub async fn reaches(&self, count: usize) {
        until(&format!("{count} calls arrive"), || self.len() >= count).await;
    }
}

pub fn soon() -> Instant {
    Instant::now() + LONG
}

pub fn number(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

pub fn read_number(bytes: &Bytes) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}
