//! Windows, sizes, and peers that don't keep to them.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_model::NodeId;
use stead_peers::{CallError, Lane, NoAnswer, PeerInfo, Reply};

use crate::support::{
    Held, config, echo, listener, number, pair, pair_of, read_number, soon, start, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_granted_bounds_calls_under_way() {
    let held = Held::default();
    let mut small = config(2);
    small.lanes.requests.window_calls = 8;
    let mut impatient = config(1);
    impatient.lanes.requests.waiting_calls_max = 4;
    let (a, b) = pair_of(impatient, small, held.act()).await;
    // Until the peer's window is known this node's own counts.
    let first = tokio::spawn(a.peers.call(b.id, Lane::Requests, number(0), soon()));
    held.reaches(1).await;
    let calls: Vec<_> = (1..12)
        .map(|at| tokio::spawn(a.peers.call(b.id, Lane::Requests, number(at), soon())))
        .collect();
    held.reaches(8).await;
    let busy = a.peers.call(b.id, Lane::Requests, number(12), soon()).await;
    assert_eq!(busy, Err(CallError::Busy { node: b.id, lane: Lane::Requests }));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(held.len(), 8);
    let status = &a.peers.status()[0].lanes.requests;
    assert_eq!((status.in_flight, status.waiting), (8, 4));
    for (payload, reply) in held.take() {
        reply.answer(payload);
    }
    held.reaches(4).await;
    for (payload, reply) in held.take() {
        reply.answer(payload);
    }
    assert_eq!(first.await.expect("no panic"), Ok(number(0)));
    for (call, at) in calls.into_iter().zip(1..) {
        assert_eq!(call.await.expect("no panic"), Ok(number(at)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_granted_bounds_bytes_under_way() {
    let held = Held::default();
    let mut small = config(2);
    small.lanes.bulk.payload_bytes_max = 100_000;
    small.lanes.bulk.window_bytes = 250_000;
    let (a, b) = pair_of(config(1), small, held.act()).await;
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let payload = Bytes::from(vec![1; 100_000]);
            tokio::spawn(a.peers.call(b.id, Lane::Bulk, payload, soon()))
        })
        .collect();
    for round in [2, 2, 1] {
        held.reaches(round).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(held.len(), round);
        held.take().into_iter().for_each(|(_, reply)| reply.answer(Bytes::new()));
    }
    for call in calls {
        assert_eq!(call.await.expect("no panic"), Ok(Bytes::new()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_bounded_by_those_not_done_with() {
    let held = Held::default();
    let mut small = config(2);
    small.lanes.control.window_calls = 4;
    let mut impatient = config(1);
    impatient.lanes.control.waiting_calls_max = 2;
    let (a, b) = pair_of(impatient, small, held.act()).await;
    let mut sent = 0;
    until("messages are refused", || {
        let result = a.peers.send(b.id, Lane::Control, number(sent));
        sent += u64::from(result.is_ok());
        result == Err(CallError::Busy { node: b.id, lane: Lane::Control }) && held.len() == 4
    })
    .await;
    assert_eq!(sent, 6);
    let mut seen = Vec::new();
    while seen.len() < 6 {
        // Done with, one by letting go and one by answering: it is all the same.
        for (payload, reply) in held.take() {
            assert!(!reply.is_wanted());
            seen.push(read_number(&payload));
            if seen.len() % 2 == 0 {
                reply.answer(Bytes::new());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    until("room is given back", || a.peers.status()[0].lanes.control.in_flight == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_too_large_for_either_side_is_refused_before_it_is_sent() {
    let mut small = config(2);
    small.lanes.log.payload_bytes_max = 1_000;
    let (a, b) = pair_of(config(1), small, echo).await;
    let own = a.call(b.id, Lane::Control, Bytes::from(vec![0; (1 << 20) + 1])).await;
    let (bytes, max) = ((1 << 20) + 1, 1 << 20);
    assert_eq!(own, Err(CallError::TooLarge { lane: Lane::Control, bytes, max }));
    // Not known before the first connection, and then taken out all the same.
    for _ in 0..2 {
        let theirs = a.call(b.id, Lane::Log, Bytes::from(vec![0; 1_001])).await;
        let (bytes, max) = (1_001, 1_000);
        assert_eq!(theirs, Err(CallError::TooLarge { lane: Lane::Log, bytes, max }));
    }
    assert!(a.call(b.id, Lane::Log, Bytes::from(vec![0; 1_000])).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_too_large_is_told_as_such_and_the_connection_stays() {
    let (a, b) = pair(|_: &PeerInfo, _, payload: Bytes, reply: Reply| {
        reply.answer(vec![0; usize::try_from(read_number(&payload)).expect("small")].into());
    })
    .await;
    let large = a.call(b.id, Lane::Control, number((1 << 20) + 1)).await;
    let (node, lane) = (b.id, Lane::Control);
    assert_eq!(large, Err(CallError::Unanswered { node, lane, reason: NoAnswer::TooLarge }));
    assert_eq!(a.call(b.id, lane, number(1 << 20)).await.expect("answered").len(), 1 << 20);
}

/// A node that asks by hand, and doesn't keep to the window that it is granted.
struct Rude {
    stream: TcpStream,
}

impl Rude {
    /// Says hello as any node does: bytes taken from the golden files, so that
    /// this test doesn't use the code that it tests.
    fn connect(to: std::net::SocketAddr) -> Self {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1/hello-enquiry");
        let mut hello = std::fs::read(golden).expect("a golden file");
        // Lane control in place of an enquiry; another cluster.
        let body = postcard::to_stdvec(&(
            crate::support::CLUSTER.get(),
            77_u128,
            1_u64,
            None::<u128>,
            1_u8,
            1_u64,
            1_u32 << 20,
        ))
        .expect("plain data");
        hello.truncate(18);
        hello[12..14].copy_from_slice(&u16::try_from(body.len()).expect("short").to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&hello[..14]), &body);
        hello[14..18].copy_from_slice(&sum.to_le_bytes());
        hello.extend_from_slice(&body);
        let mut stream = TcpStream::connect(to).expect("connected");
        stream.set_read_timeout(Some(crate::support::LONG)).expect("a time-out");
        stream.write_all(&hello).expect("written");
        let mut head = [0; 18];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!((&head[..8], head[8]), (&b"STEADans"[..], 1));
        let mut body = vec![0; usize::from(u16::from_le_bytes([head[12], head[13]]))];
        stream.read_exact(&mut body).expect("an answer");
        Self { stream }
    }

    fn frame(kind: u8, id: u64, length: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&[kind, 0, 0, 0]);
        frame.extend_from_slice(&id.to_le_bytes());
        frame.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        frame.extend_from_slice(&crc32c::crc32c(&frame).to_le_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    /// Whether the other has hung up.
    fn is_cut(&mut self) -> bool {
        let mut rest = [0; 1_024];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_ignores_the_window_is_not_read_from() {
    let held = Held::default();
    let mut small = config(2);
    small.lanes.control.window_calls = 10;
    let b = start(small, held.act());
    let address = b.peers.address();
    let rude = tokio::task::spawn_blocking(move || {
        let mut rude = Rude::connect(address);
        for id in 1..=100 {
            rude.stream.write_all(&Rude::frame(1, id, 3, b"abc")).expect("written");
        }
        rude
    })
    .await
    .expect("no panic");
    held.reaches(10).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(held.len(), 10);
    let mut seen = 0;
    until("all are served in time", || {
        let replies = held.take();
        assert!(replies.len() <= 11, "{}", replies.len());
        seen += replies.len();
        replies.into_iter().for_each(|(_, reply)| reply.answer(Bytes::new()));
        seen == 100
    })
    .await;
    drop(rude);
}

/// A call that was on its way when the other began to stop: it must be told for
/// certain that it was not carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_crosses_with_a_stop_is_declined() {
    let held = Held::default();
    let b = start(config(2), held.act());
    let address = b.peers.address();
    let mut rude = Rude::connect(address);
    rude.stream.write_all(&Rude::frame(1, 1, 0, b"")).expect("written");
    held.reaches(1).await;
    let stopping = tokio::spawn(async move { b.stop().await });
    let declined = tokio::task::spawn_blocking(move || {
        let mut header = [0; 24];
        rude.stream.read_exact(&mut header).expect("a frame");
        assert_eq!(header[4], 8, "goodbye");
        rude.stream.write_all(&Rude::frame(1, 2, 0, b"")).expect("written");
        rude.stream.read_exact(&mut header).expect("a frame");
        (header[4], header[5], header[8])
    });
    // Failed, because it stops, call 2.
    assert_eq!(declined.await.expect("no panic"), (4, 4, 2));
    assert_eq!(held.take().len(), 1, "it never reached the service");
    stopping.await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_breaks_the_rules_is_disconnected() {
    let b = Arc::new(start(config(2), echo));
    let mut wrong_sum = Rude::frame(1, 1, 3, b"abc");
    wrong_sum[26] ^= 1;
    let wrongs = [
        ("too long", Rude::frame(1, 1, (1 << 20) + 1, b"")),
        ("far too long", Rude::frame(1, 1, u32::MAX, b"")),
        ("an answer", Rude::frame(3, 1, 0, b"")),
        ("an unknown kind", Rude::frame(99, 1, 0, b"")),
        ("a payload that a ping has not", Rude::frame(6, 1, 3, b"abc")),
        ("a wrong sum", wrong_sum),
        ("garbage", vec![0xa5; 100]),
        ("a number twice", [Rude::frame(1, 5, 0, b""), Rude::frame(1, 5, 0, b"")].concat()),
    ];
    for (what, wrong) in wrongs {
        let address = b.peers.address();
        let cut = tokio::task::spawn_blocking(move || {
            let mut rude = Rude::connect(address);
            rude.stream.write_all(&wrong).expect("written");
            rude.is_cut()
        });
        assert!(cut.await.expect("no panic"), "{what}");
    }
    until("nothing is left of them", || b.peers.inbound_connections() == 0).await;
    // And others are served as before.
    let mut a = start(config(1), echo);
    a.knows(&b);
    a.met(b.id).await;
    assert_eq!(a.call(b.id, Lane::Control, number(1)).await, Ok(number(1)));
}

/// A peer that never reads its answers must not make this node keep them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_is_disconnected_after_a_while() {
    let mut strict = config(2);
    strict.times.stall_max = Duration::from_millis(300);
    strict.times.inbound_silence = Duration::from_secs(2);
    let b = start(strict, |_: &PeerInfo, _, _, reply: Reply| {
        reply.answer(Bytes::from(vec![0; 1 << 20]));
    });
    let address = b.peers.address();
    let rude = tokio::task::spawn_blocking(move || {
        let mut rude = Rude::connect(address);
        for id in 1..=200 {
            if rude.stream.write_all(&Rude::frame(1, id, 0, b"")).is_err() {
                break;
            }
        }
        rude
    })
    .await
    .expect("no panic");
    until("it is cut", || b.peers.inbound_connections() == 0).await;
    drop(rude);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_and_connections_are_bounded() {
    let mut few = config(2);
    few.inbound_max = 2;
    let b = start(few, echo);
    let mut a = start(config(1), echo);
    a.knows(&b);
    a.met(b.id).await;
    a.call(b.id, Lane::Log, number(1)).await.expect("answered");
    let error = a.call(b.id, Lane::Bulk, number(1)).await.expect_err("refused");
    assert!(error.to_string().contains("has 2 connections, its most"), "{error}");

    let mut few = config(3);
    few.peers_max = 1;
    let c = start(few, echo);
    c.knows(&b);
    assert!(c.peers.set_peer(b.id, a.peers.address()).is_ok(), "known already");
    let unknown = listener().local_addr().expect("an address");
    let refused = c.peers.set_peer(NodeId(9), unknown);
    assert_eq!(refused, Err(stead_peers::SetPeerError::TooMany(1)));
    let itself = c.peers.set_peer(NodeId(3), unknown);
    assert_eq!(itself, Err(stead_peers::SetPeerError::Itself(NodeId(3))));
    c.peers.forget_peer(b.id);
    assert!(c.peers.set_peer(NodeId(9), unknown).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_can_not_work_is_refused() {
    let wrong: [fn(&mut stead_peers::PeersConfig); 6] = [
        |config| config.lanes.log.payload_bytes_max = 0,
        |config| config.lanes.log.window_bytes = 1_000,
        |config| config.lanes.bulk.window_calls = 0,
        |config| config.times.control_silence = config.times.control_ping,
        |config| config.protocol.max = 0,
        |config| config.inbound_max = 0,
    ];
    for change in wrong {
        let mut config = config(1);
        change(&mut config);
        struct Nothing;
        impl stead_peers::Service for Nothing {
            fn serve(&self, _: &PeerInfo, _: Lane, _: Bytes, _: Reply) {}
        }
        let started = stead_peers::Peers::start(
            config,
            listener(),
            Arc::new(Nothing),
            &tokio::runtime::Handle::current(),
        );
        assert!(matches!(started, Err(stead_peers::StartError::Config(_))));
    }
}

/// A deadline bounds the wait for a connection that is never made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_the_first_connection_until_its_deadline() {
    // It accepts and says nothing.
    let silent = listener();
    let a = start(config(1), echo);
    a.peers.set_peer(NodeId(2), silent.local_addr().expect("an address")).expect("a peer");
    let deadline = Instant::now() + Duration::from_millis(100);
    let error = a.peers.call(NodeId(2), Lane::Control, Bytes::new(), deadline).await;
    assert_eq!(error, Err(CallError::NotSentInTime { node: NodeId(2), lane: Lane::Control }));
}
