//! Ten thousand idle connections. Both ends of a connection are open files, so
//! the clients are in other processes: this test program again, told by its
//! environment to hold connections open.

use std::{
    io::Read,
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stead_ingress::{ConnectionLimits, IngressOptions};

use crate::support::{House, Server, Wire, post};

const ADDRESS: &str = "STEAD_TEST_HOLD_ADDRESS";
const COUNT: &str = "STEAD_TEST_HOLD_COUNT";

/// Raises the limit of open files as far as it goes, and says how far that is.
fn raise_open_files() -> u64 {
    let wanted = 24_000;
    let present = getrlimit(Resource::Nofile);
    let most = present.maximum.unwrap_or(u64::MAX);
    // Who may raise the hard limit does.
    for maximum in [most.max(wanted), most] {
        let limit = Rlimit { current: Some(maximum.min(wanted)), maximum: Some(maximum) };
        if setrlimit(Resource::Nofile, limit).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Not a test of its own: the other process's part.
#[test]
fn holder_of_idle_connections() {
    let (Ok(address), Ok(count)) = (std::env::var(ADDRESS), std::env::var(COUNT)) else { return };
    let address: SocketAddr = address.parse().expect("an address");
    let count: usize = count.parse().expect("a count");
    raise_open_files();
    let held: Vec<_> =
        (0..count).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    println!("holding {}", held.len());
    // Until the test lets go.
    let _ = std::io::stdin().read(&mut [0]);
}

struct Holder(Child);

impl Holder {
    fn start(address: SocketAddr, count: usize) -> Self {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "idle::holder_of_idle_connections", "--nocapture"])
            .env(ADDRESS, address.to_string())
            .env(COUNT, count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The memory that this process has, in bytes.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = text.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("a number");
    pages * 4_096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_starve_nobody() {
    let open_files = raise_open_files();
    let room = usize::try_from(open_files).unwrap_or(usize::MAX).saturating_sub(500);
    let wanted = room.min(10_000);
    if wanted < 10_000 {
        eprintln!("this system allows {open_files} open files: {wanted} connections instead");
    }
    let house = House::new();
    let connections = ConnectionLimits { idle_ms_max: 300_000, ..ConnectionLimits::default() };
    let options = IngressOptions { connections, ..IngressOptions::default() };
    let server = Server::ingress(&house, options).await;
    let before = resident_bytes();
    let holders = [0, 1].map(|_| Holder::start(server.address, wanted / 2));
    let began = Instant::now();
    // Busy all the while that the others come.
    let mut wire = Wire::connect(server.address).await;
    let request = "POST /entities/cart/1/checkout HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut slowest = Duration::ZERO;
    let mut open = 0;
    while open < wanted {
        assert!(began.elapsed() < Duration::from_secs(60), "only {open} connections came");
        for _ in 0..50 {
            let sent = Instant::now();
            wire.send(request).await;
            assert_eq!(wire.reply().await.expect("an answer").status, 204);
            slowest = slowest.max(sent.elapsed());
        }
        open = std::fs::read_dir("/proc/self/fd").expect("Linux").count();
    }
    let each = resident_bytes().saturating_sub(before) / wanted;
    eprintln!(
        "{wanted} idle connections after {:?}, {each} bytes each; slowest answer {slowest:?}",
        began.elapsed()
    );
    assert!(each < 64 << 10, "{each} bytes for an idle connection");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for _ in 0..20 {
        let reply = post(server.address, "/entities/cart/1/add-item", "{}").await;
        assert_eq!(reply.status, 200, "new ones are let in");
    }
    // They are let go at once when the server stops.
    let began = Instant::now();
    drop(wire);
    let served = server.stop().await;
    assert_eq!((served.refused, served.cut_off), (0, 0));
    assert!(served.accepted as usize > wanted);
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(holders);
}
