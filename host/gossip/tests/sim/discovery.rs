//! Asking who is where, before and after a node is in a cluster.

use std::net::SocketAddr;
use std::time::Duration;

use stead_gossip::{Config, Core, Effect, HELLO_BYTES, Input, Notice, Packet};
use stead_model::{ClusterId, NodeId};

use crate::world::{CLUSTER, Weather, World, address, identity};

const OTHER: ClusterId = ClusterId(0xC2);

fn found(world: &World, node: usize) -> Vec<(usize, Option<ClusterId>, NodeId)> {
    let notices = world.log.iter().filter(|told| told.node == node);
    let found = notices.filter_map(|told| match &told.notice {
        Notice::Found { asked, cluster, identity } => {
            let asked = (0..10).find(|at| address(*at) == *asked)?;
            Some((asked, *cluster, identity.node))
        }
        _ => None,
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found
}

#[test]
fn who_is_in_no_cluster_asks_and_answers() {
    let mut world = World::new(1);
    world.start(identity(1, 0, 1), None);
    world.start(identity(2, 1, 1), None);
    world.start(identity(3, 2, 1), Some(CLUSTER));
    world.start(identity(4, 3, 1), Some(OTHER));
    for asked in 0..5 {
        world.input(0, Input::Ask { address: address(asked) });
    }
    world.run_for(Duration::from_secs(2));
    let answers = [
        (0, None, NodeId(1)),
        (1, None, NodeId(2)),
        (2, Some(CLUSTER), NodeId(3)),
        (3, Some(OTHER), NodeId(4)),
    ];
    assert_eq!(found(&world, 0), answers);
    let unanswered = world.told(|told| matches!(told.notice, Notice::Unanswered { .. }));
    assert_eq!(unanswered.len(), 1);
    assert_eq!(unanswered[0].notice, Notice::Unanswered { asked: address(4) });
    assert!(world.nodes[0].core.next_deadline().is_none(), "and then it is quiet");
}

#[test]
fn words_about_founding_reach_those_in_no_cluster_alone_and_only_from_such() {
    let mut world = World::new(1);
    world.start(identity(1, 0, 1), None);
    world.start(identity(2, 1, 1), None);
    world.start(identity(3, 2, 1), Some(CLUSTER));
    for (from, to) in [(0, 1), (0, 2), (2, 1), (0, 3)] {
        let body = &[7, from as u8][..];
        world.input(from, Input::Say { to: address(to), body });
    }
    let long = [0; 513];
    for body in [&[][..], &long] {
        world.input(0, Input::Say { to: address(1), body });
    }
    world.run_for(Duration::from_secs(1));
    let heard = world.told(|told| matches!(told.notice, Notice::Word { .. }));
    assert_eq!(heard.len(), 1, "{heard:?}");
    let body = [7, 0][..].into();
    assert_eq!(heard[0].notice, Notice::Word { from: address(0), body });
    assert_eq!(heard[0].node, 1);
    world.enter(1, CLUSTER);
    world.input(0, Input::Say { to: address(1), body: &[1] });
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.told(|told| matches!(told.notice, Notice::Word { .. })).len(), 1);
}

#[test]
fn questions_and_answers_that_are_lost_are_repeated() {
    let (mut answered, asked) = (0, 200);
    for seed in 0..asked {
        let mut world = World::new(seed);
        world.start(identity(1, 0, 1), None);
        world.start(identity(2, 1, 1), None);
        world.weather = Weather { loss_per_mille: 200, ..Weather::FAIR };
        world.input(0, Input::Ask { address: address(1) });
        world.run_for(Duration::from_secs(2));
        answered += found(&world, 0).len();
    }
    // Three tries, each lost at one way or the other in 36 of 100 cases.
    assert!(answered > asked as usize * 90 / 100, "{answered} of {asked}");
}

#[test]
fn nodes_that_enter_a_cluster_later_join_it() {
    let mut world = World::new(1);
    for node in 0..3 {
        world.start(identity(node as u128 + 1, node, 1), None);
        world.input(node, Input::Join { addresses: &[address(0), address(1), address(2)] });
    }
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.datagrams, 0, "nobody is joined before there is a cluster");
    for node in [2, 0, 1] {
        world.enter(node, CLUSTER);
        world.run_for(Duration::from_millis(700));
    }
    world.run_until_agreed(Duration::from_secs(3));
    let error = world.nodes[0].core.enter(OTHER, world.now).expect_err("another cluster");
    assert!(error.to_string().contains("can't enter"), "{error}");
    assert!(world.nodes[0].core.enter(CLUSTER, world.now).is_ok());
    assert!(world.nodes[0].core.enter(ClusterId(0), world.now).is_err());
}

#[test]
fn clusters_do_not_mix_and_each_is_told_of_the_other_once() {
    let mut world = World::new(3);
    for node in 0..4 {
        let cluster = if node < 2 { CLUSTER } else { OTHER };
        world.start(identity(node as u128 + 1, node, 1), Some(cluster));
        let all: Vec<_> = (0..4).map(address).collect();
        world.input(node, Input::Join { addresses: &all });
    }
    world.run_for(Duration::from_secs(20));
    for node in 0..4 {
        let snapshot = world.nodes[node].core.snapshot();
        assert_eq!(snapshot.present().count(), 1, "node {node}");
        let foreign =
            world.told(|told| told.node == node && matches!(told.notice, Notice::Foreign { .. }));
        assert_eq!(foreign.len(), 2, "node {node}: once for each address");
        let Notice::Foreign { text, .. } = &foreign[0].notice else { unreachable!() };
        assert!(text.contains("belongs to cluster") && text.contains("empty data"), "{text}");
    }
    let before = world.log.len();
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.log.len(), before + 8, "and again after a minute");
}

/// What foca sends to make a node, here one at address 9, known to the one at address 0.
fn announcement() -> Vec<u8> {
    let (now, who) = (Duration::ZERO, identity(10, 9, 1));
    let core = Core::new(Config::default(), who, Some(CLUSTER), 1, now);
    let mut core = core.expect("sound settings");
    let sent = core.handle(Input::Join { addresses: &[address(0)] }, now);
    let [Effect::Send { bytes, .. }] = &sent[..] else { panic!("{sent:?}") };
    let Ok(Packet::Hello { nonce }) = Packet::decode(bytes) else { panic!("a question") };
    let identity = identity(1, 0, 1_000);
    let answer = Packet::Welcome { cluster: Some(CLUSTER), nonce, identity }.encode();
    let sent = core.handle(Input::Datagram { from: address(0), bytes: &answer }, now);
    let [Effect::Send { bytes, .. }] = &sent[..] else { panic!("{sent:?}") };
    let Ok(Packet::Swim { body, .. }) = Packet::decode(bytes) else { panic!("an announcement") };
    body.to_vec()
}

#[test]
fn gossip_of_another_cluster_is_dropped_and_counted() {
    let mut world = World::formed(1, 3);
    let body = announcement();
    let bytes = Packet::Swim { cluster: OTHER, body: &body }.encode();
    for _ in 0..5 {
        world.input(0, Input::Datagram { from: address(9), bytes: &bytes });
    }
    assert_eq!(world.nodes[0].core.counters().dropped.other_cluster, 5);
    assert_eq!(world.log.len(), 1, "told once");
    assert_eq!(world.nodes[0].core.snapshot().members.len(), 2, "and not believed");
    let ours = Packet::Swim { cluster: CLUSTER, body: &body }.encode();
    world.input(0, Input::Datagram { from: address(9), bytes: &ours });
    assert_eq!(world.nodes[0].core.snapshot().members.len(), 3, "as it would have been");
    let mut bytes = bytes;
    bytes[4] = 9;
    world.input(0, Input::Datagram { from: address(8), bytes: &bytes });
    assert_eq!(world.nodes[0].core.counters().dropped.other_version, 1);
    let Some(Notice::Foreign { text, .. }) = world.log.last().map(|told| &told.notice) else {
        panic!("told of the version");
    };
    assert!(text.contains("version 9"), "{text}");
}

#[test]
fn an_answer_is_never_larger_than_its_question() {
    let mut world = World::new(1);
    let mut who = identity(u128::MAX, 0, u64::MAX / 2);
    who.zone = stead_gossip::Zone::new(&"z".repeat(32)).expect("a zone");
    let v6 = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().expect("an address");
    (who.peer, who.ingress) = (v6, v6);
    world.start(who, Some(ClusterId(u128::MAX)));
    let core = &mut world.nodes[0].core;
    let hello = Packet::Hello { nonce: u64::MAX }.encode();
    assert_eq!(hello.len(), HELLO_BYTES);
    let from = address(1);
    let effects = core.handle(Input::Datagram { from, bytes: &hello }, world.now);
    let [Effect::Send { to, bytes }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*to, from);
    assert!(bytes.len() <= HELLO_BYTES, "{}", bytes.len());
    let short = &hello[..HELLO_BYTES - 1];
    assert_eq!(core.handle(Input::Datagram { from, bytes: short }, world.now), []);
}

#[test]
fn the_addresses_to_join_at_may_change() {
    let mut world = World::new(1);
    for node in 0..2 {
        world.start(identity(node as u128 + 1, node, 1), Some(CLUSTER));
    }
    // A name that was looked up many times while nobody was there.
    for round in 0..200 {
        let nobody = SocketAddr::from(([10, 9, 9, round], 8082));
        world.input(1, Input::Join { addresses: &[nobody] });
        world.run_for(Duration::from_millis(20));
    }
    world.input(1, Input::Join { addresses: &[address(0)] });
    world.run_until_agreed(Duration::from_secs(5));
}

#[test]
fn answers_that_nobody_asked_for_are_dropped() {
    let mut world = World::formed(1, 2);
    let identity = identity(66, 6, 1);
    let bytes = Packet::Welcome { cluster: Some(CLUSTER), nonce: 7, identity }.encode();
    world.input(0, Input::Datagram { from: address(6), bytes: &bytes });
    assert_eq!(world.nodes[0].core.counters().dropped.unasked, 1);
    assert_eq!(world.log, []);
}

#[test]
fn no_more_addresses_are_taken_than_may_be_remembered() {
    let config = Config { addresses_max: 8, ..Config::default() };
    let mut world = World::with_config(1, config);
    for node in 0..12 {
        world.start(identity(node as u128 + 1, node, 1), Some(CLUSTER));
        world.input(node, Input::Join { addresses: &[address(0)] });
    }
    world.run_for(Duration::from_secs(10));
    for node in &world.nodes {
        assert!(node.core.snapshot().members.len() <= 8);
    }
    assert!(world.nodes[0].core.counters().dropped.too_many > 0);
}
