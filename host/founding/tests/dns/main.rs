//! What seeds stand for, asked of servers on loopback that answer well and badly.
#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

mod server;

use std::{collections::BTreeSet, net::SocketAddr, sync::atomic::Ordering, time::Duration};

use server::{Entry, Manner, Server, a, aaaa, srv};
use stead_founding::{ADDRESSES_MAX, Names, Resolved, Seed};

const SEARCH: &str = "default.svc.cluster.local.";

fn pods() -> Vec<Entry> {
    vec![
        ("stead-peers.default.svc.cluster.local.", a([10, 0, 0, 1])),
        ("stead-peers.default.svc.cluster.local.", a([10, 0, 0, 2])),
        ("stead-peers.default.svc.cluster.local.", aaaa("fd00::1")),
        ("_gossip._udp.stead-peers.default.svc.cluster.local.", srv(8082, "p1.example.")),
        ("_gossip._udp.stead-peers.default.svc.cluster.local.", srv(8083, "p2.example.")),
        ("_gossip._udp.stead-peers.default.svc.cluster.local.", srv(8084, "gone.example.")),
        ("_none._udp.example.", srv(0, ".")),
        ("p1.example.", a([10, 0, 1, 1])),
        ("p1.example.", aaaa("fd00::11")),
        ("p2.example.", a([10, 0, 1, 2])),
    ]
}

fn names(server: &Server, hosts: &str) -> Names {
    Names::given(vec![server.address], vec![SEARCH.into()], hosts.into())
}

async fn resolve(names: &Names, seeds: &str) -> Resolved {
    names.resolve(&Seed::list(seeds).expect("seeds")).await
}

fn addresses(list: &[&str]) -> BTreeSet<SocketAddr> {
    list.iter().map(|text| text.parse().expect("an address")).collect()
}

#[tokio::test]
async fn a_name_is_all_its_addresses_by_search_domain_and_in_full() {
    let server = Server::start(Manner::Well, pods());
    let all = addresses(&["10.0.0.1:9", "10.0.0.2:9", "[fd00::1]:9"]);
    for name in [
        "stead-peers",
        "stead-peers.default.svc.cluster.local",
        "stead-peers.default.svc.cluster.local.",
    ] {
        let found = resolve(&names(&server, ""), &format!("{name}:9")).await;
        assert_eq!(found.addresses, all, "{name}: {:?}", found.unresolved);
    }
}

#[tokio::test]
async fn a_service_is_its_targets_with_their_ports() {
    let server = Server::start(Manner::Well, pods());
    let all = addresses(&["10.0.1.1:8082", "[fd00::11]:8082", "10.0.1.2:8083"]);
    for name in ["_gossip._udp.stead-peers", "_gossip._udp.stead-peers.default.svc.cluster.local."]
    {
        let found = resolve(&names(&server, ""), &format!("srv:{name}")).await;
        assert_eq!(found.addresses, all, "a target that is gone takes nothing away: {found:?}");
        assert!(found.unresolved.is_empty(), "{found:?}");
    }
}

#[tokio::test]
async fn what_stands_for_nothing_is_named_and_the_rest_is_found() {
    let server = Server::start(Manner::Well, pods());
    let seeds = "nobody:1, 127.0.0.1:7, srv:_none._udp.example., srv:_x._udp.nobody, p2.example.:3";
    let found = resolve(&names(&server, ""), seeds).await;
    assert_eq!(found.addresses, addresses(&["127.0.0.1:7", "10.0.1.2:3"]));
    let unresolved: Vec<_> = found.unresolved.iter().map(|(seed, _)| seed.to_string()).collect();
    assert_eq!(unresolved, ["nobody:1", "srv:_none._udp.example.", "srv:_x._udp.nobody"]);
    assert!(found.unresolved.iter().all(|(_, why)| !why.is_empty()), "{found:?}");
}

#[tokio::test]
async fn nothing_is_kept_from_one_time_to_the_next() {
    let server = Server::start(Manner::Well, pods());
    let names = names(&server, "");
    resolve(&names, "p2.example.:3").await;
    let before = server.asked.load(Ordering::Relaxed);
    resolve(&names, "p2.example.:3").await;
    assert!(server.asked.load(Ordering::Relaxed) > before, "it was asked again");
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_asked_for_over_tcp() {
    let server = Server::start(Manner::Truncates, pods());
    let found = resolve(&names(&server, ""), "stead-peers:9,srv:_gossip._udp.stead-peers").await;
    assert_eq!(found.addresses.len(), 6, "{found:?}");
    assert!(server.by_tcp.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn the_file_of_hosts_goes_before_and_asks_nobody() {
    let server = Server::start(Manner::Silent, Vec::new());
    let names = names(&server, "10.9.9.9 known\nfd00::9 known\n");
    let found = resolve(&names, "known:1").await;
    assert_eq!(found.addresses, addresses(&["10.9.9.9:1", "[fd00::9]:1"]));
    assert_eq!(server.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn garbage_and_silence_hold_up_no_other_seed_for_ever() {
    for manner in [Manner::Garbage, Manner::Silent, Manner::Late(Duration::from_secs(60))] {
        let server = Server::start(manner, pods());
        let seeds = "stead-peers:9,srv:_gossip._udp.stead-peers,10.0.0.7:1";
        let found = resolve(&names(&server, ""), seeds).await;
        assert_eq!(found.addresses, addresses(&["10.0.0.7:1"]), "{manner:?}");
        assert_eq!(found.unresolved.len(), 2, "{manner:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_late_is_waited_for() {
    let server = Server::start(Manner::Late(Duration::from_millis(200)), pods());
    let found = resolve(&names(&server, ""), "p2.example.:9").await;
    assert_eq!(found.addresses, addresses(&["10.0.1.2:9"]), "{found:?}");
}

#[tokio::test]
async fn too_many_addresses_are_left_out_and_counted() {
    let zone = (0..200).map(|at| ("many.example.", a([10, 1, 0, at]))).collect();
    let server = Server::start(Manner::Truncates, zone);
    let found = resolve(&names(&server, ""), "many.example.:9").await;
    assert_eq!(found.addresses.len(), ADDRESSES_MAX);
    assert!(found.left_out > 0, "{found:?}");
}

#[tokio::test]
async fn without_a_server_addresses_are_still_addresses() {
    let none = Names::given(Vec::new(), Vec::new(), String::new());
    let found = resolve(&none, "10.0.0.7:1,name:2").await;
    assert_eq!(found.addresses, addresses(&["10.0.0.7:1"]));
    assert_eq!(found.unresolved.len(), 1, "{found:?}");
    // The system's own settings, whatever they are here.
    let found = resolve(&Names::system(), "localhost:2").await;
    assert!(found.addresses.contains(&"127.0.0.1:2".parse().expect("an address")), "{found:?}");
}
