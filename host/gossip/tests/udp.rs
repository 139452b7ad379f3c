//! Whole memberships over real sockets of this machine.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_gossip::{
    AskError, Config, Gossip, GossipError, Health, Heard, Identity, Notice, Options, ProtocolRange,
    Snapshot, Zone,
};
use stead_model::{ClusterId, NodeId};

const CLUSTER: ClusterId = ClusterId(0xC1);

/// Generous: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

fn socket() -> (UdpSocket, SocketAddr) {
    let socket = Gossip::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

fn identity(node: u128, gossip: SocketAddr, epoch: u64) -> Identity {
    let zone = Zone::new("here").expect("a zone");
    let protocols = ProtocolRange::new(1, 1).expect("a range");
    Identity { epoch, node: NodeId(node), gossip, peer: gossip, ingress: gossip, zone, protocols }
}

fn start_at(node: u128, socket: UdpSocket, epoch: u64, cluster: Option<ClusterId>) -> Gossip {
    let address = socket.local_addr().expect("an address");
    let identity = identity(node, address, epoch);
    let config = Config::default();
    Gossip::start(Options { config, identity, cluster, socket, seed: node as u64 })
        .expect("started")
}

fn start(node: u128, cluster: Option<ClusterId>) -> (Gossip, SocketAddr) {
    let (socket, address) = socket();
    (start_at(node, socket, 1, cluster), address)
}

async fn until(what: &str, gossip: &Gossip, holds: impl Fn(&Snapshot) -> bool) {
    let start = Instant::now();
    while !holds(&gossip.members()) {
        assert!(start.elapsed() < PATIENCE, "{what}: {:#?}", gossip.members());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn sees(nodes: &[u128]) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| {
        let present = snapshot.present().map(|member| member.identity.node.get());
        present.collect::<Vec<_>>() == nodes
    }
}

/// Three that know each other.
async fn three() -> [(Gossip, SocketAddr); 3] {
    let nodes = [1, 2, 3].map(|node| start(node, Some(CLUSTER)));
    for (gossip, _) in &nodes {
        gossip.join(vec![nodes[0].1]).expect("taken");
    }
    until("1", &nodes[0].0, sees(&[2, 3])).await;
    until("2", &nodes[1].0, sees(&[1, 3])).await;
    until("3", &nodes[2].0, sees(&[1, 2])).await;
    nodes
}

#[tokio::test]
async fn three_nodes_find_each_other_and_miss_one_that_goes_without_a_word() {
    let [(one, _), (two, _), (three, address)] = three().await;
    let (_, mut notices) = one.subscribe();
    drop(three);
    let gone = async {
        loop {
            match notices.next().await.expect("at work") {
                Heard::Notice(told) => {
                    if let Notice::Down(identity) = told.notice
                        && identity.node == NodeId(3)
                    {
                        break identity;
                    }
                }
                Heard::Missed(snapshot) => panic!("missed up to {}", snapshot.sequence),
            }
        }
    };
    let gone = tokio::time::timeout(PATIENCE, gone).await.expect("missed in time");
    assert_eq!(gone.gossip, address);
    until("2", &two, sees(&[1])).await;
    let member = one.members().member(NodeId(3)).cloned().expect("remembered");
    assert_eq!(member.health, Health::Down);
    let counters = one.counters();
    assert!(counters.sent > 0 && counters.received > 0);
    assert_eq!(counters.internal, 0);
}

#[tokio::test]
async fn a_node_that_comes_back_at_its_address_is_returned() {
    let [(one, _), (two, _), (three, address)] = three().await;
    drop(three);
    until("1", &one, sees(&[2])).await;
    let socket = Gossip::bind(address).expect("the port is free again");
    let three = start_at(3, socket, 2, Some(CLUSTER));
    three.join(vec![one.members().own.gossip]).expect("taken");
    until("1", &one, sees(&[2, 3])).await;
    until("2", &two, sees(&[1, 3])).await;
    until("3", &three, sees(&[1, 2])).await;
    let known = one.members().member(NodeId(3)).expect("known").identity.epoch;
    assert_eq!(known, 2);
}

#[tokio::test]
async fn who_leaves_says_so_and_stops() {
    let [(one, _), (two, _), (three, _)] = three().await;
    let (_, mut notices) = three.subscribe();
    three.leave().await.expect("left");
    until("1", &one, sees(&[2])).await;
    until("2", &two, sees(&[1])).await;
    let mut last = None;
    while let Some(Heard::Notice(told)) = notices.next().await {
        last = Some(told.notice);
    }
    assert_eq!(last, Some(Notice::Left), "and the notices end");
    let start = Instant::now();
    while three.is_running() {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(three.hint(NodeId(1)), Err(GossipError::Stopped));
    assert_eq!(three.leave().await, Err(GossipError::Stopped));
    assert!(three.subscribe().1.next().await.is_none());
}

#[tokio::test]
async fn asking_before_there_is_a_cluster_and_entering_it() {
    let (one, one_at) = start(1, Some(CLUSTER));
    let (two, two_at) = start(2, None);
    let found = two.ask(one_at).await.expect("found");
    assert_eq!((found.cluster, found.identity.node), (Some(CLUSTER), NodeId(1)));
    let found = one.ask(two_at).await.expect("found");
    assert_eq!((found.cluster, found.identity.node), (None, NodeId(2)));
    let (closed, nobody_at) = socket();
    drop(closed);
    let unanswered = Err(AskError::Unanswered { address: nobody_at });
    assert_eq!(two.ask(nobody_at).await, unanswered);

    two.join(vec![one_at]).expect("taken");
    two.enter(CLUSTER).await.expect("entered");
    until("1", &one, sees(&[2])).await;
    until("2", &two, sees(&[1])).await;
    assert_eq!(two.members().cluster, Some(CLUSTER));
    let refused = two.enter(ClusterId(9)).await;
    assert!(matches!(refused, Err(GossipError::Enter(_))), "{refused:?}");
}

#[tokio::test]
async fn a_reader_that_is_too_slow_gets_the_present_state() {
    let (one, at) = start(1, Some(CLUSTER));
    let (before, mut slow) = one.subscribe();
    // Answers to questions are notices too: more of them than are kept.
    for _ in 0..400 {
        one.ask(at).await.expect("it finds itself");
    }
    let (two, _) = start(2, Some(CLUSTER));
    two.join(vec![at]).expect("taken");
    until("1", &one, sees(&[2])).await;
    let Some(Heard::Missed(snapshot)) = slow.next().await else { panic!("nothing was missed") };
    assert!(snapshot.sequence > before.sequence + 300);
    assert!(sees(&[2])(&snapshot), "what is lost to it is in the snapshot");
    one.ask(at).await.expect("found");
    let Some(Heard::Notice(told)) = slow.next().await else { panic!("and it goes on") };
    assert!(told.sequence > snapshot.sequence);
}

#[tokio::test]
async fn garbage_is_counted_and_does_no_harm() {
    let [(one, at), (two, _), (three, _)] = three().await;
    let (noise, _) = socket();
    for length in 0..2_000_usize {
        let bytes: Vec<u8> = (0..length).map(|i| (i * length) as u8).collect();
        noise.send_to(&bytes, at).expect("sent");
        if length.is_multiple_of(50) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let start = Instant::now();
    while one.counters().dropped.garbage < 1_000 {
        assert!(start.elapsed() < PATIENCE, "{:?}", one.counters());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (gossip, others) in [(&one, [2, 3]), (&two, [1, 3]), (&three, [1, 2])] {
        until("after the noise", gossip, sees(&others)).await;
    }
}

#[test]
fn it_can_be_dropped_and_asked_without_a_runtime() {
    let (gossip, address) = start(1, Some(CLUSTER));
    gossip.join(vec![address]).expect("taken");
    gossip.hint(NodeId(2)).expect("taken");
    assert_eq!(gossip.members().own.node, NodeId(1));
    let same = gossip.clone();
    drop(gossip);
    assert!(same.is_running());
    drop(same);
    // The port is free when the drop has returned.
    Gossip::bind(address).expect("bound again");
}

#[test]
fn what_can_not_be_bound_or_started_is_said() {
    let (taken, address) = socket();
    let error = Gossip::bind(address).expect_err("taken").to_string();
    assert!(error.contains(&address.to_string()) && error.contains("another process"), "{error}");
    let mut wrong = identity(1, address, 1);
    wrong.peer.set_port(0);
    let config = Config::default();
    let options = Options { config, identity: wrong, cluster: None, socket: taken, seed: 1 };
    let error = Gossip::start(options).expect_err("no port").to_string();
    assert!(error.contains("peer address"), "{error}");
    let (gossip, _) = start(1, None);
    let many = vec![address; 65];
    assert_eq!(gossip.join(many), Err(GossipError::TooManyAddresses { given: 65 }));
}

#[test]
fn handles_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let (gossip, _) = start(1, None);
    shared(&gossip);
    let _: Arc<Snapshot> = gossip.members();
}
