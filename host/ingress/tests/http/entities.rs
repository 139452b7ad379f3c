//! Commands and queries that go well, and requests for what isn't there.

use std::time::Duration;

use stead_ingress::IngressOptions;
use stead_model::{Rejection, RequestId};

use crate::support::{House, Server, cart, deployed, get, operation, post, send};

async fn start() -> (House, Server) {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    (house, server)
}

#[tokio::test]
async fn a_command_is_answered_with_its_reply_id_and_sequence_number() {
    let (house, server) = start().await;
    let reply = post(server.address, "/entities/cart/42/add-item", r#"{"sku": "a"}"#).await;
    assert_eq!((reply.status, reply.text()), (200, r#"{"sku": "a"}"#));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("stead-sequence"), Some("3"));
    let minted = RequestId::Minted(1).to_string();
    assert_eq!(reply.header("stead-request-id"), Some(minted.as_str()));
    assert_eq!(reply.header("stead-replayed"), None);
    let told = ("cart/42".into(), "add-item".into(), r#"{"sku": "a"}"#.into());
    assert_eq!(house.commands(), [told]);
    assert_eq!(house.command_calls()[0].request, None, "it is the house that mints ids");
}

#[tokio::test]
async fn a_retry_is_told_that_it_is_one() {
    let (house, server) = start().await;
    house.on_command(|call| async {
        let mut reply = crate::support::echo(call);
        reply.replayed = true;
        Ok(reply)
    });
    let headers = [("idempotency-key", "order-7")];
    let reply = send(server.address, "POST", "/entities/cart/1/checkout", &headers, b"").await;
    assert_eq!(reply.header("stead-replayed"), Some("true"));
    assert_eq!(reply.header("stead-request-id"), Some("order-7"));
    assert_eq!(house.command_calls()[0].request, Some(RequestId::Caller("order-7".into())));
}

#[tokio::test]
async fn an_empty_reply_is_no_content() {
    let (_, server) = start().await;
    let reply = send(server.address, "POST", "/entities/cart/1/checkout", &[], b"").await;
    assert_eq!((reply.status, reply.header("content-type")), (204, None));
    assert_eq!(reply.header("stead-sequence"), Some("3"));
}

#[tokio::test]
async fn a_query_is_answered_under_its_own_content_type() {
    let (house, server) = start().await;
    house.on_query(|_| async { Ok(b"\x89PNG".to_vec()) });
    let reply = get(server.address, "/entities/cart/1/picture").await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"\x89PNG".as_slice()));
    assert_eq!(reply.header("content-type"), Some("image/png"));
    assert_eq!(reply.header("stead-sequence"), None);
    let reply = send(server.address, "HEAD", "/entities/cart/1/picture", &[], b"").await;
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("4")));
}

#[tokio::test]
async fn what_is_unknown_is_answered_with_what_is_known() {
    let (house, server) = start().await;
    let at = server.address;
    let problem = post(at, "/entities/basket/1/add-item", "{}").await.problem(404, "unknown-type");
    assert_eq!(problem["known"], serde_json::json!(["cart"]));
    let problem = post(at, "/entities/cart/1/buy", "{}").await.problem(404, "unknown-command");
    assert_eq!(problem["known"], serde_json::json!(["add-item", "checkout", "import"]));
    let problem = get(at, "/entities/cart/1/buy").await.problem(404, "unknown-query");
    assert_eq!(problem["known"], serde_json::json!(["total", "search", "picture"]));
    for path in ["/", "/entities", "/entities/", "/entities/cart", "/entities/cart/1", "/nowhere"] {
        let problem = get(at, path).await.problem(404, "unknown-route");
        let known = problem["known"].as_array().expect("a list");
        assert!(known.contains(&"POST /carts/{id}/items".into()), "{path}: {problem}");
    }
    get(at, "/entities/cart/1/total/").await.problem(404, "unknown-route");
    get(at, "/entities/cart/a/b/total").await.problem(404, "unknown-route");
    // What a caller made up is told back, but not all of it.
    let long = format!("/entities/{}/1/add-item", "x".repeat(5_000));
    let reply = post(at, &long, "{}").await;
    reply.problem(404, "unknown-type");
    assert!(reply.body.len() < 1_000);
    assert!(house.commands().is_empty() && house.queries().is_empty());
}

#[tokio::test]
async fn the_wrong_method_is_answered_with_the_right_one() {
    let (house, server) = start().await;
    let at = server.address;
    let reply = get(at, "/entities/cart/1/add-item").await;
    reply.problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), Some("POST, OPTIONS"));
    let reply = post(at, "/entities/cart/1/total", "{}").await;
    reply.problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let reply = send(at, method, "/entities/cart/1/checkout", &[], b"").await;
        reply.problem(405, "method-not-allowed");
    }
    let reply = send(at, "PUT", "/carts/1", &[], b"").await;
    reply.problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), Some("GET, HEAD, DELETE, OPTIONS"));
    for (path, allow) in [
        ("/entities/cart/1/total", "GET, HEAD, OPTIONS"),
        ("/entities/cart/1/checkout", "POST, OPTIONS"),
        ("/carts/1/items", "POST, OPTIONS"),
        ("*", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    ] {
        let reply = send(at, "OPTIONS", path, &[], b"").await;
        assert_eq!((reply.status, reply.header("allow")), (204, Some(allow)), "{path}");
    }
    assert!(house.commands().is_empty() && house.queries().is_empty());
}

#[tokio::test]
async fn a_deployment_is_seen_by_the_next_request() {
    let (house, server) = start().await;
    let at = server.address;
    post(at, "/entities/sensor/1/measure", "{}").await.problem(404, "unknown-type");
    let description = stead_model::Description {
        commands: vec![operation("measure", "application/json", None)],
        ..Default::default()
    };
    let route = serde_json::json!([
        {"method": "POST", "path": "/sensors/{id}", "command": "measure"}]);
    let manifest = serde_json::json!({"type": "sensor", "route": route});
    house.set_types(vec![cart(), deployed(manifest, description)]);
    assert_eq!(post(at, "/entities/sensor/1/measure", "{}").await.status, 200);
    assert_eq!(post(at, "/sensors/1", "{}").await.status, 200);
    assert_eq!(post(at, "/carts/1/items", "{}").await.status, 200);
    house.set_types(vec![]);
    post(at, "/entities/sensor/1/measure", "{}").await.problem(404, "unknown-type");
    post(at, "/sensors/1", "{}").await.problem(404, "unknown-route");
}

#[tokio::test]
async fn keys_and_deadlines_are_checked_and_handed_on() {
    let (house, server) = start().await;
    let at = server.address;
    let checkout = "/entities/cart/1/checkout";
    for key in ["", "two words", &"x".repeat(129)] {
        let reply = send(at, "POST", checkout, &[("idempotency-key", key)], b"").await;
        reply.problem(400, "malformed-idempotency-key");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    send(at, "POST", checkout, &twice, b"").await.problem(400, "malformed-idempotency-key");
    for deadline in ["0", "-5", "soon", "1.5", "99999999999999999999999"] {
        let reply = send(at, "POST", checkout, &[("stead-deadline-ms", deadline)], b"").await;
        reply.problem(400, "malformed-deadline");
    }
    assert!(house.commands().is_empty());
    let wait_of = async |deadline: &str| {
        let before = std::time::Instant::now();
        send(at, "POST", checkout, &[("stead-deadline-ms", deadline)], b"").await;
        house.command_calls().last().expect("a call").deadline - before
    };
    let wait = wait_of("250").await;
    assert!((250..2_250).contains(&wait.as_millis()), "{wait:?}");
    let wait = wait_of("86400000").await;
    assert!(wait < Duration::from_secs(13), "no longer than the limit: {wait:?}");
}

#[tokio::test]
async fn missing_fields_are_the_entitys_to_judge() {
    let (house, server) = start().await;
    house.on_command(|call| async move {
        assert_eq!(call.body.as_ref(), b"{}");
        Err(stead_cluster::api::CallError::Rejected(Rejection {
            status: 400,
            code: "malformed-body".into(),
            message: "the body: missing field `sku`".into(),
            details: Some(br#"{"path":""}"#.to_vec()),
        }))
    });
    let reply = post(server.address, "/entities/cart/1/add-item", "{}").await;
    let problem = reply.problem(400, "malformed-body");
    assert_eq!(problem["type"], "urn:stead:problem:rejected");
    assert_eq!(problem["details"]["path"], "");
}
