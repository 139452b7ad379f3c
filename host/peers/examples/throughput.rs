//! Calls per second and their latency over loopback, two nodes in one process:
//! 1, 64 and 256 calls under way, 100 bytes and 64 KiB there, and the same back
//! or nothing.
//!
//!     cargo run --release -p stead-peers --example throughput
//!
//! `bare` is what a loop over a plain TCP connection does with one call under
//! way, as a measure of the machine.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_model::{ClusterId, NodeId};
use stead_peers::{Lane, PeerInfo, Peers, PeersConfig, Reply, Service};
use tokio::runtime::Handle;

const WINDOW: Duration = Duration::from_secs(2);
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

fn start(node: u128, all: bool) -> (Peers, stead_peers::PeerEvents) {
    let config = PeersConfig::new(NodeId(node), 1, ClusterId(1));
    Peers::start(config, listener(), Arc::new(Echo { all }), &Handle::current()).expect("started")
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

async fn measure(what: &str, callers: usize, bytes: usize, all: bool) {
    let (b, _b_events) = start(2, all);
    let (a, mut events) = start(1, all);
    a.set_peer(NodeId(2), b.address()).expect("a peer");
    events.next().await.expect("met");
    let a = Arc::new(a);
    let payload = Bytes::from(vec![1; bytes]);
    let begun = Instant::now();
    let counted = begun + WARM_UP;
    let end = counted + WINDOW;
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (a, payload) = (Arc::clone(&a), payload.clone());
            tokio::spawn(async move {
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
        latencies.extend(caller.await.expect("no panic"));
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    for bytes in [100, 64 << 10] {
        bare(bytes);
        for callers in [1, 64, 256] {
            for all in [true, false] {
                let back = if all { "and back" } else { "" };
                let what = format!("{callers} under way, {bytes} bytes {back}");
                runtime.block_on(measure(&what, callers, bytes, all));
            }
        }
    }
}
