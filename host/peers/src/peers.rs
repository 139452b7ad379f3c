//! The transport of one node.

use std::{
    collections::btree_map::Entry,
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::{Arc, PoisonError, RwLock, atomic::AtomicBool, atomic::AtomicU64},
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_model::{ClusterId, NodeId};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    CallError, IdentifyError, Lane, Lanes, LossReason, PeerEvents, PeersConfig, Service,
    SetPeerError, StartError,
    event::EventQueue,
    inbound::{Registry, accept},
    outbound::{Peer, Phase, Ticket, dial::dial, run},
    shared::Shared,
    throttle::Throttle,
    wire::handshake::Purpose,
};

/// The transport of one node: what it serves to others, and its way to each of
/// them. Dropping it ends all its tasks and connections at once;
/// [`Peers::stop`] ends them in order.
pub struct Peers {
    shared: Arc<Shared>,
    runtime: Handle,
    address: SocketAddr,
}

/// Who was found at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identified {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub epoch: u64,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The protocol version agreed on.
    pub protocol: u16,
}

/// Where one lane to a peer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStatus {
    /// Whether the connection stands.
    pub connected: bool,
    /// Why it doesn't, if an attempt was made and failed.
    pub outage: Option<LossReason>,
    /// Calls and messages that were sent and aren't done with.
    pub in_flight: u64,
    /// Calls and messages that wait to be sent.
    pub waiting: usize,
    /// How long the last ping took there and back.
    pub round_trip: Option<Duration>,
    /// The start of the peer that the connection leads to.
    pub epoch: Option<u64>,
}

/// Where a peer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// Where it is dialled.
    pub address: SocketAddr,
    /// Its lanes.
    pub lanes: Lanes<LaneStatus>,
}

impl Peers {
    /// Starts to serve whoever connects to `listener`, with tasks on `runtime`
    /// (which must have I/O and time enabled). The events tell what becomes of
    /// the peers that are set.
    ///
    /// # Errors
    /// If the configuration can't work or the socket can't be used. Nothing is
    /// started then.
    pub fn start(
        config: PeersConfig,
        listener: TcpListener,
        service: Arc<dyn Service>,
        runtime: &Handle,
    ) -> Result<(Self, PeerEvents), StartError> {
        config.check().map_err(StartError::Config)?;
        listener.set_nonblocking(true).map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(StartError::Listen)?
        };
        let events = Arc::new(EventQueue::new(config.events_max.max(config.peers_max + 1)));
        let shared = Arc::new(Shared {
            inbound: Arc::new(Registry::new(config.inbound_max)),
            seeds: AtomicU64::new(config.seed),
            config,
            service,
            events: Arc::clone(&events),
            peers: RwLock::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            is_stopping: AtomicBool::new(false),
            dials: AtomicU64::new(1),
            strangers: Throttle::default(),
        });
        shared.tasks.spawn_on(accept(Arc::clone(&shared), listener), runtime);
        Ok((Self { shared, runtime: runtime.clone(), address }, PeerEvents { queue: events }))
    }

    /// Where this node listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// This node will talk to that one, at that address. Its control lane is
    /// dialled at once and kept up; the other lanes are when they are first used.
    /// For a peer that is set already, a new address cuts the connections to the
    /// old one.
    ///
    /// # Errors
    /// If it is this node itself, there are too many, or this node is stopping.
    pub fn set_peer(&self, node: NodeId, address: SocketAddr) -> Result<(), SetPeerError> {
        let config = &self.shared.config;
        if node == config.node {
            return Err(SetPeerError::Itself(node));
        }
        let mut peers = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
        if self.shared.is_stopping() {
            return Err(SetPeerError::Stopped);
        }
        let count = peers.len();
        match peers.entry(node) {
            Entry::Occupied(known) => known.get().moved(address),
            Entry::Vacant(_) if count >= config.peers_max => {
                return Err(SetPeerError::TooMany(count));
            }
            Entry::Vacant(vacant) => {
                let token = self.shared.ending.child_token();
                let peer = Arc::new(Peer::new(node, address, &config.lanes, token));
                for lane in Lane::ALL {
                    let task = run(Arc::clone(&self.shared), Arc::clone(&peer), lane);
                    self.shared.tasks.spawn_on(task, &self.runtime);
                }
                vacant.insert(peer);
            }
        }
        Ok(())
    }

    /// This node has nothing more to say to that one: its connections there are
    /// cut, calls under way fail, and no events of it remain. What that node asks
    /// of this one is served all the same.
    pub fn forget_peer(&self, node: NodeId) {
        let mut peers = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = peers.remove(&node);
        drop(peers);
        if let Some(peer) = forgotten {
            peer.token.cancel();
            self.shared.events.forget(node);
        }
    }

    /// There is reason to believe that the peer is back: attempts to reach it
    /// don't wait any longer.
    pub fn nudge(&self, node: NodeId) {
        if let Some(peer) = self.shared.peer(node) {
            peer.links().for_each(|link| link.nudge());
        }
    }

    /// Asks a peer to do something. The call is queued before this returns, and
    /// the future only waits for the answer: calls on one lane arrive in the
    /// order in which this was called. Dropping the future withdraws the call if
    /// it wasn't sent yet.
    ///
    /// It waits, until its deadline, for the first connection and for room in it.
    /// It fails at once while the peer is known not to be reachable. The future
    /// must be polled on a tokio runtime with time enabled.
    ///
    /// # Errors
    /// See [`CallError`]; of each it is known whether the peer may have acted.
    pub fn call(
        &self,
        node: NodeId,
        lane: Lane,
        payload: Bytes,
        deadline: Instant,
    ) -> impl Future<Output = Result<Bytes, CallError>> + Send + use<> {
        let ticket = self.reach(node).and_then(|peer| Ticket::start(peer, lane, payload, deadline));
        async move { ticket?.result().await }
    }

    /// Tells a peer something that needs no answer: it is queued in order with
    /// the calls. It may get lost with the connection, and nobody is told then.
    ///
    /// # Errors
    /// If it is certain not to be sent: see [`CallError`].
    pub fn send(&self, node: NodeId, lane: Lane, payload: Bytes) -> Result<(), CallError> {
        self.reach(node)?.enqueue(lane, payload, None).map(|_| ())
    }

    fn reach(&self, node: NodeId) -> Result<Arc<Peer>, CallError> {
        if self.shared.is_stopping() {
            return Err(CallError::Stopped);
        }
        self.shared.peer(node).ok_or(CallError::UnknownPeer(node))
    }

    /// Asks who is at an address, over a connection that is closed at once.
    ///
    /// # Errors
    /// If nobody of this cluster is. Whoever refuses has said who it is and of
    /// which cluster: see [`LossReason::Refused`].
    pub async fn identify(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> Result<Identified, IdentifyError> {
        let asked = dial(&self.shared, address, None, Purpose::Enquiry);
        let late = LossReason::NoAnswer { address, waited: within };
        let dialled = timeout(within, asked).await.unwrap_or(Err(late));
        let welcome = dialled.map_err(|reason| IdentifyError { address, reason })?.welcome;
        Ok(Identified {
            node: welcome.node,
            epoch: welcome.epoch,
            cluster: welcome.cluster,
            protocol: welcome.version,
        })
    }

    /// Where each peer stands, by node id.
    #[must_use]
    pub fn status(&self) -> Vec<PeerStatus> {
        let status = |peer: Arc<Peer>| PeerStatus {
            node: peer.node,
            address: peer.address(),
            lanes: Lanes::each(|lane| {
                let figures = peer.link(lane).figures();
                LaneStatus {
                    connected: matches!(figures.phase, Phase::Up | Phase::Leaving),
                    outage: match figures.phase {
                        Phase::Down(reason) | Phase::Gone(reason) => Some(reason),
                        Phase::Idle | Phase::Dialling | Phase::Up | Phase::Leaving => None,
                    },
                    in_flight: figures.in_flight,
                    waiting: figures.waiting,
                    round_trip: figures.round_trip,
                    epoch: figures.epoch,
                }
            }),
        };
        self.shared.all_peers().into_iter().map(status).collect()
    }

    /// How many connections of others are open.
    #[must_use]
    pub fn inbound_connections(&self) -> usize {
        self.shared.inbound.open()
    }

    /// How many tasks are running.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.shared.tasks.len()
    }

    /// Stops in order: nothing new is taken, here or from others, and others are
    /// told; what is under way, either way, may take so long to be answered; then
    /// everything is closed. Returns whether all was answered. When it returns,
    /// no task is left.
    pub async fn stop(&self, patience: Duration) -> bool {
        {
            // Under this lock no peer can be set after it was looked whether this
            // node is stopping.
            let _peers = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
            self.shared.refuse();
        }
        self.shared.stop();
        self.shared.tasks.close();
        let answered = timeout(patience, self.shared.tasks.wait()).await.is_ok();
        self.shared.end();
        self.shared.tasks.wait().await;
        answered
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.shared.end();
    }
}
