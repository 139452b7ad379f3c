//! Three nodes in one process, with disks and a network that fail on demand.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stead_consensus::{
    Batch, Carrier, CarrierError, Consensus, ConsensusEvents, Formation, Lane, Proposal,
    ProposalError,
};
use stead_journal::{
    JournalOptions,
    disk::sim::{SimDisk, Survivors},
};
use stead_model::{
    Address, Event, Item, Lifecycle, LogIndex, NodeId, OutcomeItem, PartitionCount, PartitionId,
    RequestDigest, RequestId, SequenceNumber, Term, TimestampMs, TypeVersion,
};

const PATIENCE: Duration = Duration::from_secs(30);
const PARTITIONS: u16 = 4;

fn partitions() -> impl Iterator<Item = PartitionId> {
    (0..PARTITIONS).map(PartitionId)
}

fn options() -> JournalOptions {
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
struct Net {
    nodes: Mutex<BTreeMap<NodeId, Consensus>>,
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
}

struct Link {
    from: NodeId,
    net: Arc<Net>,
}

impl Net {
    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.lock().expect("unpoisoned").contains(&(from, to))
    }
}

impl Carrier for Link {
    fn carry(
        &self,
        to: NodeId,
        _lane: Lane,
        message: Vec<u8>,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, CarrierError>> {
        let target = self.net.nodes.lock().expect("unpoisoned").get(&to).cloned();
        let served = match target {
            Some(target) if !self.net.is_cut(self.from, to) => {
                Some(target.serve(self.from, message))
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
            if net.is_cut(to, from) { Err(lost("cut")) } else { Ok(answer) }
        })
    }
}

#[derive(Default)]
struct Ears(Mutex<BTreeMap<PartitionId, Term>>);

impl ConsensusEvents for Ears {
    fn leads(&self, partition: PartitionId, term: Term) {
        self.0.lock().expect("unpoisoned").insert(partition, term);
    }

    fn follows(&self, partition: PartitionId, _leader: Option<NodeId>) {
        self.0.lock().expect("unpoisoned").remove(&partition);
    }

    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}
}

struct House {
    net: Arc<Net>,
    disks: BTreeMap<NodeId, SimDisk>,
    ears: BTreeMap<NodeId, Arc<Ears>>,
    /// Every outcome that was committed, by partition.
    committed: BTreeMap<PartitionId, u64>,
}

fn address(partition: PartitionId) -> Address {
    format!("thing/{partition}").parse().expect("an address")
}

fn outcome(partition: PartitionId, nth: u64) -> Item {
    Item::Outcome(OutcomeItem {
        address: address(partition),
        version: TypeVersion(1),
        request: RequestId::Minted(u128::from(nth) << 80),
        digest: RequestDigest(u128::from(nth)),
        expires: TimestampMs(1_000_000),
        first_sequence: SequenceNumber(nth),
        events: vec![Event {
            name: "happened".into(),
            body: format!("{nth} {}", "x".repeat(200)).into_bytes(),
        }],
        reply: nth.to_string().into_bytes(),
        lifecycle: Lifecycle::Continues,
        effects: vec![],
    })
}

impl House {
    /// Three nodes whose groups have begun.
    fn of_three() -> Self {
        let mut house = Self {
            net: Arc::default(),
            disks: BTreeMap::new(),
            ears: BTreeMap::new(),
            committed: BTreeMap::new(),
        };
        let nodes: Vec<NodeId> = (0..3).map(|_| house.start(SimDisk::new())).collect();
        let first = house.node(nodes[0]);
        for partition in partitions() {
            let begun = first.begin(partition, nodes.iter().copied());
            futures::executor::block_on(begun).expect("it begins");
        }
        house
    }

    fn start(&mut self, disk: SimDisk) -> NodeId {
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
        }
        let ears = Arc::new(Ears::default());
        let formation = Formation::Together(Arc::new(Late(Arc::clone(&link))));
        let opened =
            Consensus::open(Arc::new(disk.clone()), options(), formation, Arc::clone(&ears) as _);
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

    fn node(&self, node: NodeId) -> Consensus {
        self.net.nodes.lock().expect("unpoisoned")[&node].clone()
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.net.nodes.lock().expect("unpoisoned").keys().copied().collect()
    }

    /// A node is gone, at once; the others hear of it.
    fn kill(&mut self, node: NodeId) -> SimDisk {
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

    fn cut(&self, node: NodeId, both: bool) {
        let mut cut = self.net.cut.lock().expect("unpoisoned");
        for other in self.nodes() {
            cut.insert((node, other));
            if both {
                cut.insert((other, node));
            }
        }
    }

    fn heal(&self) {
        self.net.cut.lock().expect("unpoisoned").clear();
    }

    /// Who leads a partition, in the highest term, once somebody does.
    fn leader(&self, partition: PartitionId) -> (NodeId, Term) {
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

    fn propose(
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
    fn write(&mut self, partition: PartitionId, count: u64) {
        let until = Instant::now() + PATIENCE;
        let target = self.committed.get(&partition).copied().unwrap_or(0) + count;
        let mut done = target - count;
        while done < target {
            assert!(Instant::now() < until, "partition {partition} is not written to");
            let (node, term) = self.leader(partition);
            done = self.events(node, partition).max(done);
            for nth in done + 1..=target {
                match self.propose(node, partition, term, nth).recv_timeout(Duration::from_secs(2))
                {
                    Ok(Ok(_)) => done = nth,
                    Ok(Err(_)) | Err(_) => break,
                }
            }
        }
        self.committed.insert(partition, target);
    }

    /// How many events a node's store shows; they must be right.
    fn events(&self, node: NodeId, partition: PartitionId) -> u64 {
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
    fn settle(&self) {
        let until = Instant::now() + PATIENCE;
        for partition in partitions() {
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
                        "{name} has {there} of {target} of {partition}"
                    );
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

#[test]
fn what_is_committed_is_on_every_replica() {
    let mut house = House::of_three();
    for partition in partitions() {
        house.write(partition, 200);
    }
    house.settle();
}

#[test]
fn another_leads_when_the_leader_is_gone_and_nothing_is_lost() {
    let mut house = House::of_three();
    for round in 0..4 {
        for partition in partitions() {
            house.write(partition, 25);
        }
        let (leader, _) = house.leader(PartitionId(round));
        let begun = Instant::now();
        let disk = house.kill(leader);
        for partition in partitions() {
            house.write(partition, 25);
        }
        println!("round {round}: written to again after {:?}", begun.elapsed());
        house.start(disk);
        house.settle();
    }
}

#[test]
fn survivors_share_what_a_dead_node_led() {
    let mut house = House::of_three();
    for partition in partitions() {
        house.write(partition, 1);
    }
    let (leader, _) = house.leader(PartitionId(0));
    house.kill(leader);
    for partition in partitions() {
        house.write(partition, 1);
    }
    let leaders: BTreeSet<NodeId> = partitions().map(|p| house.leader(p).0).collect();
    assert!(!leaders.contains(&leader));
}

#[test]
fn a_leader_that_is_cut_off_commits_nothing_and_follows_when_it_is_back() {
    for both in [true, false] {
        let mut house = House::of_three();
        let partition = PartitionId(1);
        house.write(partition, 10);
        house.settle();
        let (old, term) = house.leader(partition);
        house.cut(old, both);
        let lost = house.propose(old, partition, term, 11);
        let (tell, told) = mpsc::channel();
        house.node(old).confirm(partition, move |leads| {
            let _ = tell.send(leads);
        });
        for other in house.nodes() {
            if other != old {
                house.node(other).presence(old, false);
            }
        }
        // The others go on without it.
        let until = Instant::now() + PATIENCE;
        while house.leader(partition).0 == old {
            assert!(Instant::now() < until, "nobody else leads");
            std::thread::sleep(Duration::from_millis(5));
        }
        house.write(partition, 20);
        assert!(!matches!(lost.try_recv(), Ok(Ok(_))), "it was committed by a minority");
        house.heal();
        for other in house.nodes() {
            house.node(other).presence(old, true);
        }
        house.settle();
        assert_ne!(told.recv_timeout(PATIENCE), Ok(true), "it was told that it leads");
        assert!(!matches!(lost.recv_timeout(PATIENCE), Ok(Ok(_))));
        house.write(partition, 1);
        house.settle();
    }
}

#[test]
fn nobody_leads_without_a_quorum() {
    let mut house = House::of_three();
    let partition = PartitionId(2);
    house.write(partition, 5);
    house.settle();
    let nodes = house.nodes();
    let disks: Vec<SimDisk> = nodes[..2].iter().map(|node| house.kill(*node)).collect();
    std::thread::sleep(Duration::from_millis(1_500));
    let last = nodes[2];
    let led = house.ears[&last].0.lock().expect("unpoisoned").get(&partition).copied();
    if let Some(term) = led {
        // It led before; it can't commit, and knows that it doesn't know.
        let lost = house.propose(last, partition, term, 6);
        let (tell, told) = mpsc::channel();
        house.node(last).confirm(partition, move |leads| {
            let _ = tell.send(leads);
        });
        assert_ne!(told.recv_timeout(Duration::from_secs(2)), Ok(true));
        assert!(!matches!(lost.try_recv(), Ok(Ok(_))));
        // What it proposed may yet be committed.
        house.committed.insert(partition, 5);
    }
    for disk in disks {
        house.start(disk);
    }
    for node in &nodes {
        house.node(last).presence(*node, true);
    }
    let (node, _) = house.leader(partition);
    let until = Instant::now() + PATIENCE;
    while house.events(node, partition) < 5 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn leadership_is_handed_over() {
    let mut house = House::of_three();
    let partition = PartitionId(3);
    house.write(partition, 10);
    house.settle();
    let (old, _) = house.leader(partition);
    let next = house.nodes().into_iter().find(|node| *node != old).expect("there are three");
    house.node(old).transfer(partition, next);
    let until = Instant::now() + PATIENCE;
    while house.leader(partition).0 != next {
        assert!(Instant::now() < until, "it isn't handed over");
        std::thread::sleep(Duration::from_millis(2));
    }
    house.write(partition, 10);
    house.settle();
}
