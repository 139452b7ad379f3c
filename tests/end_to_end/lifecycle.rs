//! Ends of lives, and events that are not kept for ever.

use http::Method;
use serde_json::{Value, json};
use stead_tests::node::Node;

use crate::support::{House, SMALL, done, sequences};

async fn node_with_ledger(house: &House, manifest: &Value) -> Node {
    let node = house.node(&[SMALL]).await;
    node.deploy(&stead_test_support::guest("ledger"), manifest).await;
    node
}

async fn record(node: &Node, id: &str, serials: impl IntoIterator<Item = u64>) -> Value {
    let mut last = Value::Null;
    for serial in serials {
        let body = json!({"serial": serial.to_string()});
        last = done(&node.call(&format!("ledger/{id}"), "record", &body).await);
    }
    last
}

async fn close(node: &Node, id: &str, purge: bool) {
    let answer = node.call(&format!("ledger/{id}"), "close", &json!({"purge": purge})).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

async fn page(node: &Node, id: &str) -> Value {
    node.admin_ask(&format!("/entities/ledger/{id}/events")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_that_ended_is_followed_by_a_new_one_whose_numbers_go_on() {
    let house = House::new();
    let mut node = node_with_ledger(&house, &json!({"type": "ledger"})).await;
    for (id, purge) in [("kept", false), ("purged", true)] {
        record(&node, id, 1..=3).await;
        close(&node, id, purge).await;
        let totals = node.ask(&format!("/entities/ledger/{id}/totals")).await;
        assert_eq!(totals, json!({"count": 0, "last": ""}), "{id} begins anew");
    }
    let check = async |node: &Node, lives: u64, count: u64| {
        for (id, first) in [("kept", 1), ("purged", lives + 1)] {
            let page = page(node, id).await;
            let events = page["events"].as_array().expect("events").clone();
            let last = lives + count;
            assert_eq!(sequences(&events), (first..=last).collect::<Vec<_>>(), "{id}");
            assert_eq!(page["last-sequence"], last, "{id}: {page}");
            assert_eq!(page["life-begins-after"], lives, "{id}: {page}");
            let totals = node.ask(&format!("/entities/ledger/{id}/totals")).await;
            assert_eq!(totals["count"], count, "{id}");
        }
    };
    check(&node, 3, 0).await;
    for id in ["kept", "purged"] {
        assert_eq!(record(&node, id, 4..=5).await, json!({"count": 2, "last": "5"}));
    }
    check(&node, 3, 2).await;
    node.kill();
    let mut node = house.node(&[SMALL]).await;
    check(&node, 3, 2).await;
    // And with a snapshot from which the new life begins.
    for id in ["kept", "purged"] {
        let path = format!("/entities/ledger/{id}/snapshot");
        let taken = node.admin_send(Method::POST, &path, &Value::Null).await;
        assert_eq!(done(&taken)["state"]["count"], 2);
    }
    assert!(node.stop().success());
    let node = house.node(&[SMALL]).await;
    check(&node, 3, 2).await;
    for (id, purge) in [("kept", false), ("purged", true)] {
        close(&node, id, purge).await;
        let snapshot = node.admin_get(&format!("/entities/ledger/{id}/snapshot")).await;
        assert_eq!(snapshot.status, 404, "an ended life's snapshot is no snapshot of the next");
    }
    check(&node, 5, 0).await;
    let listed = node.admin_ask("/types/ledger/entities").await;
    assert_eq!(listed["entities"], json!(["kept", "purged"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_behind_a_snapshot_are_dropped_as_the_type_wants() {
    let house = House::new();
    let manifest = json!({
        "type": "ledger",
        "snapshot": {"every-events": 20},
        "retention": {"events-behind-snapshot": 5},
    });
    let mut node = node_with_ledger(&house, &manifest).await;
    let mut sent = 0;
    // Snapshots are taken beside the commands; some of these must meet one.
    node.until("events are dropped", || {
        let range = sent + 1..=sent + 50;
        sent += 50;
        let node = &node;
        async move {
            record(node, "a", range).await;
            page(node, "a").await["first-stored"].as_u64().is_some_and(|first| first > 1)
        }
    })
    .await;
    let check = async |node: &Node| {
        let page = page(node, "a").await;
        let first = page["first-stored"].as_u64().expect("a number");
        let status = node.admin_ask("/entities/ledger/a").await;
        let snapshot = status["snapshot-sequence"].as_u64().expect("a snapshot");
        assert_eq!(first, snapshot + 1 - 5, "five events behind the snapshot are kept: {status}");
        let events = page["events"].as_array().expect("events").clone();
        assert_eq!(sequences(&events), (first..=sent).collect::<Vec<_>>());
        let totals = node.ask("/entities/ledger/a/totals").await;
        assert_eq!(totals, json!({"count": sent, "last": sent.to_string()}));
    };
    node.kill();
    let mut node = house.node(&[SMALL]).await;
    check(&node).await;
    assert!(node.stop().success());
    let node = house.node(&[SMALL]).await;
    check(&node).await;
    assert_eq!(record(&node, "a", [sent + 1]).await["count"], sent + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_with_many_events_is_all_or_nothing() {
    let house = House::new();
    let mut node = node_with_ledger(&house, &json!({"type": "ledger"})).await;
    let many = async |node: &Node, times: u64| {
        let body = json!({"serial": "x", "times": times});
        node.call("ledger/a", "record-many", &body).await
    };
    assert_eq!(done(&many(&node, 1_000).await)["count"], 1_000);
    assert_eq!(many(&node, 1_001).await.status, 500, "over the limit");
    let nothing = many(&node, 0).await;
    assert_eq!(done(&nothing)["count"], 1_000);
    node.kill();
    let node = house.node(&[SMALL]).await;
    assert_eq!(node.ask("/entities/ledger/a/totals").await["count"], 1_000);
    assert_eq!(sequences(&node.events("ledger/a").await), (1..=1_000).collect::<Vec<_>>());
}
