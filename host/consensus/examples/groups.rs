//! What a committed entry costs through the groups of a node that is alone:
//! latency of one after the other, and entries per second of many.
//!
//!     cargo run --release -p stead-consensus --example groups -- DIRECTORY [SECONDS]

#![expect(clippy::indexing_slicing, reason = "an example that panics says so")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use stead_consensus::{Batch, Consensus, ConsensusEvents, Formation, Proposal};
use stead_journal::{JournalOptions, RealDisk};
use stead_model::{
    Event, Item, Lifecycle, LogIndex, NodeId, OutcomeItem, PartitionId, RequestDigest, RequestId,
    SequenceNumber, Term, TimestampMs, TypeVersion,
};

struct Told {
    leads: Mutex<mpsc::Sender<(PartitionId, Term)>>,
}

impl ConsensusEvents for Told {
    fn leads(&self, partition: PartitionId, term: Term) {
        let _ = self.leads.lock().expect("unpoisoned").send((partition, term));
    }

    fn follows(&self, _partition: PartitionId, _leader: Option<NodeId>) {}

    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}
}

fn batch(writer: usize, sequence: u64) -> Batch {
    let event = Event { name: "happened".into(), body: vec![b'x'; 64] };
    let outcome = OutcomeItem {
        address: format!("thing/{writer}").parse().expect("an address"),
        version: TypeVersion(1),
        request: RequestId::Minted((u128::from(sequence) << 64) | writer as u128),
        digest: RequestDigest(0),
        expires: TimestampMs(1_000_000),
        first_sequence: SequenceNumber(sequence),
        events: vec![event],
        reply: b"done".to_vec(),
        lifecycle: Lifecycle::Continues,
        effects: vec![],
    };
    Batch { at: TimestampMs(0), items: vec![Item::Outcome(outcome)] }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory");
    let seconds: u64 = arguments.next().map_or(3, |text| text.parse().expect("seconds"));
    let (sender, leads) = mpsc::channel();
    let disk = Arc::new(RealDisk::open(std::path::Path::new(&directory)).expect("a directory"));
    let told = Arc::new(Told { leads: Mutex::new(sender) });
    let began = Instant::now();
    let (consensus, _) =
        Consensus::open(disk, JournalOptions::default(), Formation::Alone, told).expect("it opens");
    let mut terms = vec![Term(0); 64];
    for _ in 0..64 {
        let (partition, term) = leads.recv_timeout(Duration::from_secs(10)).expect("it leads");
        terms[usize::from(partition.get())] = term;
    }
    println!("all groups lead after {:?}", began.elapsed());
    let mut next = [1_u64; 4096];
    for writers in [1_usize, 16, 64, 256, 1024] {
        let done = Arc::new(AtomicU64::new(0));
        let until = Instant::now() + Duration::from_secs(seconds);
        let (sender, finished) = mpsc::channel();
        let begin = |writer: usize, sequence: u64| {
            let partition = PartitionId((writer % 64) as u16);
            let (sender, done) = (sender.clone(), Arc::clone(&done));
            consensus.propose(Proposal {
                partition,
                term: terms[usize::from(partition.get())],
                batch: batch(writer, sequence),
                done: Box::new(move |result| {
                    result.expect("committed");
                    done.fetch_add(1, Ordering::Relaxed);
                    let _ = sender.send(writer);
                }),
            });
        };
        let began = Instant::now();
        for (writer, next) in next.iter_mut().enumerate().take(writers) {
            begin(writer, *next);
            *next += 1;
        }
        let mut running = writers;
        while running > 0 {
            let writer = finished.recv().expect("they go on");
            if Instant::now() < until {
                begin(writer, next[writer]);
                next[writer] += 1;
            } else {
                running -= 1;
            }
        }
        let count = done.load(Ordering::Relaxed);
        let rate = count as f64 / began.elapsed().as_secs_f64();
        println!(
            "{writers:5} writers: {rate:8.0} entries/s, {:7.0} us each in turn",
            1e6 * writers as f64 / rate
        );
    }
    let commits = consensus.status().log_commits;
    println!("{commits} syncs of the log");
    consensus.close().expect("closed");
}
