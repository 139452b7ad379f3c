//! Nodes in one process, with disks and a network that fail on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stead_consensus::{
    Batch, Carrier, CarrierError, Consensus, ConsensusEvents, Formation, Lane, Proposal,
    ProposalError, RESUMES_FROM, TransferTotals,
};
use stead_journal::{
    JournalOptions,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    LogIndex, NodeId, PartitionCount, PartitionId, SequenceNumber, Term, TimestampMs,
};

use crate::common::{address, outcome};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PARTITIONS: u16 = 4;

pub(crate) fn partitions() -> impl Iterator<Item = PartitionId> {
    (0..PARTITIONS).map(PartitionId)
}

pub(crate) fn options() -> JournalOptions {
    JournalOptions {
        partitions: PartitionCount::new(PARTITIONS).expect("a count"),
        segment_bytes: 64 << 10,
        checkpoint_age_ms: 50,
        apply_delay_ms: 0,
        cache_bytes: 4 << 20,
        ..JournalOptions::default()
    }
}

/// Who is there, and which ways are cut.
#[derive(Default)]
pub(crate) struct Net {
    nodes: Mutex<BTreeMap<NodeId, Consensus>>,
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
    /// The version of the protocol that all speak.
    pub(crate) version: AtomicU16,
    /// How many messages on the lane of stores pass before one is lost, again and
    /// again; 0 for no end.
    pub(crate) bulk_passes: AtomicU64,
    bulk: AtomicU64,
    pub(crate) bulk_lost: AtomicU64,
    /// How many messages were handed over.
    pub(crate) carried: AtomicU64,
}

struct Link {
    from: NodeId,
    net: Arc<Net>,
}

/// When a connection breaks: before a message arrives, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Before,
    After,
}

impl Net {
    /// Whether the connection for stores breaks with this message.
    fn breaks_bulk(&self) -> Option<Breaks> {
        let passes = self.bulk_passes.load(Ordering::Relaxed);
        let nth = self.bulk.fetch_add(1, Ordering::Relaxed);
        if passes == 0 || nth % (passes + 1) != passes {
            return None;
        }
        let lost = self.bulk_lost.fetch_add(1, Ordering::Relaxed);
        Some(if lost.is_multiple_of(2) { Breaks::After } else { Breaks::Before })
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.lock().expect("unpoisoned").contains(&(from, to))
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
        self.net.carried.fetch_add(1, Ordering::Relaxed);
        let breaks = if lane == Lane::Bulk { self.net.breaks_bulk() } else { None };
        if breaks == Some(Breaks::Before) {
            let why = "the connection broke".into();
            let error = CarrierError::Lost { node: to, why };
            return Box::pin(std::future::ready(Err(error)));
        }
        let target = self.net.nodes.lock().expect("unpoisoned").get(&to).cloned();
        let served = match target {
            Some(target) if !self.net.is_cut(self.from, to) => {
                let (answer, answered) = tokio::sync::oneshot::channel();
                target.serve(self.from, message, |bytes| drop(answer.send(bytes)));
                Some(answered)
            }
            _ => None,
        };
        let (from, net) = (self.from, Arc::clone(&self.net));
        Box::pin(async move {
            let Some(served) = served else {
                return Err(CarrierError::Unreachable { node: to, why: "cut".into() });
            };
            let lost = |why: &str| CarrierError::Lost { node: to, why: why.into() };
            let answer = tokio::time::timeout(patience, served).await;
            let answer = answer.map_err(|_| lost("late"))?.map_err(|e| lost(&e.to_string()))?;
            if breaks == Some(Breaks::After) {
                return Err(lost("the connection broke"));
            }
            if net.is_cut(to, from) { Err(lost("cut")) } else { Ok(answer) }
        })
    }

    fn version(&self, _to: NodeId) -> u16 {
        self.net.version.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Ears(pub(crate) Mutex<BTreeMap<PartitionId, Term>>);

impl ConsensusEvents for Ears {
    fn leads(&self, partition: PartitionId, term: Term) {
        self.0.lock().expect("unpoisoned").insert(partition, term);
    }

    fn follows(&self, partition: PartitionId, _leader: Option<NodeId>) {
        self.0.lock().expect("unpoisoned").remove(&partition);
    }

    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}
}

pub(crate) struct House {
    pub(crate) net: Arc<Net>,
    disks: BTreeMap<NodeId, SimDisk>,
    pub(crate) ears: BTreeMap<NodeId, Arc<Ears>>,
    /// Every outcome that was committed, by partition.
    pub(crate) committed: BTreeMap<PartitionId, u64>,
    options: JournalOptions,
}

impl House {
    /// Three nodes that hold all groups.
    pub(crate) fn of_three() -> Self {
        Self::of(3, 3)
    }

    /// Nodes of which some, the first, hold all groups.
    pub(crate) fn of(nodes: usize, holders: usize) -> Self {
        Self::with(options(), nodes, holders)
    }

    /// The same, with journals that are kept so.
    pub(crate) fn with(options: JournalOptions, nodes: usize, holders: usize) -> Self {
        // `RUST_LOG=info` tells what the nodes do.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let net = Arc::new(Net::default());
        net.version.store(RESUMES_FROM, Ordering::Relaxed);
        let mut house = Self {
            net,
            disks: BTreeMap::new(),
            ears: BTreeMap::new(),
            committed: BTreeMap::new(),
            options,
        };
        let nodes: Vec<NodeId> = (0..nodes).map(|_| house.start(SimDisk::new())).collect();
        let first = house.node(nodes[0]);
        for partition in partitions() {
            let begun = first.begin(partition, nodes.iter().take(holders).copied());
            futures::executor::block_on(begun).expect("it begins");
        }
        house
    }

    pub(crate) fn start(&mut self, disk: SimDisk) -> NodeId {
        // The node's name is known once its journal is open, and its carrier before.
        let link = Arc::new(Mutex::new(None::<Link>));
        struct Late(Arc<Mutex<Option<Link>>>);
        impl Carrier for Late {
            fn carry(
                &self,
                to: NodeId,
                lane: Lane,
                message: Vec<u8>,
                patience: Duration,
            ) -> BoxFuture<'static, Result<Vec<u8>, CarrierError>> {
                match &*self.0.lock().expect("unpoisoned") {
                    Some(link) => link.carry(to, lane, message, patience),
                    None => {
                        let error = CarrierError::Unreachable { node: to, why: "not yet".into() };
                        Box::pin(std::future::ready(Err(error)))
                    }
                }
            }

            fn version(&self, to: NodeId) -> u16 {
                self.0.lock().expect("unpoisoned").as_ref().map_or(0, |link| link.version(to))
            }
        }
        let ears = Arc::new(Ears::default());
        let formation = Formation::Together(Arc::new(Late(Arc::clone(&link))));
        let opened = Consensus::open(
            Arc::new(disk.clone()),
            self.options.clone(),
            formation,
            Arc::clone(&ears) as _,
        );
        let (consensus, _) = opened.expect("it opens");
        let node = consensus.node();
        *link.lock().expect("unpoisoned") = Some(Link { from: node, net: Arc::clone(&self.net) });
        for other in self.net.nodes.lock().expect("unpoisoned").values() {
            other.presence(node, true);
        }
        self.net.nodes.lock().expect("unpoisoned").insert(node, consensus);
        self.disks.insert(node, disk);
        self.ears.insert(node, ears);
        node
    }

    pub(crate) fn node(&self, node: NodeId) -> Consensus {
        self.net.nodes.lock().expect("unpoisoned")[&node].clone()
    }

    pub(crate) fn disk(&self, node: NodeId) -> &SimDisk {
        &self.disks[&node]
    }

    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.net.nodes.lock().expect("unpoisoned").keys().copied().collect()
    }

    /// A node is gone, at once; the others hear of it.
    pub(crate) fn kill(&mut self, node: NodeId) -> SimDisk {
        let consensus =
            self.net.nodes.lock().expect("unpoisoned").remove(&node).expect("it is there");
        // Its disk is cut off first: what it writes on its way out is not there.
        let disk = self.disks.remove(&node).expect("it has one").restart(Survivors::Some(7));
        let _ = consensus.close();
        drop(consensus);
        self.ears.remove(&node);
        for other in self.nodes() {
            self.node(other).presence(node, false);
        }
        disk
    }

    pub(crate) fn cut(&self, node: NodeId, both: bool) {
        let mut cut = self.net.cut.lock().expect("unpoisoned");
        for other in self.nodes() {
            cut.insert((node, other));
            if both {
                cut.insert((other, node));
            }
        }
    }

    pub(crate) fn heal(&self) {
        self.net.cut.lock().expect("unpoisoned").clear();
    }

    /// What all nodes have sent of stores.
    pub(crate) fn transfers(&self) -> TransferTotals {
        let totals = self.nodes().into_iter().map(|node| self.node(node).transfer_totals());
        totals.fold(TransferTotals::default(), |all, one| TransferTotals {
            begun: all.begun + one.begun,
            finished: all.finished + one.finished,
            chunks: all.chunks + one.chunks,
            resumed: all.resumed + one.resumed,
            bytes: all.bytes + one.bytes,
        })
    }

    /// Who leads a partition, in the highest term, once somebody does.
    pub(crate) fn leader(&self, partition: PartitionId) -> (NodeId, Term) {
        let until = Instant::now() + PATIENCE;
        loop {
            let leaders = self.ears.iter().filter_map(|(node, ears)| {
                let term = ears.0.lock().expect("unpoisoned").get(&partition).copied();
                term.map(|term| (term, *node))
            });
            if let Some((term, node)) = leaders.max() {
                return (node, term);
            }
            assert!(Instant::now() < until, "nobody leads {partition}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has another node lead. It is asked for again until it does: who leads may
    /// have changed when it was.
    pub(crate) fn hand_over(&self, partition: PartitionId, to: NodeId) {
        let until = Instant::now() + PATIENCE;
        loop {
            let (leader, _) = self.leader(partition);
            if leader == to {
                return;
            }
            assert!(Instant::now() < until, "it isn't handed over: {}", self.shown(partition));
            self.node(leader).transfer(partition, to);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How a partition stands on every node.
    pub(crate) fn shown(&self, partition: PartitionId) -> String {
        let mut shown = String::new();
        for node in self.nodes() {
            let consensus = self.node(node);
            let view = futures::executor::block_on(consensus.view(partition));
            let (leads, applied) = (consensus.leads(partition), consensus.applied(partition));
            let (leads, applied) = (*leads.borrow(), *applied.borrow());
            shown.push_str(&format!("\n{}: {leads:?}, applied {applied}: {view:?}", node.short()));
        }
        shown
    }

    pub(crate) fn propose(
        &self,
        node: NodeId,
        partition: PartitionId,
        term: Term,
        nth: u64,
    ) -> mpsc::Receiver<Result<LogIndex, ProposalError>> {
        let (tell, told) = mpsc::channel();
        self.node(node).propose(Proposal {
            partition,
            term,
            batch: Batch { at: TimestampMs(nth), items: vec![outcome(partition, nth)] },
            done: Box::new(move |result| drop(tell.send(result))),
        });
        told
    }

    /// Has outcomes committed, whoever leads; as an engine does it, which begins
    /// with what the store shows in each term.
    pub(crate) fn write(&mut self, partition: PartitionId, count: u64) {
        let until = Instant::now() + PATIENCE;
        let target = self.committed.get(&partition).copied().unwrap_or(0) + count;
        let mut done = target - count;
        let mut refused = String::new();
        while done < target {
            assert!(
                Instant::now() < until,
                "partition {partition} is not written to: {refused}{}",
                self.shown(partition)
            );
            let (node, term) = self.leader(partition);
            done = self.events(node, partition).max(done);
            for nth in done + 1..=target {
                match self.propose(node, partition, term, nth).recv_timeout(Duration::from_secs(2))
                {
                    Ok(Ok(_)) => done = nth,
                    other => {
                        refused = format!("{} in {term}: {other:?}", node.short());
                        break;
                    }
                }
            }
        }
        self.committed.insert(partition, target);
    }

    /// How many events a node's store shows; they must be right.
    pub(crate) fn events(&self, node: NodeId, partition: PartitionId) -> u64 {
        let reader = self.node(node).reader(partition);
        let record = reader.entity(&address(partition)).expect("read");
        let last = record.map_or(0, |record| record.last_sequence.get());
        let events = reader
            .events(&address(partition), SequenceNumber(1), SequenceNumber(last), 100_000, 1 << 30)
            .expect("read");
        for (nth, event) in (1..).zip(&events) {
            assert!(event.body.starts_with(format!("{nth} ").as_bytes()), "event {nth}");
        }
        assert_eq!(events.len() as u64, last);
        last
    }

    /// Waits until all nodes have all that was committed, and no more.
    pub(crate) fn settle(&self) {
        partitions().for_each(|partition| self.settle_one(partition));
    }

    /// The same of one partition.
    pub(crate) fn settle_one(&self, partition: PartitionId) {
        let until = Instant::now() + PATIENCE;
        let target = self.committed.get(&partition).copied().unwrap_or(0);
        for node in self.nodes() {
            loop {
                let there = self.events(node, partition);
                if there == target {
                    break;
                }
                let name = node.short();
                assert!(
                    Instant::now() < until,
                    "{name} has {there} of {target} of {partition}: {}",
                    self.shown(partition)
                );
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
