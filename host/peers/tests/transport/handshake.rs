//! Who may speak with whom.

use std::{io::Write, net::TcpStream, sync::Arc, time::Duration};

use stead_model::{ClusterId, NodeId};
use stead_peers::{
    Lane, LossKind, LossReason, PROTOCOL_MAX, PROTOCOL_MIN, PeersConfig, Protocol, Refusal,
    RefusalReason, Secure, Securing, Wire,
};

use crate::support::{CLUSTER, Node, config, echo, listener, number, start, until};

/// How `a` is refused by `b`.
async fn refusal(a: PeersConfig, b: PeersConfig) -> Refusal {
    let b = start(b, echo);
    let mut a = start(a, echo);
    a.knows(&b);
    let (kind, reason) = a.lost(b.id).await;
    assert_eq!(kind, LossKind::Refused);
    match reason {
        LossReason::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused_by_name() {
    let other = ClusterId(0xaaaa_bbbb << 96);
    let refused = refusal(PeersConfig { cluster: other, ..config(1) }, config(2)).await;
    assert_eq!(refused.reason, RefusalReason::OtherCluster);
    assert_eq!((refused.cluster, refused.node), (CLUSTER, NodeId(2)));
    for name in ["aaaabbbb", &CLUSTER.short()] {
        assert!(refused.sentence.contains(name), "{refused}");
    }
}

fn speaking(node: u128, min: u16, max: u16) -> PeersConfig {
    PeersConfig { protocol: Protocol { min, max }, ..config(node) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_a_common_version_say_which_they_speak() {
    for (a, b) in [((1, 1), (2, 3)), ((4, 5), (2, 3))] {
        let refused = refusal(speaking(1, a.0, a.1), speaking(2, b.0, b.1)).await;
        assert_eq!(refused.reason, RefusalReason::NoCommonVersion);
        let spoken = format!("versions {} to {}", b.0, b.1);
        assert!(refused.sentence.contains(&spoken), "{refused}");
    }
}

/// Node by node from version 1 to 2, and on to a release that has given up 1: at every
/// step all talk to all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_upgraded_node_by_node() {
    async fn agreed(from: &mut Node, to: &Node) -> u16 {
        from.knows(to);
        loop {
            if let stead_peers::PeerEvent::Met { node, protocol, .. } = from.event().await
                && node == to.id
            {
                assert_eq!(from.call(to.id, Lane::Log, number(1)).await, Ok(number(1)));
                return protocol;
            }
        }
    }
    let (old, new, next) = ((1, 1), (PROTOCOL_MIN, PROTOCOL_MAX), (2, 3));
    for (a, b, expected) in
        [(old, old, 1), (new, old, 1), (old, new, 1), (new, new, 2), (new, next, 2), (next, new, 2)]
    {
        let mut a = start(speaking(1, a.0, a.1), echo);
        let mut b = start(speaking(2, b.0, b.1), echo);
        assert_eq!(agreed(&mut a, &b).await, expected);
        assert_eq!(agreed(&mut b, &a).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_than_the_one_dialled_is_refused_by_name() {
    let b = start(config(2), echo);
    let mut a = start(config(1), echo);
    a.peers.set_peer(NodeId(3), b.peers.address()).expect("a peer");
    let (_, reason) = a.lost(NodeId(3)).await;
    let LossReason::Refused(refusal) = reason else { panic!("{reason}") };
    assert_eq!((refusal.reason, refusal.node), (RefusalReason::OtherNode, NodeId(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dials_itself_finds_out() {
    let mut a = start(config(1), echo);
    a.peers.set_peer(NodeId(3), a.peers.address()).expect("a peer");
    let (_, reason) = a.lost(NodeId(3)).await;
    let LossReason::Refused(refusal) = reason else { panic!("{reason}") };
    assert_eq!(refusal.reason, RefusalReason::Itself);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_at_an_address_can_be_asked() {
    let b = start(PeersConfig { epoch: 42, ..config(2) }, echo);
    let a = start(config(1), echo);
    let found = a.peers.identify(b.peers.address(), crate::support::LONG).await.expect("a node");
    assert_eq!((found.node, found.epoch, found.cluster), (b.id, 42, CLUSTER));
    until("nothing is left of it", || b.peers.inbound_connections() == 0 && b.peers.tasks() == 1)
        .await;

    let other = start(PeersConfig { cluster: ClusterId(5), ..config(3) }, echo);
    let error = other.peers.identify(b.peers.address(), crate::support::LONG).await;
    let LossReason::Refused(refusal) = error.expect_err("refused").reason else { panic!() };
    assert_eq!((refusal.node, refusal.cluster), (b.id, CLUSTER));

    let silent = listener();
    let address = silent.local_addr().expect("an address");
    let error = a.peers.identify(address, Duration::from_millis(50)).await.expect_err("silent");
    assert!(matches!(error.reason, LossReason::NoAnswer { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_turned_away_and_leave_nothing_behind() {
    let mut quick = config(2);
    quick.times.handshake_max = Duration::from_millis(300);
    quick.handshakes_max = 4;
    let b = start(quick, echo);
    let address = b.peers.address();
    let noises: [&[u8]; 5] =
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", &[0xff; 4_096], b"STEADhlo", &[0; 18]];
    let streams: Vec<_> = noises
        .iter()
        .map(|noise| {
            let mut stream = TcpStream::connect(address).expect("connected");
            let _ = stream.write_all(noise);
            stream
        })
        .collect();
    // More that are slow than handshakes are allowed: a byte now and then doesn't
    // help, and others get their turn all the same.
    let hello = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1/hello"));
    let hello = hello.expect("a golden file");
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let hello = hello.clone();
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).expect("connected");
                for byte in hello {
                    if stream.write_all(&[byte]).is_err() {
                        return true;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                false
            })
        })
        .collect();
    let mut a = start(config(1), echo);
    a.knows(&b);
    a.met(b.id).await;
    assert_eq!(a.call(b.id, Lane::Control, number(1)).await, Ok(number(1)));
    drop(a);
    for slow in slow {
        let turned_away = tokio::task::spawn_blocking(move || slow.join().expect("no panic"));
        assert!(turned_away.await.expect("no panic"));
    }
    drop(streams);
    until("nothing is left of them", || b.peers.inbound_connections() == 0 && b.peers.tasks() == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_say_nothing_do_not_keep_a_node_out() {
    let mut narrow = config(2);
    narrow.handshakes_max = 8;
    // They would be turned away sooner otherwise.
    narrow.times.handshake_max = Duration::from_secs(60);
    let b = start(narrow, echo);
    let address = b.peers.address();
    let silent: Vec<_> =
        (0..200).map(|_| TcpStream::connect(address).expect("connected")).collect();
    let mut a = start(config(1), echo);
    a.knows(&b);
    a.met(b.id).await;
    for lane in [Lane::Control, Lane::Log, Lane::Requests] {
        assert_eq!(a.call(b.id, lane, number(1)).await, Ok(number(1)));
    }
    assert!(b.peers.tasks() < 40, "as few are waited for as may be: {}", b.peers.tasks());
    drop(silent);
}

/// A peer that is garbage itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_makes_no_sense_is_a_loss_like_another() {
    let listener = listener();
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if stream.write_all(b"SSH-2.0-OpenSSH_9.9 and more to fill the head").is_err() {
                return;
            }
        }
    });
    let mut a = start(config(1), echo);
    a.peers.set_peer(NodeId(2), address).expect("a peer");
    let (kind, reason) = a.lost(NodeId(2)).await;
    assert_eq!(kind, LossKind::Garbled, "{reason}");
}

/// What a TLS implementation would prove is held against what is said.
struct Proving(NodeId);

impl Secure for Proving {
    fn connect(&self, stream: tokio::net::TcpStream, node: Option<NodeId>) -> Securing<'_> {
        stead_peers::Plain.connect(stream, node)
    }

    fn accept(&self, stream: tokio::net::TcpStream, from: std::net::SocketAddr) -> Securing<'_> {
        let proven = Some(self.0);
        let plain = stead_peers::Plain;
        Box::pin(async move { Ok(Wire { proven, ..plain.accept(stream, from).await? }) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_who_it_was_proven_to_be() {
    let mut b = config(2);
    b.secure = Arc::new(Proving(NodeId(9)));
    assert_eq!(refusal(config(1), b).await.reason, RefusalReason::NotProven);
    let mut b = config(2);
    b.secure = Arc::new(Proving(NodeId(1)));
    let b = start(b, echo);
    let mut a = start(config(1), echo);
    a.knows(&b);
    a.met(b.id).await;
}
