//! The admin API beside deployments and histories.

use std::time::Duration;

use serde_json::json;
use stead_ingress::AdminOptions;

use crate::support::{House, Reply, Server, Wire, get, post, send};

async fn start() -> (House, Server) {
    let house = House::new();
    let server = Server::admin(&house, AdminOptions::default()).await;
    (house, server)
}

#[track_caller]
fn ok(reply: &Reply) -> serde_json::Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.json()
}

#[tokio::test]
async fn a_node_that_takes_no_requests_is_alive_and_not_ready() {
    let (house, server) = start().await;
    let at = server.address;
    assert_eq!(ok(&get(at, "/healthz").await), json!({"alive": true}));
    assert_eq!(ok(&get(at, "/readyz").await), json!({"ready": true, "problems": []}));
    house.set_ready(false);
    assert_eq!(ok(&get(at, "/healthz").await), json!({"alive": true}));
    let reply = get(at, "/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json(), json!({"ready": false, "problems": ["the disk is full"]}));
    let status = ok(&get(at, "/status").await);
    assert_eq!((&status["ready"], &status["partitions"]), (&json!(false), &json!(64)));
    assert_eq!(status["live-entities"], 0);
}

#[tokio::test]
async fn entities_are_listed_a_page_at_a_time() {
    let (_, server) = start().await;
    let at = server.address;
    let page = ok(&get(at, "/types/cart/entities").await);
    assert_eq!(page["entities"].as_array().map(Vec::len), Some(100));
    assert_eq!(page["next"], "id 099");
    let mut listed = Vec::new();
    let mut after = String::new();
    loop {
        let page = ok(&get(at, &format!("/types/cart/entities?limit=60{after}")).await);
        listed.extend(page["entities"].as_array().expect("a list").iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace(' ', "%20")),
            None => break,
        }
    }
    let expected: Vec<_> = (0..250).map(|n| json!(format!("id {n:03}"))).collect();
    assert_eq!(listed, expected);
    let page = ok(&get(at, "/types/cart/entities?limit=250").await);
    assert_eq!(page["next"], json!(null), "there is nothing after the last");
    for query in ["limit=x", "limit=-1", "after=", "unknown=1", "after=a%0Ab"] {
        let reply = get(at, &format!("/types/cart/entities?{query}")).await;
        reply.problem(400, "malformed-argument");
    }
}

#[tokio::test]
async fn an_entity_is_shown() {
    let (_, server) = start().await;
    let at = server.address;
    let status = ok(&get(at, "/entities/cart/a%2Fb").await);
    assert_eq!((&status["address"], &status["partition"]), (&json!("cart/a/b"), &json!(9)));
    let problem = get(at, "/entities/basket/1").await.problem(404, "unknown-type");
    assert_eq!(problem["known"], json!(["cart"]));
    get(at, "/entities/Basket/1").await.problem(400, "malformed-type");
    for (id, code) in
        [("%ff", "malformed-path"), ("%zz", "malformed-path"), ("%0A", "malformed-id")]
    {
        get(at, &format!("/entities/cart/{id}")).await.problem(400, code);
    }
    let long = "x".repeat(513);
    get(at, &format!("/entities/cart/{long}")).await.problem(400, "malformed-id");
}

#[tokio::test]
async fn snapshots_are_shown_and_taken() {
    let (house, server) = start().await;
    let at = server.address;
    get(at, "/entities/cart/1/snapshot").await.problem(404, "no-snapshot");
    let taken = ok(&post(at, "/entities/cart/1/snapshot", "").await);
    let expected = json!({
        "address": "cart/1", "sequence": 7, "version": 1, "at": 5, "state": {"taken": true}});
    assert_eq!(taken, expected);
    assert_eq!(ok(&get(at, "/entities/cart/1/snapshot").await), expected);
    house.put_snapshot("cart/2", b"\0\x01\x02");
    let snapshot = ok(&get(at, "/entities/cart/2/snapshot").await);
    assert_eq!((&snapshot["state"], &snapshot["state-base64"]), (&json!(null), &json!("AAEC")));
}

#[tokio::test]
async fn what_is_not_served_is_answered_with_what_is() {
    let (_, server) = start().await;
    let at = server.address;
    for path in ["/", "/nowhere", "/types/cart/", "/entities/cart", "/entities/cart/1/nothing"] {
        let problem = get(at, path).await.problem(404, "unknown-route");
        assert!(problem["known"].as_array().is_some_and(|known| known.len() > 10), "{path}");
    }
    for (method, path, allow) in [
        ("POST", "/healthz", "GET,HEAD"),
        ("GET", "/components", "POST"),
        ("POST", "/types/cart", "GET,HEAD,PUT,DELETE"),
        ("DELETE", "/entities/cart/1/snapshot", "GET,HEAD,POST"),
    ] {
        let reply = send(at, method, path, &[], b"").await;
        reply.problem(405, "method-not-allowed");
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
    assert_eq!(send(at, "HEAD", "/status", &[], b"").await.status, 200);
}

#[tokio::test]
async fn web_pages_of_others_are_kept_out() {
    let (_, server) = start().await;
    let at = server.address;
    let evil = [("origin", "http://evil.example"), ("content-type", "text/plain")];
    let reply = send(at, "POST", "/components", &evil, b"\0asm").await;
    reply.problem(403, "foreign-origin");
    let own = [("origin", "http://localhost")];
    assert_eq!(send(at, "GET", "/types", &own, b"").await.status, 200);
    let mut wire = Wire::connect(at).await;
    wire.send("GET /types HTTP/1.1\r\nhost: evil.example:8081\r\n\r\n").await;
    wire.reply().await.expect("an answer").problem(403, "foreign-origin");
}

#[tokio::test]
async fn the_admin_api_has_limits_of_its_own() {
    let house = House::new();
    let mut options = AdminOptions::default();
    options.connections.connections_max = 2;
    options.connections.head_ms_max = 100;
    let server = Server::admin(&house, options).await;
    let mut slow = Wire::connect(server.address).await;
    slow.send("GET /types HTTP/1.1\r\n").await;
    assert_eq!(get(server.address, "/types").await.status, 200);
    assert!(slow.ends().await);
    let _held = [Wire::connect(server.address).await, Wire::connect(server.address).await];
    tokio::time::sleep(Duration::from_millis(50)).await;
    get(server.address, "/types").await.problem(503, "too-many-connections");
}

#[tokio::test]
async fn the_cluster_is_acted_on_only_in_words_that_are_understood() {
    let (_, server) = start().await;
    let at = server.address;
    let node = "ab".repeat(16);
    let drain = format!("/cluster/nodes/{node}/drain");
    let json = [("content-type", "application/json")];
    for (method, path, body, status, code) in [
        ("PUT", drain.as_str(), "{}", 409, "refused"),
        ("PUT", &drain, r#"{"force": true}"#, 409, "refused"),
        ("DELETE", &drain, "", 409, "refused"),
        ("PUT", &drain, r#"{"forse": true}"#, 400, "malformed-body"),
        ("PUT", "/cluster/nodes/ab/drain", "{}", 400, "malformed-node"),
        ("POST", "/cluster/recover", &format!(r#"{{"lost": ["{node}"]}}"#), 409, "refused"),
        ("POST", "/cluster/recover", r#"{"lost": ["x"]}"#, 400, "malformed-body"),
        ("PUT", "/chaos/cut-off", r#"{"nodes": []}"#, 409, "refused"),
        ("PUT", "/chaos/cut-off", "{}", 400, "malformed-body"),
    ] {
        // The house is a node that is alone.
        send(at, method, path, &json, body.as_bytes()).await.problem(status, code);
    }
}
