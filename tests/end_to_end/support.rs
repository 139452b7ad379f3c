//! What the tests of whole nodes share.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::Value;
use stead_test_support::{Build, guest};
use stead_tests::{client::Answer, node::Node};
use tempfile::TempDir;

/// A directory, and in it the data directory of a node.
pub struct House {
    directory: TempDir,
}

impl House {
    /// An empty one.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    /// Beside the data directory there is room for more.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Starts a node on it.
    pub async fn node(&self, settings: &[(&str, &str)]) -> Node {
        Node::start(&self.data(), settings).await
    }
}

/// Few partitions: quicker to start, where their number doesn't matter.
pub const SMALL: (&str, &str) = ("STEAD_NODE_PARTITIONS", "4");

/// An answer that must be a success; what it holds.
#[track_caller]
pub fn done(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// An answer that must be a problem of this status and code; all of it.
#[track_caller]
pub fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let text = answer.text();
    assert_eq!(answer.status, status, "{code} was expected: {text}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{text}");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{text}");
    assert_eq!(problem["status"], status, "{text}");
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {text}");
    }
    problem
}

/// A problem's sentence must have these words in it.
#[track_caller]
pub fn says(problem: &Value, words: &str) {
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(words), "{words:?} is missing in {detail:?}");
}

/// The bytes of a guest whose mark, `SIGN:…....`, is overwritten with a name.
pub fn marked(package: &'static str, sign: &str, room: usize, name: &str) -> Vec<u8> {
    static EVIL: OnceLock<Vec<u8>> = OnceLock::new();
    static TURNCOAT: OnceLock<Vec<u8>> = OnceLock::new();
    let cell = if package == "evil" { &EVIL } else { &TURNCOAT };
    let mut bytes =
        cell.get_or_init(|| std::fs::read(guest(package)).expect("the guest was built")).clone();
    let at = bytes.windows(sign.len()).position(|window| window == sign.as_bytes());
    let at = at.expect("the mark is in the component") + sign.len();
    let filled = format!("{name:.<room$}");
    assert_eq!(filled.len(), room, "the name {name} has no room");
    bytes.splice(at..at + room, filled.into_bytes());
    bytes
}

/// A version of the guest `turncoat`.
pub fn turncoat(name: &str) -> Vec<u8> {
    marked("turncoat", "turncoat-name:", 12, name)
}

/// The two ways to build a component.
pub const BUILDS: [Build; 2] = [Build::CargoTarget, Build::CargoComponent];

/// The numbers of events.
pub fn sequences(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["sequence"].as_u64()).collect()
}

/// The names of events.
pub fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["name"].as_str()).collect()
}

/// A stream of events.
pub struct Followed {
    body: hyper::body::Incoming,
    read: Vec<u8>,
}

/// Follows an entity's events from a number on.
pub async fn follow(node: &Node, address: &str, from: u64) -> Followed {
    let stream = tokio::net::TcpStream::connect(node.admin).await.expect("a connection");
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.expect("a handshake");
    tokio::spawn(connection);
    let request = http::Request::get(format!("/entities/{address}/events?follow=true&from={from}"))
        .header("host", "localhost")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    Followed { body: response.into_body(), read: Vec::new() }
}

impl Followed {
    /// The next event; it must come before long.
    pub async fn next(&mut self) -> Value {
        use http_body_util::BodyExt;
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                // An empty line says that the node is there.
                if line.len() > 1 {
                    return serde_json::from_slice(&line).expect("a line of JSON");
                }
                continue;
            }
            let frame = tokio::time::timeout(stead_tests::calls::SOON, self.body.frame());
            let frame = frame.await.expect("an event in time").expect("the stream goes on");
            if let Ok(data) = frame.expect("a whole stream").into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}

/// Writes a request to a socket, piece by piece, and reads until the other side
/// has said all. For requests that are answered before they are read: hyper's
/// client sometimes gives up on those although the answer has come.
pub async fn raw(server: std::net::SocketAddr, pieces: &[&str]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server).await.expect("a connection");
    for piece in pieces {
        // It may be refused, and the connection shut, before all is sent.
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(stead_tests::calls::SOON, stream.read_to_end(&mut answer));
    let _ = read.await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}
