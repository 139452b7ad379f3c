//! A node among others: how it comes to be in a cluster, who is there, where
//! replicas go, and how a call reaches the node that leads its entity's partition.
//!
//! A [`Cluster`] is what callers see. One that was opened without
//! [`ClusterOptions`] is its node, alone.

mod apart;
mod boot;
mod charter;
mod cut;
mod desk;
mod draining;
mod fares;
mod following;
mod gone;
mod lanes;
mod ledger;
mod link;
mod losing;
mod overview;
mod placing;
mod recovering;
mod roll;
mod routing;
mod service;
mod steps;
mod system_group;
mod twin;
mod watching;
mod welcome;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use stead_consensus::{Consensus, Formation, TransferLimits};
use stead_founding::{Names, Seed};
use stead_gossip::{Config as GossipConfig, Gossip, Identity, Options, ProtocolRange, Zone};
use stead_journal::JournalError;
use stead_model::{ClusterId, NodeId, PartitionCount, PartitionId, SequenceNumber};
use stead_peers::{LaneLimits, Lanes, PROTOCOL_MAX, PROTOCOL_MIN, Peers, PeersConfig, Protocol};
use stead_placement::{Plan, Settings};
use tokio::{
    runtime::{Handle, Runtime},
    sync::watch,
    task::JoinHandle,
};

use self::{
    apart::Apart, boot::Boot, charter::Charter, desk::Desk, gone::Gone, ledger::Ledger, link::Link,
    roll::Roll, twin::Twin,
};
use crate::{Node, NodeOptions, NodeThreads, OpenError, clock};

/// How long leaders are waited for to take over when this node stops.
const RESIGN_PATIENCE: Duration = Duration::from_secs(8);

/// With whom a node forms a cluster, and how it is reached by them.
pub struct ClusterOptions {
    /// Where it takes gossip, bound.
    pub gossip: UdpSocket,
    /// Where it takes other nodes' connections, bound.
    pub peers: TcpListener,
    /// The addresses by which others reach these two, and callers the node.
    pub advertised: Advertised,
    /// Where other nodes may be found: at the addresses of their gossip.
    pub seeds: Vec<Seed>,
    /// How many nodes are to be there when the cluster is formed.
    pub expected: u32,
    /// Whether the node founds a cluster with others where it finds none; if not, it
    /// waits for one.
    pub may_found: bool,
    /// How long a majority of those that are expected waits for the rest, before it
    /// founds a cluster without them.
    pub founding_grace: Duration,
    /// The zone that the node fails with; empty for none.
    pub zone: String,
    /// What is wanted of placement.
    pub placement: Settings,
    /// Whether the node may be cut off from others on purpose, to see what a cluster
    /// does then.
    pub may_be_cut_off: bool,
    /// How stores are sent to other nodes.
    pub transfers: TransferLimits,
    /// The newest version of the protocol between nodes that it speaks, if that isn't
    /// this program's newest: for tests of upgrades.
    pub protocol_max: Option<u16>,
}

impl ClusterOptions {
    fn protocol(&self) -> Protocol {
        let max = self.protocol_max.unwrap_or(PROTOCOL_MAX).clamp(PROTOCOL_MIN, PROTOCOL_MAX);
        Protocol { min: PROTOCOL_MIN, max }
    }
}

/// The addresses by which a node is reached.
#[derive(Debug, Clone, Copy)]
pub struct Advertised {
    /// Gossip, by UDP.
    pub gossip: SocketAddr,
    /// Other nodes, by TCP.
    pub peer: SocketAddr,
    /// Callers, by HTTP.
    pub ingress: SocketAddr,
}

/// A node of a cluster. Cheap to clone; all clones are the same node.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    node: Node,
    id: NodeId,
    count: PartitionCount,
    consensus: Consensus,
    together: Option<Together>,
}

struct Together {
    gossip: Gossip,
    link: Link,
    peers: OnceLock<Arc<Peers>>,
    ledger: Arc<Ledger>,
    gone: Gone,
    /// Another process with this node's identity.
    twin: Twin,
    /// How many replicas a partition should have.
    replicas: usize,
    /// What was decided about the nodes.
    roll: watch::Sender<Roll>,
    /// The nodes that were given up. It may know sooner than the roll.
    given_up: Apart,
    /// The nodes that it is cut off from, to see what comes of it.
    cut: Apart,
    may_be_cut_off: bool,
    /// The last plan, if this node places.
    plan: Mutex<Option<Arc<Plan>>>,
    /// The partitions that were seen last to have lost their majority, and when.
    lost: tokio::sync::Mutex<Option<(Instant, BTreeMap<PartitionId, String>)>>,
    /// How far the facts were taken over, and whether all that there were.
    followed: watch::Sender<(SequenceNumber, bool)>,
    cluster: OnceLock<ClusterId>,
    /// Why this node can't be part of one, if so.
    trouble: OnceLock<String>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The threads of a node of a cluster.
pub struct ClusterThreads {
    node: NodeThreads,
    /// What the transport runs on: nothing else does.
    transport: Option<Runtime>,
}

impl Cluster {
    /// Opens a node. With options for a cluster it finds or forms one after this
    /// has returned; [`Service::status`](crate::api::Service::status) tells when it
    /// is ready. Blocks meanwhile.
    ///
    /// # Errors
    /// As [`Node::open`], and if gossip can't be started.
    pub fn open(
        options: NodeOptions,
        cluster: Option<ClusterOptions>,
        runtime: &Handle,
    ) -> Result<(Self, ClusterThreads), OpenError> {
        let count = options.journal.partitions;
        let charter = Charter::load(&options.directory)
            .map_err(|error| OpenError::Cluster(error.to_string()))?;
        let Some(cluster) = cluster else {
            if let Some(charter) = charter {
                return Err(OpenError::Cluster(format!(
                    "{} holds a node of cluster {}, which can't be alone: set \
                     cluster.enabled=true, or use another directory",
                    options.directory.display(),
                    charter.cluster
                )));
            }
            let (node, threads) = Node::open(options)?;
            let opened = Self::of(node, count, None);
            return Ok((opened, ClusterThreads { node: threads, transport: None }));
        };
        let system = |what| move |source| OpenError::System { what, source };
        let directory = options.directory.clone();
        let lanes = lanes::for_limits(&lanes::Limits::of(&options)).map_err(OpenError::Cluster)?;
        let (cut, given_up) = (Apart::default(), Apart::default());
        let link = Link::new(cut.clone());
        let formation = Formation::Together(Arc::new(link.clone()));
        let (node, threads) = Node::open_in(options, formation)?;
        let transport = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("stead-peers")
            .enable_all()
            .build()
            .map_err(system("a runtime for the transport can't be started"))?;
        let epoch = clock::now().get();
        let gossip = start_gossip(&cluster, charter, node.consensus().node(), epoch)
            .map_err(OpenError::Cluster)?;
        let together = Together {
            gossip,
            peers: OnceLock::new(),
            ledger: Ledger::new(node.consensus().clone(), count.system()),
            gone: Gone::default(),
            twin: Twin::default(),
            replicas: cluster.placement.replicas.get(),
            roll: watch::Sender::default(),
            given_up: given_up.clone(),
            cut: cut.clone(),
            link: link.clone(),
            may_be_cut_off: cluster.may_be_cut_off,
            plan: Mutex::default(),
            lost: tokio::sync::Mutex::default(),
            followed: watch::Sender::new((SequenceNumber(0), false)),
            cluster: OnceLock::new(),
            trouble: OnceLock::new(),
            tasks: Mutex::default(),
        };
        let opened = Self::of(node, count, Some(together));
        let desk = Desk::new(opened.consensus().clone(), runtime.clone(), cut, given_up);
        desk.begin(&opened);
        let entering = opened.clone().enter(
            Entering { options: cluster, directory, lanes, charter, epoch, link, desk },
            transport.handle().clone(),
        );
        opened.run(runtime, entering);
        Ok((opened, ClusterThreads { node: threads, transport: Some(transport) }))
    }

    fn of(node: Node, count: PartitionCount, together: Option<Together>) -> Self {
        let consensus = node.consensus().clone();
        Self(Arc::new(Inner { id: consensus.node(), node, count, consensus, together }))
    }

    fn run(&self, runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(together) = &self.0.together {
            let task = runtime.spawn(work);
            together.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        }
    }
}

struct Entering {
    options: ClusterOptions,
    /// Where the node keeps which cluster it is in.
    directory: PathBuf,
    lanes: Lanes<LaneLimits>,
    charter: Option<Charter>,
    epoch: u64,
    link: Link,
    desk: Arc<Desk>,
}

fn start_gossip(
    options: &ClusterOptions,
    charter: Option<Charter>,
    node: NodeId,
    epoch: u64,
) -> Result<Gossip, String> {
    let protocol = options.protocol();
    let protocols =
        ProtocolRange::new(protocol.min, protocol.max).map_err(|error| error.to_string())?;
    let identity = Identity {
        epoch,
        node,
        gossip: options.advertised.gossip,
        peer: options.advertised.peer,
        ingress: options.advertised.ingress,
        zone: Zone::new(&options.zone).map_err(|error| error.to_string())?,
        protocols,
    };
    let socket = options.gossip.try_clone().map_err(|error| error.to_string())?;
    Gossip::start(Options {
        config: GossipConfig::default(),
        identity,
        cluster: charter.map(|charter| charter.cluster),
        socket,
        seed: rand::random(),
    })
    .map_err(|error| error.to_string())
}

impl Cluster {
    /// Enters the cluster, and does what a node of one does, on this task and
    /// others.
    async fn enter(self, entering: Entering, transport: Handle) {
        if let Err(why) = self.clone().try_enter(entering, transport).await {
            tracing::error!(%why, "this node can't be part of a cluster");
            // It is said once: nothing goes on after it.
            let _ = self.together().trouble.set(why);
        }
    }

    async fn try_enter(self, entering: Entering, transport: Handle) -> Result<(), String> {
        let Entering { options, directory, lanes, charter, epoch, link, desk } = entering;
        let gossip = self.gossip().clone();
        let knew = charter.is_some();
        let charter = match charter {
            Some(charter) => charter,
            None => {
                let boot = Boot {
                    gossip: gossip.clone(),
                    names: Names::system(),
                    seeds: options.seeds.clone(),
                    settings: stead_founding::Settings {
                        node: self.id(),
                        expected: options.expected,
                        may_found: options.may_found,
                        knows_of_others: !options.seeds.is_empty(),
                        grace: options.founding_grace,
                    },
                    directory: directory.clone(),
                };
                let found = boot.find().await?;
                if !found.founding {
                    self.has_nothing_of_its_own().await?;
                }
                let directory = directory.clone();
                let kept = tokio::task::spawn_blocking(move || found.keep(&directory)).await;
                kept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
                gossip.enter(found.cluster).await.map_err(|error| error.to_string())?;
                found
            }
        };
        let cluster = charter.cluster;
        tracing::info!(%cluster, founded = charter.founding, "this node is part of a cluster");
        // Before anybody asks whether it is welcome.
        self.read_roll(SequenceNumber(0)).await;
        let config = PeersConfig {
            lanes,
            protocol: options.protocol(),
            ..PeersConfig::new(self.id(), epoch, cluster)
        };
        let (peers, events) = Peers::start(config, options.peers, desk, &transport)
            .map_err(|error| error.to_string())?;
        let peers = Arc::new(peers);
        self.consensus().limit_transfers(options.transfers);
        let Some(together) = &self.0.together else { return Ok(()) };
        // Each is set once, here.
        let _ = together.peers.set(Arc::clone(&peers));
        if knew {
            self.is_welcome(&peers, &options.seeds).await?;
        }
        link.begin(Arc::clone(&peers));
        let _ = together.cluster.set(cluster);
        self.run(&Handle::current(), watching::watch(self.clone(), peers, link, events));
        self.run(&Handle::current(), keep_joining(gossip, options.seeds));
        if charter.founding {
            self.found().await?;
            let begun = Charter { cluster, founding: false };
            let kept = tokio::task::spawn_blocking(move || begun.keep(&directory)).await;
            kept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        }
        self.run(&Handle::current(), roll::follow(self.clone()));
        self.run(&Handle::current(), following::follow(self.clone()));
        self.run(&Handle::current(), placing::place(self.clone(), options.placement));
        Ok(())
    }

    /// A node that was alone leads all its groups, and would go on to in a cluster
    /// that has groups of the same numbers.
    async fn has_nothing_of_its_own(&self) -> Result<(), String> {
        for partition in self.count().all_and_system() {
            if !self.consensus().view(partition).await.voters.is_empty() {
                return Err(
                    "its data directory was used by a node that was alone; start it with an empty \
                     one, or have the others enter a cluster that this node founds"
                        .into(),
                );
            }
        }
        Ok(())
    }

    /// Begins all groups that have no members yet, with this node. Placement has
    /// the others take part.
    async fn found(&self) -> Result<(), String> {
        for partition in self.count().all_and_system() {
            if self.consensus().view(partition).await.voters.is_empty() {
                let begun = self.consensus().begin(partition, [self.id()]).await;
                begun.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Takes no new leadership, and hands over what it leads; whether all was.
    pub async fn resign(&self) -> bool {
        if self.0.together.is_none() {
            return true;
        }
        self.consensus().resign();
        let until = Instant::now() + RESIGN_PATIENCE;
        loop {
            let led = self
                .count()
                .all_and_system()
                .filter(|partition| self.consensus().leads(*partition).borrow().is_some());
            let handed: Vec<_> = led.map(|partition| self.hand_over_to_any(partition)).collect();
            if handed.is_empty() {
                return true;
            }
            let somebody = futures::future::join_all(handed).await.into_iter().any(|could| could);
            if !somebody || Instant::now() >= until {
                return false;
            }
        }
    }

    /// Hands a partition over to whoever of its voters is there and has most of
    /// its log. Whether there was one.
    async fn hand_over_to_any(&self, partition: PartitionId) -> bool {
        let view = self.consensus().view(partition).await;
        let others = self.others();
        let heir = view
            .voters
            .iter()
            .filter(|voter| others.contains(voter))
            .max_by_key(|voter| view.matched.get(voter).copied());
        let Some(heir) = heir else { return false };
        if let Err(why) = self.hand_over(partition, *heir).await {
            tracing::info!(%partition, %why, "a partition was not handed over");
        }
        true
    }

    /// Tells the others that this node goes, and ends what it does among them.
    pub async fn leave(&self) {
        let Some(together) = &self.0.together else { return };
        if let Err(error) = together.gossip.leave().await {
            tracing::debug!(%error, "the others were not told that this node goes");
        }
        let tasks =
            std::mem::take(&mut *together.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        if let Some(peers) = together.peers.get() {
            peers.stop(Duration::from_secs(1)).await;
        }
    }

    /// This node's part, as it is on its own.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    fn id(&self) -> NodeId {
        self.0.id
    }

    fn count(&self) -> PartitionCount {
        self.0.count
    }

    fn consensus(&self) -> &Consensus {
        &self.0.consensus
    }

    fn together(&self) -> &Together {
        self.0.together.as_ref().expect("only a node that has others does this")
    }

    fn gossip(&self) -> &Gossip {
        &self.together().gossip
    }

    fn gone(&self) -> &Gone {
        &self.together().gone
    }

    fn peers(&self) -> Option<&Peers> {
        self.0.together.as_ref()?.peers.get().map(Arc::as_ref)
    }

    fn ledger(&self) -> Option<Arc<Ledger>> {
        Some(Arc::clone(&self.0.together.as_ref()?.ledger))
    }

    /// What was decided about the nodes, as far as this node has heard.
    fn roll(&self) -> Roll {
        self.0.together.as_ref().map(|together| together.roll.borrow().clone()).unwrap_or_default()
    }

    /// The other nodes that are there.
    fn others(&self) -> BTreeSet<NodeId> {
        let Some(together) = &self.0.together else { return BTreeSet::new() };
        let members = together.gossip.members();
        let there = members.present().map(|member| member.identity.node);
        let apart = |node: &NodeId| together.gone.is_gone(*node) || together.given_up.has(*node);
        there.filter(|node| *node != self.id() && !apart(node)).collect()
    }

    fn has_followed(&self, through: SequenceNumber, all: bool) {
        self.together().followed.send_replace((through, all));
    }

    fn following(&self) -> Option<watch::Receiver<(SequenceNumber, bool)>> {
        Some(self.0.together.as_ref()?.followed.subscribe())
    }
}

/// Names where others may be found, again and again: names come to stand for other
/// addresses.
async fn keep_joining(gossip: Gossip, seeds: Vec<Seed>) {
    let names = Names::system();
    loop {
        let addresses = names.resolve(&seeds).await.addresses;
        if gossip.join(addresses.into_iter().collect()).is_err() && !gossip.is_running() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

impl ClusterThreads {
    /// Ends the threads and closes the stores; see [`NodeThreads::close`].
    ///
    /// # Errors
    /// As [`NodeThreads::close`].
    pub fn close(self) -> Result<(), JournalError> {
        let closed = self.node.close();
        if let Some(transport) = self.transport {
            transport.shutdown_timeout(Duration::from_secs(1));
        }
        closed
    }
}
