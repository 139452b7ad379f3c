//! Peers that die, fall silent, or seem to.

use std::{sync::Arc, time::Duration};

use stead_peers::{
    CallError, Lane, LossKind, LossReason, PeersConfig,
    testing::{Faults, FaultySecure},
};

use crate::support::{Held, LONG, config, echo, number, pair, pair_of, soon, start, until};

fn quick(node: u128) -> PeersConfig {
    let mut config = config(node);
    config.times.control_ping = Duration::from_millis(50);
    config.times.control_silence = Duration::from_millis(500);
    config
}

fn faulty(mut config: PeersConfig) -> (PeersConfig, Faults) {
    let faults = Faults::new(7);
    config.secure = Arc::new(FaultySecure::all(&faults));
    (config, faults)
}

/// A process that is killed closes its sockets: no ping has to be missed. The
/// time-out is an hour, so that it can't be what noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_dies_is_noticed_without_waiting_for_silence() {
    let mut patient = config(1);
    patient.times.control_silence = Duration::from_secs(3_600);
    let (mut a, b) = pair_of(patient, config(2), echo).await;
    let id = b.id;
    drop(b);
    let (kind, reason) = a.lost(id).await;
    assert!(matches!(kind, LossKind::Closed | LossKind::Reset), "{reason}");
    // It is then found that nobody listens there any more, which says more.
    assert_eq!(a.lost(id).await.0, LossKind::Refused);
}

/// Both ways of a cut network, of which TCP says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_network_is_noticed_and_all_lanes_are_cut_with_it() {
    for outgoing in [true, false] {
        let held = Held::default();
        let (mut config_a, faults) = faulty(quick(1));
        // The log lane would not find out by itself.
        config_a.times.silence = Duration::from_secs(3_600);
        config_a.times.stall_max = Duration::from_secs(3_600);
        let (mut a, b) = pair_of(config_a, config(2), held.act()).await;
        let call = tokio::spawn(a.peers.call(b.id, Lane::Log, number(1), soon()));
        held.reaches(1).await;
        if outgoing {
            faults.hold_writes(true);
        } else {
            faults.hold_reads(true);
        }
        let (kind, reason) = a.lost(b.id).await;
        assert_eq!(kind, LossKind::Silent, "{reason}");
        let error = call.await.expect("no panic").expect_err("cut");
        assert!(matches!(error, CallError::Broken { .. }), "{error}");
        let at_once = a.peers.send(b.id, Lane::Requests, number(1));
        assert!(matches!(at_once, Err(CallError::Unreachable { .. })), "{at_once:?}");
        assert!(faults.counts().held > 0);
        faults.heal();
        a.peers.nudge(b.id);
        a.met(b.id).await;
        let b_id = b.id;
        let again = tokio::spawn(a.peers.call(b_id, Lane::Control, number(2), soon()));
        until("it is served", || {
            held.take().into_iter().for_each(|(payload, reply)| reply.answer(payload));
            again.is_finished()
        })
        .await;
        assert_eq!(again.await.expect("no panic"), Ok(number(2)));
    }
}

/// The side that was dialled gives up a connection on which nothing comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dialled_and_fell_silent_is_let_go() {
    let (config_a, faults) = faulty(config(1));
    let mut strict = config(2);
    strict.times.inbound_silence = Duration::from_secs(1);
    let (a, b) = pair_of(config_a, strict, echo).await;
    assert_eq!(b.peers.inbound_connections(), 1);
    faults.hold_writes(true);
    until("it is let go", || b.peers.inbound_connections() == 0).await;
    assert!(faults.counts().held > 0);
    drop(a);
}

/// The whole process stands still for longer than silence may last, as under
/// SIGSTOP; all its timers come late at once. Here the runtime's only thread
/// sleeps. The peer has a runtime of its own, and answers.
#[test]
fn a_node_that_stood_still_does_not_take_its_peers_for_silent() {
    let runtime = |threads| {
        let mut builder = match threads {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        builder.enable_all().build().expect("a runtime")
    };
    let theirs = runtime(1);
    let ours = runtime(0);
    let b = theirs.block_on(async { start(config(2), echo) });
    ours.block_on(async {
        let (mut strict, faults) = faulty(config(1));
        strict.times.control_ping = Duration::from_millis(200);
        strict.times.control_silence = Duration::from_secs(1);
        let mut a = start(strict, echo);
        a.knows(&b);
        a.met(b.id).await;
        // What the peer said meanwhile is not there yet when the node wakes: else
        // hearing it would be enough, and nothing would have to be forgiven.
        let delay = Duration::from_millis(200);
        faults.delay(Some(delay..delay + Duration::from_millis(1)));
        tokio::time::sleep(delay * 2).await;
        for _ in 0..3 {
            // Not a wait of the test's: the runtime stands still.
            std::thread::sleep(Duration::from_millis(2_500));
            tokio::time::sleep(delay * 3).await;
            assert_eq!(a.events.try_next(), None);
        }
        assert!(faults.counts().delayed > 0);
        assert_eq!(a.call(b.id, Lane::Control, number(1)).await, Ok(number(1)));
    });
}

/// As above, and the network is cut: late ticks must not keep it from being
/// noticed.
#[test]
fn a_node_that_stood_still_notices_a_cut_network_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (config_a, faults) = faulty(quick(1));
        let (mut a, b) = pair_of(config_a, config(2), echo).await;
        faults.hold_reads(true);
        std::thread::sleep(Duration::from_millis(1_000));
        assert_eq!(a.lost(b.id).await.0, LossKind::Silent);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn round_trips_are_measured() {
    let (a, b) = pair(echo).await;
    until("a ping was answered", || {
        a.peers.status()[0].lanes.control.round_trip.is_some_and(|trip| trip < LONG)
    })
    .await;
    drop(b);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_byte_is_found_and_never_delivered() {
    let (config_a, faults) = faulty(config(1));
    let (mut a, b) = pair_of(config_a, config(2), echo).await;
    faults.corrupt_one_in(Some(1));
    let payload = bytes::Bytes::from(vec![3; 100_000]);
    let error = a.call(b.id, Lane::Control, payload).await.expect_err("damaged");
    assert!(
        matches!(
            error,
            CallError::Broken { reason: LossReason::Garbled(_), .. }
                | CallError::Unreachable { .. }
        ),
        "{error}"
    );
    assert_eq!(a.lost(b.id).await.0, LossKind::Garbled);
    assert!(faults.counts().corrupted > 0);
    faults.heal();
    a.peers.nudge(b.id);
    a.met(b.id).await;
    assert_eq!(a.call(b.id, Lane::Control, number(1)).await, Ok(number(1)));
}
