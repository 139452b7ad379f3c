//! Histories, in pages and followed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stead_ingress::AdminOptions;

use crate::support::{House, Server, Wire, get};

async fn start(options: AdminOptions) -> (House, Server) {
    let house = House::new();
    for number in 1..=5 {
        house.record("cart/1", "item-added", format!("{{\n \"n\": {number}}}").as_bytes());
    }
    let server = Server::admin(&house, options).await;
    (house, server)
}

fn sequences(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("a list");
    events.iter().map(|event| event["sequence"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn a_part_of_a_history_is_listed() {
    let (_, server) = start(AdminOptions::default()).await;
    let list = async |query: &str| {
        get(server.address, &format!("/entities/cart/1/events{query}")).await.json()
    };
    let page = list("").await;
    assert_eq!(page["address"], "cart/1");
    assert_eq!((&page["last-sequence"], &page["first-stored"]), (&json!(5), &json!(1)));
    assert_eq!(page["life-begins-after"], 0);
    let first = json!({"sequence": 1, "name": "item-added", "at": 1001, "version": 1,
        "body": {"n": 1}});
    assert_eq!(page["events"][0], first);
    for (query, expected) in [
        ("", &[1, 2, 3, 4, 5][..]),
        ("?from=3", &[3, 4, 5]),
        ("?from=0&to=2", &[1, 2]),
        ("?from=2&to=4&limit=2", &[2, 3]),
        ("?limit=0", &[]),
        ("?from=4&to=2", &[]),
        ("?from=9", &[]),
        ("?follow=false", &[1, 2, 3, 4, 5]),
    ] {
        assert_eq!(sequences(&list(query).await), expected, "{query}");
    }
    let at = server.address;
    for query in ["from=x", "limit=-1", "follow=maybe", "follow=true&to=3", "form=1"] {
        let reply = get(at, &format!("/entities/cart/1/events?{query}")).await;
        reply.problem(400, "malformed-argument");
    }
    get(at, "/entities/basket/1/events").await.problem(404, "unknown-type");
    get(at, "/entities/basket/1/events?follow=true").await.problem(404, "unknown-type");
}

#[tokio::test]
async fn what_is_no_json_is_shown_in_base64() {
    let (house, server) = start(AdminOptions::default()).await;
    house.record("cart/2", "imported", b"1");
    house.record("cart/2", "item-added", b"\xff");
    house.record("cart/2", "forgotten-kind", b"[2]");
    house.record("cart/2", "item-added", b"");
    let page = get(server.address, "/entities/cart/2/events").await.json();
    let shown =
        |at: usize| (page["events"][at]["body"].clone(), page["events"][at]["body-base64"].clone());
    assert_eq!(shown(0), (Value::Null, json!("MQ==")), "by its kind's content type");
    assert_eq!(shown(1), (Value::Null, json!("/w==")));
    assert_eq!(shown(2), (json!([2]), Value::Null));
    assert_eq!(shown(3), (Value::Null, json!("")));
}

async fn follow(server: &Server, query: &str) -> Wire {
    let mut wire = Wire::connect(server.address).await;
    wire.send(format!(
        "GET /entities/cart/1/events?follow=true{query} HTTP/1.1\r\nhost: localhost\r\n\r\n"
    ))
    .await;
    let head = wire.head().await.expect("an answer");
    assert_eq!(head.header("content-type"), Some("application/x-ndjson"));
    wire
}

fn lines(chunk: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(chunk).expect("text");
    assert!(text.ends_with('\n'));
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn a_follower_gets_what_was_and_what_comes() {
    let (house, server) = start(AdminOptions::default()).await;
    let mut wire = follow(&server, "&from=3").await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(lines(&wire.chunk().await.expect("events")));
    }
    for number in 6..=8 {
        let recorded = Instant::now();
        house.record("cart/1", "item-added", format!("{{\"n\": {number}}}").as_bytes());
        let new = lines(&wire.chunk().await.expect("an event"));
        assert!(recorded.elapsed() < Duration::from_millis(500));
        seen.extend(new);
    }
    let numbers: Vec<_> = seen.iter().map(|event| event["body"]["n"].clone()).collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_follower_to_whom_nothing_happens_hears_so() {
    let options = AdminOptions { heartbeat_ms: 50, ..AdminOptions::default() };
    let (house, server) = start(options).await;
    let mut wire = follow(&server, "&from=6").await;
    for _ in 0..3 {
        assert_eq!(wire.chunk().await.as_deref(), Some(b"\n".as_slice()));
    }
    house.record("cart/1", "item-added", b"{}");
    let mut seen = Vec::new();
    while seen.is_empty() {
        seen = lines(&wire.chunk().await.expect("an event"));
    }
    assert_eq!(seen[0]["sequence"], 6);
}

/// An idle connection is closed; one that is followed is not idle.
#[tokio::test]
async fn following_outlasts_the_idle_limit_and_ends_with_the_server() {
    let mut options = AdminOptions { heartbeat_ms: 60_000, ..AdminOptions::default() };
    options.connections.idle_ms_max = 200;
    options.connections.head_ms_max = 100;
    let (house, server) = start(options).await;
    let mut wire = follow(&server, "&from=6").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    house.record("cart/1", "item-added", b"{}");
    assert_eq!(lines(&wire.chunk().await.expect("an event")).len(), 1);
    let began = Instant::now();
    let stopping = server.begin_stop();
    assert_eq!(wire.chunk().await, None, "the end of the body, as it should be");
    drop(wire);
    assert_eq!(stopping.await.expect("it ends").cut_off, 0);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_failure_on_the_way_is_the_last_line() {
    let (house, server) = start(AdminOptions::default()).await;
    house.record("cart/broken", "item-added", b"{}");
    let mut wire = Wire::connect(server.address).await;
    wire.send("GET /entities/cart/broken/events?follow=true HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    assert_eq!(wire.head().await.expect("an answer").status, 200);
    assert_eq!(lines(&wire.chunk().await.expect("an event"))[0]["sequence"], 1);
    let last = lines(&wire.chunk().await.expect("a problem"));
    assert_eq!(last[0]["problem"]["code"], "entity-unreadable");
    assert_eq!(wire.chunk().await, None);
}

#[tokio::test]
async fn there_are_only_so_many_followers() {
    let options = AdminOptions { followers_max: 2, heartbeat_ms: 20, ..AdminOptions::default() };
    let (_, server) = start(options).await;
    let (_first, second) = (follow(&server, "").await, follow(&server, "").await);
    let third = get(server.address, "/entities/cart/1/events?follow=true").await;
    third.problem(503, "too-many-followers");
    assert!(third.header("retry-after").is_some());
    assert_eq!(get(server.address, "/entities/cart/1/events").await.status, 200);
    drop(second);
    // The heartbeat shows that it is gone.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _third = follow(&server, "").await;
}
