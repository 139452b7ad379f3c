//! Order, answers, deadlines, and what a broken connection means.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_model::NodeId;
use stead_peers::{CallError, Lane, LossKind, NoAnswer, PeerInfo, Reply, testing};
use tokio::task::JoinSet;

use crate::support::{
    Held, LONG, config, echo, number, pair, pair_of, read_number, soon, start, start_at, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_on_every_lane() {
    let (a, b) = pair(echo).await;
    for lane in Lane::ALL {
        for bytes in [0, 1, 100, 5_000, 70_000, 1 << 20] {
            let payload = Bytes::from(vec![7; bytes]);
            assert_eq!(a.call(b.id, lane, payload.clone()).await, Ok(payload), "{lane}");
        }
    }
    let seen = b.peers.inbound_connections();
    assert_eq!(seen, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_knows_who_asks_and_on_which_lane() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = {
        let seen = Arc::clone(&seen);
        move |from: &PeerInfo, lane, payload, reply: Reply| {
            seen.lock().expect("not poisoned").push((from.node, from.epoch, from.protocol, lane));
            reply.answer(payload);
        }
    };
    let (a, b) =
        pair_of(stead_peers::PeersConfig { epoch: 9, ..config(1) }, config(2), service).await;
    a.call(b.id, Lane::Bulk, Bytes::new()).await.expect("answered");
    assert_eq!(
        *seen.lock().expect("not poisoned"),
        [(a.id, 9, stead_peers::PROTOCOL_MAX, Lane::Bulk)]
    );
}

/// The consensus log sends appends without waiting for answers and relies on
/// their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_calls_and_messages_arrive_in_order() {
    const COUNT: u64 = 5_000;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = {
        let seen = Arc::clone(&seen);
        move |_: &PeerInfo, _, payload: Bytes, reply: Reply| {
            seen.lock().expect("not poisoned").push(read_number(&payload));
            reply.answer(payload);
        }
    };
    let (a, b) = pair(service).await;
    let mut answers = JoinSet::new();
    for at in 0..COUNT {
        // Sizes below and above what is copied, so that all ways of writing mix.
        let mut payload = vec![0; if at % 50 == 0 { 20_000 } else { 8 }];
        payload[..8].copy_from_slice(&at.to_le_bytes());
        let payload = Bytes::from(payload);
        if at % 7 == 0 {
            while a.peers.send(b.id, Lane::Log, payload.clone()).is_err() {
                tokio::task::yield_now().await;
            }
            continue;
        }
        loop {
            // Refused for want of room at once, or queued in this place.
            let mut call = Box::pin(a.peers.call(b.id, Lane::Log, payload.clone(), soon()));
            let first = tokio::time::timeout(Duration::ZERO, &mut call).await;
            match first {
                Ok(Err(CallError::Busy { .. })) => tokio::task::yield_now().await,
                Ok(result) => {
                    assert_eq!(result, Ok(payload.clone()));
                    break;
                }
                Err(_) => {
                    let expected = payload.clone();
                    answers.spawn(async move { assert_eq!(call.await, Ok(expected)) });
                    break;
                }
            }
        }
    }
    while let Some(answered) = answers.join_next().await {
        answered.expect("answered");
    }
    until("all arrive", || seen.lock().expect("not poisoned").len() as u64 == COUNT).await;
    let seen = seen.lock().expect("not poisoned");
    assert!(seen.iter().copied().eq(0..COUNT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_may_come_in_any_order_and_from_any_thread() {
    let held = Held::default();
    let (a, b) = pair(held.act()).await;
    let calls: Vec<_> = (0..100)
        .map(|at| tokio::spawn(a.peers.call(b.id, Lane::Requests, number(at), soon())))
        .collect();
    held.reaches(100).await;
    let mut replies = held.take();
    replies.reverse();
    std::thread::spawn(move || {
        for (payload, reply) in replies {
            assert!(reply.is_wanted() && reply.can_arrive());
            reply.answer(number(read_number(&payload) * 2));
        }
    })
    .join()
    .expect("no panic");
    for (call, at) in calls.into_iter().zip(0..) {
        assert_eq!(call.await.expect("no panic"), Ok(number(at * 2)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_let_go_is_an_error_that_says_so() {
    let (a, b) = pair(|_: &PeerInfo, _, _, reply| drop::<Reply>(reply)).await;
    let error = a.call(b.id, Lane::Log, Bytes::new()).await.expect_err("no answer");
    let (node, lane) = (b.id, Lane::Log);
    assert_eq!(error, CallError::Unanswered { node, lane, reason: NoAnswer::Dropped });
    assert!(error.may_have_been_carried_out());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_callers_at_once_each_get_their_own_answer() {
    let (a, b) = pair(echo).await;
    let a = Arc::new(a);
    let mut callers = JoinSet::new();
    for caller in 0..500_u64 {
        let a = Arc::clone(&a);
        let to = b.id;
        callers.spawn(async move {
            for round in 0..20 {
                let lane = Lane::ALL[usize::try_from(caller + round).expect("small") % 4];
                let payload = number(caller * 1_000 + round);
                loop {
                    match a.call(to, lane, payload.clone()).await {
                        Err(CallError::Busy { .. }) => tokio::task::yield_now().await,
                        answer => break assert_eq!(answer, Ok(payload)),
                    }
                }
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.expect("all answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_tells_what_was_sent_from_what_was_not() {
    let held = Held::default();
    let mut small = config(2);
    small.lanes.log.window_calls = 3;
    let (mut a, b) = pair_of(config(1), small, held.act()).await;
    let calls: Vec<_> =
        (0..5).map(|at| tokio::spawn(a.peers.call(b.id, Lane::Log, number(at), soon()))).collect();
    held.reaches(3).await;
    let id = b.id;
    drop(b);
    let mut errors = Vec::new();
    for call in calls {
        errors.push(call.await.expect("no panic").expect_err("broken"));
    }
    let unknown: Vec<_> = errors.iter().map(CallError::may_have_been_carried_out).collect();
    assert_eq!(unknown, [true, true, true, false, false], "{errors:?}");
    assert!(matches!(errors[0], CallError::Broken { .. }), "{errors:?}");
    assert!(matches!(errors[4], CallError::Unreachable { .. }), "{errors:?}");
    // Nobody hears late answers any more.
    for (_, reply) in held.take() {
        assert!(!reply.can_arrive());
        reply.answer(Bytes::new());
    }
    a.lost(id).await;
    until("calls fail at once", || {
        matches!(a.peers.send(id, Lane::Log, Bytes::new()), Err(CallError::Unreachable { .. }))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_back_is_reached_again_as_a_later_start() {
    let first = start(config(2), echo);
    let mut a = start(config(1), echo);
    a.knows(&first);
    let (id, address) = (first.id, first.peers.address());
    assert_eq!(a.met(id).await, 1);
    a.call(id, Lane::Log, number(1)).await.expect("answered");
    first.stop().await;
    a.lost(id).await;
    // The port may take a moment to be free.
    let listener = loop {
        match std::net::TcpListener::bind(address) {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let again = stead_peers::PeersConfig { epoch: 2, ..config(2) };
    let _second = start_at(listener, again, echo);
    a.peers.nudge(id);
    assert_eq!(a.met(id).await, 2);
    let start = Instant::now();
    while let Err(error) = a.call(id, Lane::Log, number(1)).await {
        assert!(start.elapsed() < LONG && !error.may_have_been_carried_out(), "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The old process's host went without a word, and the new process dials before
/// anyone has noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peers_later_start_is_believed_when_it_dials() {
    let old = start(config(2), echo);
    let mut a = start(config(1), echo);
    a.knows(&old);
    a.met(old.id).await;
    a.call(old.id, Lane::Log, number(1)).await.expect("answered");
    let new = start(stead_peers::PeersConfig { epoch: 2, ..config(2) }, echo);
    new.knows(&a);
    let (kind, reason) = a.lost(old.id).await;
    assert_eq!((kind, reason), (LossKind::Closed, stead_peers::LossReason::Restarted(2)));
    a.peers.set_peer(new.id, new.peers.address()).expect("a new address");
    assert!(a.peers.status()[0].address == new.peers.address());
    while a.met(new.id).await != 2 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_moves_is_followed() {
    let (mut a, b) = pair(echo).await;
    // Another process under the same id: here a peer is its id, wherever it is.
    let moved = start(config(2), |_: &PeerInfo, _, _, reply: Reply| reply.answer(number(99)));
    a.peers.set_peer(b.id, moved.peers.address()).expect("a new address");
    assert_eq!(a.lost(b.id).await.0, LossKind::Closed);
    a.met(b.id).await;
    assert_eq!(a.call(b.id, Lane::Control, number(1)).await, Ok(number(99)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_is_thrown_away_and_leaves_nothing_behind() {
    let held = Held::default();
    let (a, b) = pair(held.act()).await;
    a.peers.send(b.id, Lane::Log, Bytes::new()).expect("sent");
    held.reaches(1).await;
    held.take();
    let deadline = Instant::now() + Duration::from_secs(3);
    let calls: Vec<_> = (0..10)
        .map(|at| tokio::spawn(a.peers.call(b.id, Lane::Log, number(at), deadline)))
        .collect();
    held.reaches(10).await;
    for call in calls {
        let error = call.await.expect("no panic").expect_err("too late");
        assert_eq!(error, CallError::NoAnswerInTime { node: b.id, lane: Lane::Log });
        assert!(error.may_have_been_carried_out());
    }
    assert_eq!(a.peers.status()[0].lanes.log.in_flight, 10);
    for (payload, reply) in held.take() {
        reply.answer(payload);
    }
    until("room is given back", || a.peers.status()[0].lanes.log.in_flight == 0).await;
    assert!(a.peers.status()[0].lanes.log.connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_not_sent_by_its_deadline_never_is() {
    let held = Held::default();
    let mut small = config(2);
    small.lanes.log.window_calls = 1;
    let (a, b) = pair_of(config(1), small, held.act()).await;
    let first = tokio::spawn(a.peers.call(b.id, Lane::Log, number(0), soon()));
    held.reaches(1).await;
    let deadline = Instant::now() + Duration::from_millis(50);
    let late = a.peers.call(b.id, Lane::Log, number(1), deadline).await;
    let not_sent = CallError::NotSentInTime { node: b.id, lane: Lane::Log };
    assert_eq!(late, Err(not_sent.clone()));
    let past = a.peers.call(b.id, Lane::Log, number(2), Instant::now()).await;
    assert_eq!(past, Err(not_sent));
    // Neither is a call that its caller has let go.
    drop(a.peers.call(b.id, Lane::Log, number(3), soon()));
    let last = tokio::spawn(a.peers.call(b.id, Lane::Log, number(4), soon()));
    for (payload, reply) in held.take() {
        reply.answer(payload);
    }
    assert_eq!(first.await.expect("no panic"), Ok(number(0)));
    held.reaches(1).await;
    let (payload, reply) = held.take().remove(0);
    assert_eq!(read_number(&payload), 4);
    reply.answer(payload);
    assert_eq!(last.await.expect("no panic"), Ok(number(4)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_nobody_listens_for_fails_calls_at_once() {
    let mut a = start(config(1), echo);
    let unknown = a.call(NodeId(5), Lane::Log, Bytes::new()).await;
    assert_eq!(unknown, Err(CallError::UnknownPeer(NodeId(5))));
    let address = crate::support::listener().local_addr().expect("an address");
    a.peers.set_peer(NodeId(5), address).expect("a peer");
    assert_eq!(a.lost(NodeId(5)).await.0, LossKind::Refused);
    for lane in Lane::ALL {
        let error = a.peers.call(NodeId(5), lane, Bytes::new(), soon()).await.expect_err("nobody");
        assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
        assert!(!error.may_have_been_carried_out());
    }
}

/// One lane that crawls must not hold up another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_do_not_wait_for_each_other() {
    let faults = testing::Faults::new(1);
    let spoiled = faults.clone();
    // The control lane is dialled first, then bulk: only that one is slow.
    let dialled = Arc::new(Mutex::new(0));
    let mut slow = config(1);
    slow.secure = Arc::new(testing::FaultySecure::choosing(move |_| {
        let mut count = dialled.lock().expect("not poisoned");
        *count += 1;
        (*count == 2).then(|| spoiled.clone())
    }));
    let (a, b) = pair_of(slow, config(2), echo).await;
    a.call(b.id, Lane::Bulk, number(1)).await.expect("answered");
    faults.hold_writes(true);
    let bulk = tokio::spawn(a.peers.call(b.id, Lane::Bulk, Bytes::from(vec![1; 4 << 20]), soon()));
    for lane in [Lane::Control, Lane::Log, Lane::Requests] {
        for at in 0..100 {
            assert_eq!(a.call(b.id, lane, number(at)).await, Ok(number(at)));
        }
    }
    assert!(!bulk.is_finished());
    assert!(faults.counts().held > 0);
    faults.heal();
    assert_eq!(bulk.await.expect("no panic").expect("answered").len(), 4 << 20);
}
