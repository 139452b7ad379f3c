//! New versions of a type, and old ones put back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::Method;
use serde_json::{Value, json};
use stead_tests::{client::Answer, node::Node};

use crate::support::{House, SMALL, problem, sequences, turncoat};

#[track_caller]
fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

async fn deploy(node: &Node, name: &str) -> u64 {
    let manifest = json!({"type": "turncoat", "snapshot": {"every-events": 10}});
    let deployed = node.deploy_bytes(turncoat(name), &manifest).await;
    deployed["version"].as_u64().expect("a version")
}

async fn code(node: &Node, id: &str) -> String {
    text(&node.get(&format!("/entities/turncoat/{id}/code")).await)
}

async fn total(node: &Node, id: &str) -> String {
    text(&node.get(&format!("/entities/turncoat/{id}/total")).await)
}

async fn roll_back(node: &Node, version: u64) {
    let body = json!({"version": version});
    let answer = node.admin_send(Method::POST, "/types/turncoat/rollback", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["version"], version);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_take_over_between_commands_without_an_error() {
    let house = House::new();
    let node = house.node(&[SMALL]).await;
    let first = deploy(&node, "first").await;
    let stop = Arc::new(AtomicBool::new(false));
    let sent: Arc<Vec<AtomicU64>> = Arc::new((0..16).map(|_| AtomicU64::new(0)).collect());
    let callers: Vec<_> = (0..16)
        .map(|n| {
            let (client, server) = (node.client.clone(), node.ingress);
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let path = format!("/entities/turncoat/{n}/add");
                    let headers = [("content-type", "text/plain")];
                    let answer = client.send(Method::POST, server, &path, &headers, "1").await;
                    let answer = answer.expect("an answer");
                    let count = sent[n].fetch_add(1, Ordering::Relaxed) + 1;
                    assert_eq!(text(&answer), count.to_string(), "{n} goes on counting");
                }
            })
        })
        .collect();
    let mut last = first;
    for name in ["second", "third", "fourth", "fifth"] {
        let version = deploy(&node, name).await;
        assert!(version > last);
        last = version;
        for n in 0..16 {
            assert_eq!(code(&node, &n.to_string()).await, name, "it is there once it is deployed");
        }
    }
    roll_back(&node, first).await;
    assert_eq!(code(&node, "0").await, "first");
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no caller saw an error");
    }
    for (n, sent) in sent.iter().enumerate() {
        let events = node.events(&format!("turncoat/{n}")).await;
        let sent = sent.load(Ordering::Relaxed);
        assert_eq!(sequences(&events), (1..=sent).collect::<Vec<_>>());
        assert!(sent > 0);
    }
    let listed = node.admin_ask("/types/turncoat/versions").await;
    let listed = listed["versions"].as_array().expect("versions").clone();
    assert_eq!(listed.len(), 5, "{listed:?}");
    let current: Vec<&Value> = listed.iter().filter(|one| one["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["version"], first);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_new_code_can_not_read_fall_back_to_replay() {
    let house = House::new();
    let mut node = house.node(&[SMALL]).await;
    let first = deploy(&node, "first").await;
    for _ in 0..25 {
        text(&node.tell("turncoat/a", "add", "1").await);
    }
    let path = "/entities/turncoat/a/snapshot";
    // One may be under way, as the type wants one after each ten events.
    node.until("a snapshot is taken", async || {
        let taken = node.admin_send(Method::POST, path, &Value::Null).await;
        assert!([200, 503].contains(&taken.status.as_u16()), "{}", taken.text());
        taken.status == 200 && taken.json()["version"] == first
    })
    .await;

    // Other code folds the same events: that it was replayed shows in the total.
    deploy(&node, "double").await;
    assert_eq!(total(&node, "a").await, "50");
    let status = node.admin_ask("/entities/turncoat/a").await;
    assert_eq!(status["last-replay-events"], 25, "{status}");
    assert_eq!(text(&node.tell("turncoat/a", "add", "1").await), "52");

    // Also after the node was down, and also the way back.
    assert!(node.stop().success());
    let node = house.node(&[SMALL]).await;
    assert_eq!((code(&node, "a").await, total(&node, "a").await), ("double".into(), "52".into()));
    roll_back(&node, first).await;
    assert_eq!(total(&node, "a").await, "26");
    assert_eq!(text(&node.tell("turncoat/a", "add", "4").await), "30");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_with_events_unknown_to_new_code_says_so_and_others_go_on() {
    let house = House::new();
    let mut node = house.node(&[SMALL]).await;
    let first = deploy(&node, "first").await;
    for n in 0..8 {
        text(&node.tell(&format!("turncoat/{n}"), "add", "1").await);
    }
    text(&node.tell("turncoat/3", "flag", "").await);
    deploy(&node, "strict").await;
    let unreadable = async |node: &Node| {
        for answer in [
            node.tell("turncoat/3", "add", "1").await,
            node.get("/entities/turncoat/3/total").await,
        ] {
            let problem = problem(&answer, 500, "entity-unreadable");
            crate::support::says(&problem, "flagged");
        }
        let status = node.admin_ask("/entities/turncoat/3").await;
        assert!(
            status["unreadable"].as_str().is_some_and(|why| why.contains("flagged")),
            "{status}"
        );
    };
    unreadable(&node).await;
    for n in [0, 1, 2, 4, 5, 6, 7] {
        assert_eq!(text(&node.tell(&format!("turncoat/{n}"), "add", "1").await), "2", "{n}");
    }
    assert_eq!(node.events("turncoat/3").await.len(), 2, "its history can be read");
    assert!(node.stop().success());
    let node = house.node(&[SMALL]).await;
    unreadable(&node).await;

    roll_back(&node, first).await;
    assert_eq!(text(&node.tell("turncoat/3", "add", "1").await), "2", "all is as it was");
    assert_eq!(total(&node, "0").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_out_of_service_keeps_its_journals() {
    let house = House::new();
    let mut node = house.node(&[SMALL]).await;
    deploy(&node, "first").await;
    for n in 0..4 {
        text(&node.tell(&format!("turncoat/{n}"), "add", "7").await);
    }
    let gone = node.admin_send(Method::DELETE, "/types/turncoat", &Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    problem(&node.tell("turncoat/0", "add", "1").await, 404, "unknown-type");
    problem(&node.get("/entities/turncoat/0/total").await, 404, "unknown-type");
    assert_eq!(node.admin_ask("/types").await["types"], json!([]));
    let again = node.admin_send(Method::DELETE, "/types/turncoat", &Value::Null).await;
    problem(&again, 404, "unknown-type");
    assert!(node.stop().success());

    let node = house.node(&[SMALL]).await;
    problem(&node.tell("turncoat/0", "add", "1").await, 404, "unknown-type");
    let version = deploy(&node, "second").await;
    assert_eq!(version, 2, "versions go on");
    for n in 0..4 {
        assert_eq!(text(&node.tell(&format!("turncoat/{n}"), "add", "1").await), "8");
        let events = node.events(&format!("turncoat/{n}")).await;
        assert_eq!(sequences(&events), [1, 2]);
        assert_eq!(
            (events[0]["version"].clone(), events[1]["version"].clone()),
            (json!(1), json!(2))
        );
    }
    let body = json!({"version": 99});
    let answer = node.admin_send(Method::POST, "/types/turncoat/rollback", &body).await;
    problem(&answer, 404, "unknown-version");
}
