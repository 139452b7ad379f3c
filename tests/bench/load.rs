//! Runs `stead bench` against a node and reads what it printed.

use serde_json::{Value, json};
use stead_tests::node::{Node, binary};

/// A node with the ledger of the tests' guests, which never takes snapshots.
pub async fn ledger(data: &std::path::Path, settings: &[(&str, &str)]) -> Node {
    let node = Node::start(data, settings).await;
    node.deploy(&stead_test_support::guest("ledger"), &manifest(0)).await;
    node
}

/// The ledger's manifest, with a snapshot every so many events.
pub fn manifest(every_events: u64) -> Value {
    json!({"type": "ledger", "snapshot": {"every-events": every_events, "every-bytes": 0}})
}

/// Sends `record` from this many clients, and says how that went.
///
/// # Panics
/// If a request failed.
pub async fn record(node: &Node, arguments: &[&str]) -> Value {
    let output = tokio::process::Command::new(binary())
        .args(["bench", "ledger", "--command", "record", "--json"])
        .args(["--body", r#"{"serial": "{{number}}"}"#])
        .args(["--ingress", &format!("http://{}", node.ingress)])
        .args(["--admin", &format!("http://{}", node.admin)])
        .args(arguments)
        .output()
        .await
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "stead bench failed: {said}\n{}", node.log_tail());
    let result: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let bench = &result["bench"];
    let failed = bench["by-status"].as_object().is_some_and(|map| !map.is_empty())
        || bench["broken"].as_object().is_some_and(|map| !map.is_empty());
    assert!(!failed, "requests failed: {bench}");
    result
}

/// A number in it.
///
/// # Panics
/// If there is none.
pub fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number at {pointer} in {value}"))
}
