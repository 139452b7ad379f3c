//! A server of names on loopback, by UDP and TCP at one port.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a server should.
    Well,
    /// By UDP it only says that the answer is too long.
    Truncates,
    /// With bytes that are no answer.
    Garbage,
    /// Never.
    Silent,
    /// After this long.
    Late(Duration),
}

/// One record: a name, how long it may be kept, and what it says.
pub type Entry = (&'static str, RData);

/// A server at work. Its tasks end with the test's runtime.
pub struct Server {
    pub address: SocketAddr,
    /// How many questions were answered over TCP.
    pub by_tcp: Arc<AtomicUsize>,
    pub asked: Arc<AtomicUsize>,
}

pub fn a(ip: [u8; 4]) -> RData {
    RData::A(rdata::A::new(ip[0], ip[1], ip[2], ip[3]))
}

pub fn aaaa(ip: &str) -> RData {
    RData::AAAA(rdata::AAAA(ip.parse().expect("an address")))
}

pub fn srv(port: u16, target: &str) -> RData {
    RData::SRV(rdata::SRV::new(0, 50, port, Name::from_str(target).expect("a name")))
}

impl Server {
    pub fn start(manner: Manner, zone: Vec<Entry>) -> Self {
        let (udp, tcp) = bind();
        let address = udp.local_addr().expect("it is bound");
        udp.set_nonblocking(true).expect("it can be");
        tcp.set_nonblocking(true).expect("it can be");
        let server = Self { address, by_tcp: Arc::default(), asked: Arc::default() };
        let zone = Arc::new(zone);
        let (asked, records) = (Arc::clone(&server.asked), Arc::clone(&zone));
        tokio::spawn(async move {
            let socket = tokio::net::UdpSocket::from_std(udp).expect("a socket");
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                asked.fetch_add(1, Ordering::Relaxed);
                if let Some(bytes) = answer(manner, &records, &buffer[..length], false).await {
                    let _ = socket.send_to(&bytes, from).await;
                }
            }
        });
        let by_tcp = Arc::clone(&server.by_tcp);
        tokio::spawn(async move {
            let listener = tokio::net::TcpListener::from_std(tcp).expect("a listener");
            while let Ok((mut stream, _)) = listener.accept().await {
                let (zone, by_tcp) = (Arc::clone(&zone), Arc::clone(&by_tcp));
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut question = vec![0; usize::from(length)];
                        if stream.read_exact(&mut question).await.is_err() {
                            return;
                        }
                        let Some(bytes) = answer(manner, &zone, &question, true).await else {
                            continue;
                        };
                        by_tcp.fetch_add(1, Ordering::Relaxed);
                        let length = u16::try_from(bytes.len()).expect("it is short");
                        let framed = [&length.to_be_bytes()[..], &bytes].concat();
                        if stream.write_all(&framed).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        server
    }
}

/// The same port by UDP and by TCP.
fn bind() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("loopback has a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("it is bound")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free by UDP and TCP");
}

async fn answer(manner: Manner, zone: &[Entry], question: &[u8], tcp: bool) -> Option<Vec<u8>> {
    match manner {
        Manner::Silent => return None,
        Manner::Garbage => return Some(vec![0xff; 40]),
        Manner::Late(after) => tokio::time::sleep(after).await,
        Manner::Well | Manner::Truncates => {}
    }
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let mut said = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
    said.add_query(query.clone());
    let exists = |name: &Name| *name == *query.name();
    let parsed = zone.iter().map(|(name, data)| (Name::from_str(name).expect("a name"), data));
    let named: Vec<(Name, &RData)> = parsed.filter(|(name, _)| exists(name)).collect();
    if named.is_empty() {
        said.metadata.response_code = ResponseCode::NXDomain;
    }
    if manner == Manner::Truncates && !tcp {
        said.metadata.truncation = true;
        return said.to_vec().ok();
    }
    for (name, data) in named {
        let is_asked_for =
            data.record_type() == query.query_type() || data.record_type() == RecordType::CNAME;
        if is_asked_for {
            // An hour: whoever kept it that long would not see new nodes.
            said.add_answer(Record::from_rdata(name, 3_600, data.clone()));
        }
    }
    said.to_vec().ok()
}
