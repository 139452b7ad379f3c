//! Calls per second and their latency over loopback between two nodes: 1, 64 and
//! 256 calls under way, 100 bytes and 64 KiB there, and the same back or nothing.
//!
//!     cargo run --release -p stead-peers --example peer_throughput [shared]
//!
//! Each node has a runtime of one thread; with `shared` both are on one runtime of
//! two threads. `bare` is a loop over a plain TCP connection with one call under
//! way, as a measure of the machine: it is run before each group, and where it
//! differs from run to run, so does all the rest. Compare within one run only,
//! and run it several times.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_model::{ClusterId, NodeId};
use stead_peers::{Lane, PeerInfo, Peers, PeersConfig, Reply, Service};
use tokio::runtime::Runtime;

const WINDOW: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(300);

/// Answers with as many bytes as it was sent, or with none.
struct Echo {
    all: bool,
}

impl Service for Echo {
    fn serve(&self, _: &PeerInfo, _: Lane, payload: Bytes, reply: Reply) {
        reply.answer(if self.all { payload } else { Bytes::new() });
    }
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

fn runtime(threads: usize) -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads).enable_all().build().expect("a runtime")
}

fn start(node: u128, all: bool, on: &Runtime) -> (Peers, stead_peers::PeerEvents) {
    let config = PeersConfig::new(NodeId(node), 1, ClusterId(1));
    Peers::start(config, listener(), Arc::new(Echo { all }), on.handle()).expect("started")
}

fn print(what: &str, mut latencies: Vec<Duration>, took: Duration) {
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / took.as_secs_f64();
    let at = |share: f64| {
        let at = (latencies.len() as f64 * share) as usize;
        latencies.get(at).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    println!("{what:44} {rate:>10.0}/s   p50 {:>8.1} us   p99 {:>8.1} us", at(0.5), at(0.99));
}

fn measure(what: &str, callers: usize, bytes: usize, all: bool, shared: bool) {
    let ours = runtime(if shared { 2 } else { 1 });
    let own = (!shared).then(|| runtime(1));
    let theirs = own.as_ref().unwrap_or(&ours);
    let (b, _b_events) = start(2, all, theirs);
    let (a, mut events) = start(1, all, &ours);
    a.set_peer(NodeId(2), b.address()).expect("a peer");
    ours.block_on(events.next()).expect("met");
    let a = Arc::new(a);
    let payload = Bytes::from(vec![1; bytes]);
    let begun = Instant::now();
    let counted = begun + WARM_UP;
    let end = counted + WINDOW;
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (a, payload) = (Arc::clone(&a), payload.clone());
            ours.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let start = Instant::now();
                    if start >= end {
                        return latencies;
                    }
                    let deadline = start + Duration::from_secs(10);
                    let call = a.call(NodeId(2), Lane::Log, payload.clone(), deadline);
                    call.await.expect("answered");
                    if start >= counted {
                        latencies.push(start.elapsed());
                    }
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(ours.block_on(caller).expect("no panic"));
    }
    print(what, latencies, counted.elapsed());
}

/// One call at a time over a plain connection, threads and blocking reads.
fn bare(bytes: usize) {
    let listener = listener();
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepted");
        stream.set_nodelay(true).expect("set");
        let mut buffer = vec![0; bytes];
        while stream.read_exact(&mut buffer).is_ok() {
            if stream.write_all(&buffer).is_err() {
                return;
            }
        }
    });
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("set");
    let mut buffer = vec![0; bytes];
    let mut latencies = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < WINDOW {
        let start = Instant::now();
        stream.write_all(&buffer).expect("written");
        stream.read_exact(&mut buffer).expect("read");
        latencies.push(start.elapsed());
    }
    print(&format!("bare, 1 call of {bytes} bytes"), latencies, begun.elapsed());
}

fn main() {
    let shared = std::env::args().nth(1).is_some_and(|word| word == "shared");
    for bytes in [100, 64 << 10] {
        bare(bytes);
        for callers in [1, 64, 256] {
            for all in [true, false] {
                let back = if all { "and back" } else { "" };
                let what = format!("{callers} under way, {bytes} bytes {back}");
                measure(&what, callers, bytes, all, shared);
            }
        }
    }
}
