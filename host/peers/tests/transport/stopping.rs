//! The end, in order and at once.

use std::{sync::Arc, time::Duration};

use stead_peers::{CallError, Lane, LossReason, PeerInfo, Reply, SetPeerError};

use crate::support::{Held, LONG, config, echo, number, pair, soon, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_answers_what_it_took_and_takes_nothing_more() {
    let held = Held::default();
    let (mut a, b) = pair(held.act()).await;
    let calls: Vec<_> = (0..20)
        .map(|at| tokio::spawn(a.peers.call(b.id, Lane::Requests, number(at), soon())))
        .collect();
    held.reaches(20).await;
    let id = b.id;
    let stopping = tokio::spawn(async move { b.peers.stop(LONG).await });
    until("others are told", || a.peers.send(id, Lane::Requests, number(99)).is_err()).await;
    let refused = a.call(id, Lane::Requests, number(99)).await.expect_err("stopping");
    assert!(!refused.may_have_been_carried_out(), "{refused}");
    for (payload, reply) in held.take() {
        // A message from before may have slipped in between.
        reply.answer(payload);
    }
    for (call, at) in calls.into_iter().zip(0..) {
        assert_eq!(call.await.expect("no panic"), Ok(number(at)));
    }
    until("what slipped in is let go", || {
        held.take();
        stopping.is_finished()
    })
    .await;
    assert!(stopping.await.expect("no panic"), "all was answered");
    assert_eq!(a.lost(id).await.1, LossReason::Stopping);
}

/// Restarting nodes under load must not leave a caller unsure without need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_under_load_leaves_no_call_unknown() {
    for _ in 0..10 {
        let (a, b) = pair(|_: &PeerInfo, _, payload, reply: Reply| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                reply.answer(payload);
            });
        })
        .await;
        let a = Arc::new(a);
        let id = b.id;
        let callers: Vec<_> = (0..32)
            .map(|caller| {
                let a = Arc::clone(&a);
                tokio::spawn(async move {
                    let mut answered = 0;
                    loop {
                        match a.call(id, Lane::Requests, number(caller)).await {
                            Ok(_) => answered += 1,
                            Err(error) => {
                                assert!(!error.may_have_been_carried_out(), "{error}");
                                return answered;
                            }
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(30)).await;
        b.stop().await;
        let mut answered = 0;
        for caller in callers {
            answered += caller.await.expect("no unknown");
        }
        assert!(answered > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_waits_for_its_own_calls() {
    let held = Held::default();
    let (a, b) = pair(held.act()).await;
    let call = tokio::spawn(a.peers.call(b.id, Lane::Log, number(1), soon()));
    held.reaches(1).await;
    let a = Arc::new(a);
    let stopping = {
        let a = Arc::clone(&a);
        tokio::spawn(async move { a.peers.stop(LONG).await })
    };
    until("nothing new is taken", || {
        a.peers.send(b.id, Lane::Log, number(2)) == Err(CallError::Stopped)
    })
    .await;
    assert_eq!(
        a.peers.set_peer(stead_model::NodeId(8), b.peers.address()),
        Err(SetPeerError::Stopped)
    );
    held.take().into_iter().for_each(|(payload, reply)| reply.answer(payload));
    assert_eq!(call.await.expect("no panic"), Ok(number(1)));
    assert!(stopping.await.expect("no panic"));
    assert_eq!(a.peers.tasks(), 0);
    assert_eq!(a.call(b.id, Lane::Log, number(1)).await, Err(CallError::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_has_an_end() {
    let held = Held::default();
    let (a, mut b) = pair(held.act()).await;
    let call = tokio::spawn(a.peers.call(b.id, Lane::Log, number(1), soon()));
    held.reaches(1).await;
    assert!(!b.peers.stop(Duration::from_millis(50)).await, "one was not answered");
    assert_eq!(b.peers.tasks(), 0);
    let error = call.await.expect("no panic").expect_err("never answered");
    assert!(error.may_have_been_carried_out(), "{error}");
    while b.events.next().await.is_some() {}
}

fn open_sockets() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("descriptors");
    let is_socket = |path: std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    descriptors.flatten().filter(|entry| is_socket(entry.path())).count()
}

/// In a process of its own, so that no other test's sockets are counted.
#[test]
fn nothing_is_left_after_the_end() {
    const ALONE: &str = "STEAD_PEERS_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let itself = std::env::current_exe().expect("a path");
        let run = std::process::Command::new(itself)
            .args(["--exact", "stopping::nothing_is_left_after_the_end", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("a runtime").block_on(async {
        let before = open_sockets();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let tasks_before = tasks();
        for round in 0..6 {
            let held = Held::default();
            let (a, b) = pair(held.act()).await;
            b.knows(&a);
            let unreachable = start(config(3), echo);
            let gone = crate::support::listener().local_addr().expect("an address");
            unreachable.peers.set_peer(a.id, gone).expect("a peer");
            let calls: Vec<_> = Lane::ALL
                .into_iter()
                .map(|lane| tokio::spawn(a.peers.call(b.id, lane, number(1), soon())))
                .collect();
            held.reaches(4).await;
            if round % 2 == 0 {
                drop((a, b, unreachable));
            } else {
                a.peers.stop(Duration::from_millis(20)).await;
                b.peers.stop(Duration::from_millis(20)).await;
                unreachable.peers.stop(Duration::from_millis(20)).await;
            }
            for call in calls {
                assert!(call.await.expect("no panic").is_err());
            }
            // Replies that are still held keep nothing open.
            until("no task is left", || tasks() <= tasks_before).await;
            until("no socket is left", || open_sockets() <= before).await;
            assert_eq!(held.take().len(), 4);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_peer_is_let_go() {
    let (a, b) = pair(echo).await;
    let tasks = a.peers.tasks();
    a.peers.forget_peer(b.id);
    let unknown = a.call(b.id, Lane::Log, number(1)).await;
    assert_eq!(unknown, Err(CallError::UnknownPeer(b.id)));
    until("its tasks end", || a.peers.tasks() == tasks - 4).await;
    until("its connections end", || b.peers.inbound_connections() == 0).await;
    a.knows(&b);
    assert_eq!(a.call(b.id, Lane::Log, number(1)).await, Ok(number(1)));
}

/// A service that panics loses its connection and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_panics_loses_one_connection() {
    let (a, b) = pair(|_: &PeerInfo, _, payload: bytes::Bytes, reply: Reply| {
        assert!(payload.len() == 8, "on purpose");
        reply.answer(payload);
    })
    .await;
    assert_eq!(a.call(b.id, Lane::Control, number(1)).await, Ok(number(1)));
    let error = a.call(b.id, Lane::Log, bytes::Bytes::new()).await.expect_err("a panic");
    assert!(error.may_have_been_carried_out(), "{error}");
    assert_eq!(a.call(b.id, Lane::Control, number(1)).await, Ok(number(1)));
    let start = std::time::Instant::now();
    while a.call(b.id, Lane::Log, number(2)).await.is_err() {
        assert!(start.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
