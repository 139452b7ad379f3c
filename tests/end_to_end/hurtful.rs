//! Guests made to hurt, in a real node: whatever they do, the caller is told,
//! nothing of the command is recorded, and everyone else goes on.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use stead_tests::{client::Answer, node::Node};

use crate::support::{House, SMALL, names, problem};

const NEIGHBOURS: u64 = 12;

async fn node_with_evil(house: &House, isolation: &str) -> Node {
    let settings =
        [SMALL, ("STEAD_GUESTS_CALL_TIMEOUT", "500ms"), ("STEAD_GUESTS_REPLAY_TIMEOUT", "500ms")];
    let node = house.node(&settings).await;
    let manifest = json!({"type": "evil", "isolation": isolation});
    node.deploy(&stead_test_support::guest("evil"), &manifest).await;
    for n in 0..NEIGHBOURS {
        assert_eq!(node.tell(&format!("evil/n{n}"), "add", &(n + 1).to_string()).await.status, 200);
    }
    node
}

#[track_caller]
fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

async fn neighbours_are_right(node: &Node, after: &str) {
    for n in 0..NEIGHBOURS {
        let total = text(&node.get(&format!("/entities/evil/n{n}/total")).await);
        assert_eq!(total, (n + 1).to_string(), "n{n} after {after}");
    }
}

/// The entity's code failed; the incident is in the node's log.
#[track_caller]
fn failed(node: &Node, answer: &Answer, act: &str) {
    assert_eq!(answer.status, 500, "{act}: {}", answer.text());
    let problem = problem(answer, 500, "entity-failed");
    let incident = problem["incident"].as_str().unwrap_or_default().to_owned();
    assert!(!incident.is_empty(), "{act}: {problem}");
    assert!(node.log_text().contains(&incident), "{act}: {incident} isn't in the log");
}

/// What a command can do that must not do harm.
const ACTS: [&str; 18] = [
    "loop",
    "recurse",
    "bomb",
    "hoard=100000000",
    "panic",
    "panic-long",
    "trap",
    "exit",
    "sleep",
    "reply=2000000",
    "reply=1000000000",
    "random=1000000",
    "handles=10000000",
    "events=100000",
    "events=10000000",
    "event-bytes=8000000",
    "event-named=never-described",
    "effect=message",
];

async fn every_act_hurts_only_itself(isolation: &str) {
    let house = House::new();
    let node = node_with_evil(&house, isolation).await;
    assert_eq!(text(&node.tell("evil/victim", "add", "1").await), "1");
    let mut total = 1;
    for act in ACTS {
        failed(&node, &node.tell("evil/victim", "act", act).await, act);
        assert_eq!(node.events("evil/victim").await.len(), total, "{act} recorded something");
        neighbours_are_right(&node, act).await;
        total += 1;
        let answer = node.tell("evil/victim", "add", "1").await;
        assert_eq!(text(&answer), total.to_string(), "the victim of {act} goes on");
    }
    // As a query, too.
    for act in ["loop", "recurse", "bomb", "panic", "reply=2000000", "reply=1000000000"] {
        let headers = [("content-type", "text/plain")];
        let answer = node.request(Method::GET, "/entities/evil/victim/ask", &headers, act).await;
        failed(&node, &answer, act);
        neighbours_are_right(&node, act).await;
    }
    assert_eq!(text(&node.get("/entities/evil/victim/total").await), total.to_string());
    let status = node.admin_ask("/status").await;
    assert_eq!(status["ready"], true, "{status}");
    assert!(
        status["faults"].as_u64().is_some_and(|faults| faults >= ACTS.len() as u64),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_hurts_only_itself_in_a_shared_instance() {
    every_act_hurts_only_itself("shared").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_hurts_only_itself_in_an_instance_of_its_own() {
    every_act_hurts_only_itself("entity").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn harm_in_other_places_than_a_command_is_told_too() {
    let house = House::new();
    let node = node_with_evil(&house, "shared").await;
    for act in ["trap", "loop", "recurse", "panic", "bomb", "now", "random=8"] {
        // It can't even be made.
        let answer = node.tell(&format!("evil/construct!{act}"), "add", "1").await;
        assert_eq!(answer.status, 500, "construct {act}: {}", answer.text());
        assert!(["entity-failed", "entity-unreadable"].contains(&code(&answer).as_str()));
        assert_eq!(node.events(&format!("evil/construct!{act}")).await, Vec::<Value>::new());
        neighbours_are_right(&node, &format!("construct {act}")).await;

        let answer = node.tell(&format!("evil/handle!{act}"), "add", "1").await;
        if !["now", "random=8"].contains(&act) {
            failed(&node, &answer, act);
        }

        // It can be made and works, and can't be brought back.
        let id = format!("evil/apply!{act}");
        assert_eq!(text(&node.tell(&id, "add", "1").await), "1");
        failed(&node, &node.tell(&id, "act", "trap").await, "trap");
        let answer = node.tell(&id, "add", "1").await;
        assert_eq!(answer.status, 500, "apply {act}: {}", answer.text());
        assert!(["entity-failed", "entity-unreadable"].contains(&code(&answer).as_str()));
        assert_eq!(names(&node.events(&id).await), ["added"], "its history can still be read");
        neighbours_are_right(&node, &format!("apply {act}")).await;
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_fails_or_lies_is_not_stored() {
    let house = House::new();
    let node = node_with_evil(&house, "shared").await;
    for id in ["snapshot!trap", "snapshot!loop", "snapshot!bomb", "snapshot!now"] {
        let address = format!("evil/{id}");
        assert_eq!(text(&node.tell(&address, "add", "3").await), "3");
        let path = format!("/entities/{address}/snapshot");
        let answer = node.admin_send(Method::POST, &path, &Value::Null).await;
        assert!(answer.status.is_server_error(), "{id}: {} {}", answer.status, answer.text());
        assert_eq!(node.admin_get(&format!("/entities/{address}/snapshot")).await.status, 404);
        assert_eq!(text(&node.tell(&address, "add", "1").await), "4", "{id} goes on without");
        neighbours_are_right(&node, id).await;
    }
}

/// A snapshot that replay doesn't lead to would change what the entity is.
#[tokio::test(flavor = "multi_thread")]
async fn a_liars_snapshot_never_becomes_its_state() {
    let house = House::new();
    let settings = [SMALL, ("STEAD_ENTITIES_IDLE_TIMEOUT", "1s")];
    let node = house.node(&settings).await;
    let manifest = json!({"type": "evil", "snapshot": {"every-events": 2}});
    node.deploy(&stead_test_support::guest("evil"), &manifest).await;
    for total in 1..=10 {
        assert_eq!(text(&node.tell("evil/liar", "add", "1").await), total.to_string());
    }
    node.until("the liar is let go", async || {
        node.admin_ask("/entities/evil/liar").await["live"] == false
    })
    .await;
    assert_eq!(text(&node.get("/entities/evil/liar/total").await), "10");
    assert_eq!(text(&node.tell("evil/liar", "add", "1").await), "11");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_has_a_status_of_its_kind() {
    let house = House::new();
    let node = node_with_evil(&house, "shared").await;
    for (asked, given) in [("409", 409), ("499", 499), ("400", 400)] {
        problem(&node.tell("evil/a", "act", &format!("reject={asked}")).await, given, "no");
    }
    // An entity can't speak for the node: any other status is 422, or a fault.
    for asked in ["200", "301", "500", "65535", "0"] {
        let answer = node.tell("evil/a", "act", &format!("reject={asked}")).await;
        assert!([422, 500].contains(&answer.status.as_u16()), "{asked}: {}", answer.text());
    }
    assert_eq!(node.events("evil/a").await, Vec::<Value>::new());
    neighbours_are_right(&node, "rejections").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_prints_is_in_the_log_under_its_name() {
    let house = House::new();
    let node = node_with_evil(&house, "shared").await;
    for act in ["print=2", "log=1000"] {
        let answer = node.tell("evil/talker", "act", act).await;
        assert_eq!(answer.status, 204, "{act}: {}", answer.text());
    }
    let log = node.log_text();
    for wanted in ["line 1", "complaint 0", "logged 7", "talker"] {
        assert!(log.contains(wanted), "{wanted:?} is not in the log\n{}", node.log_tail());
    }
    assert!(!log.contains("logged 999"), "100 lines a call are enough");
    node.tell("evil/talker", "act", "print-forged").await;
    assert!(node.log_text().contains("first"), "{}", node.log_tail());
    assert!(!node.log_text().contains("\x1b[31m red"), "a guest can't write to a terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_faults_leaves_the_rest_alone() {
    let house = House::new();
    let node = node_with_evil(&house, "shared").await;
    let storm: Vec<_> = (0..8)
        .map(|n| {
            let (client, server) = (node.client.clone(), node.ingress);
            tokio::spawn(async move {
                let mut faults = 0;
                for _ in 0..20 {
                    let path = format!("/entities/evil/v{n}/act");
                    let headers = [("content-type", "text/plain")];
                    let answer = client.send(Method::POST, server, &path, &headers, "trap").await;
                    assert_eq!(answer.expect("an answer").status, 500);
                    faults += 1;
                }
                faults
            })
        })
        .collect();
    let mut rounds = 0;
    while !storm.iter().all(tokio::task::JoinHandle::is_finished) {
        neighbours_are_right(&node, "the storm").await;
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for task in storm {
        assert_eq!(task.await.expect("all were told"), 20);
    }
    assert!(rounds > 0);
    neighbours_are_right(&node, "the storm").await;
}
