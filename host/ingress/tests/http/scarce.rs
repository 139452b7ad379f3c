//! A server that runs out of open files. The limit is the process's, so the
//! server is in another one: this test program again, told by its environment.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, setrlimit};
use stead_ingress::IngressOptions;

use crate::support::{House, Server, Wire};

const CHILD: &str = "STEAD_TEST_SCARCE";
const OPEN_FILES: u64 = 64;

/// Not a test of its own: the other process's part.
#[tokio::test]
async fn server_with_few_open_files() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let limit = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");
    let server = Server::ingress(&House::new(), IngressOptions::default()).await;
    println!("\nlistening on {}", server.address);
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
}

#[tokio::test]
async fn running_out_of_open_files_passes() {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "scarce::server_with_few_open_files", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let address: SocketAddr = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(|at| at.parse().expect("a port")))
        .expect("it says where");
    let request = "POST /entities/cart/1/checkout HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = Wire::connect(address).await;
    let mut many = Vec::new();
    for _ in 0..OPEN_FILES {
        many.push(Wire::connect(address).await);
    }
    for _ in 0..20 {
        first.send(request).await;
        let reply = first.reply().await.expect("an answer");
        assert_eq!(reply.status, 204, "who is in is served all the while");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The last of them waits outside, and is let in when others leave.
    let mut last = many.pop().expect("some came");
    last.send(request).await;
    let early = tokio::time::timeout(Duration::from_millis(200), last.reply()).await;
    assert!(early.is_err(), "there was no room for it");
    drop(many);
    let began = Instant::now();
    assert_eq!(last.reply().await.expect("an answer").status, 204);
    assert!(began.elapsed() < Duration::from_secs(2));
    child.kill().expect("it ends");
    child.wait().expect("it ended");
}
