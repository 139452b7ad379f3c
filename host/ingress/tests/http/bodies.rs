//! Bodies: malformed, mislabelled, too large, too slow, too many.

use std::time::{Duration, Instant};

use stead_ingress::{BodyLimits, IngressOptions};
use stead_model::RequestLimits;

use crate::support::{House, Server, Wire, post, send};

const ADD_ITEM: &str = "POST /entities/cart/1/add-item HTTP/1.1\r\nhost: localhost\r\n";

fn options() -> IngressOptions {
    IngressOptions {
        requests: RequestLimits { body_bytes_max: 1_000, ..RequestLimits::default() },
        ..IngressOptions::default()
    }
}

#[tokio::test]
async fn malformed_json_is_refused_with_where_and_why() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let at = server.address;
    for (body, line, column, reason) in [
        ("{\n  \"sku\": oops\n}", 2, 10, "expected value"),
        ("{\"sku\"", 1, 6, "EOF while parsing an object"),
        ("{} {}", 1, 4, "trailing characters"),
        ("{'a': 1}", 1, 2, "key must be a string"),
        ("[1,]", 1, 4, "expected value"),
        ("\"a\nb\"", 1, 2, "control character (\\u0000-\\u001F) found while parsing a string"),
        ("NaN", 1, 1, "expected value"),
        ("   ", 1, 3, "EOF while parsing a value"),
    ] {
        let problem =
            post(at, "/entities/cart/1/add-item", body).await.problem(400, "malformed-body");
        let place = (&problem["line"], &problem["column"], problem["reason"].as_str());
        assert_eq!(place, (&line.into(), &column.into(), Some(reason)), "{body:?}");
        assert!(problem["detail"].as_str().expect("text").contains(reason));
    }
    let not_utf8 = send(at, "POST", "/entities/cart/1/add-item", &[], b"\"\xff\"").await;
    not_utf8.problem(400, "malformed-body");
    assert!(house.commands().is_empty());
    for body in ["{}", "null", "1e999", " [1] ", &"[".repeat(400).to_string()] {
        let reply = post(at, "/entities/cart/1/add-item", body).await;
        let closed = !body.starts_with("[[");
        assert_eq!(reply.status, if closed { 200 } else { 400 }, "{body}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let reply = post(at, "/entities/cart/1/add-item", &deep).await;
    assert_eq!(reply.status, 200, "depth is the entity's to judge; here it must not hurt");
}

#[tokio::test]
async fn no_body_is_no_argument() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    assert_eq!(post(server.address, "/entities/cart/1/add-item", "").await.status, 204);
    assert_eq!(house.commands()[0].2, "");
}

#[tokio::test]
async fn a_body_of_another_type_is_415() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let at = server.address;
    let with = async |path: &str, headers: &[(&str, &str)]| {
        send(at, "POST", &format!("/entities/cart/1/{path}"), headers, b"{}").await
    };
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx", "é"]
    {
        let reply = with("add-item", &[("content-type", wrong)]).await;
        let problem = reply.problem(415, "unsupported-content-type");
        assert_eq!(problem["expected"], "application/json");
    }
    for coding in ["gzip", "br", "deflate, gzip"] {
        let headers = [("content-type", "application/json"), ("content-encoding", coding)];
        with("add-item", &headers).await.problem(415, "unsupported-content-encoding");
    }
    assert!(house.commands().is_empty());
    for right in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
        assert_eq!(with("add-item", &[("content-type", right)]).await.status, 200, "{right}");
    }
    assert_eq!(with("add-item", &[]).await.status, 200, "nothing said");
    assert_eq!(with("import", &[("content-type", "text/csv")]).await.status, 200);
    assert_eq!(with("checkout", &[("content-type", "text/plain")]).await.status, 200, "takes none");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_with_and_without_its_length() {
    let house = House::new();
    let server = Server::ingress(&house, options()).await;
    let at = server.address;
    let body = |size: usize| format!("\"{}\"", "x".repeat(size - 2));
    assert_eq!(post(at, "/entities/cart/1/add-item", &body(1_000)).await.status, 200);
    for size in [1_001, 70_000, 3_000_000] {
        let reply = post(at, "/entities/cart/1/add-item", &body(size)).await;
        let problem = reply.problem(413, "body-too-large");
        assert_eq!(problem["bytes-max"], 1_000, "{size}");
    }
    // Refused on the word of its length alone: nothing more is sent.
    let mut wire = Wire::connect(at).await;
    wire.send(format!("{ADD_ITEM}content-length: 1099511627776\r\n\r\n")).await;
    wire.reply().await.expect("an answer").problem(413, "body-too-large");
    assert!(wire.ends().await);
    // And before the client is told to go on.
    let mut wire = Wire::connect(at).await;
    wire.send(format!("{ADD_ITEM}expect: 100-continue\r\ncontent-length: 1001\r\n\r\n")).await;
    assert_eq!(wire.head().await.expect("an answer").status, 413);

    for chunks in [1, 2, 500] {
        let mut wire = Wire::connect(at).await;
        wire.send(format!("{ADD_ITEM}transfer-encoding: chunked\r\n\r\n")).await;
        for _ in 0..chunks {
            wire.try_send(format!("3e9\r\n{}\r\n", "x".repeat(1_001))).await;
        }
        let reply = wire.reply().await.unwrap_or_else(|| panic!("no answer to {chunks} chunks"));
        reply.problem(413, "body-too-large");
        assert!(wire.ends().await);
    }
    assert_eq!(house.commands().len(), 1);
}

/// Most clients send first and read later. One whose sending fails, as the
/// server has closed already, never gets to read why.
#[tokio::test]
async fn a_refused_body_can_be_sent_on_for_a_while() {
    let house = House::new();
    let server = Server::ingress(&house, options()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send(format!("{ADD_ITEM}content-length: 3000000\r\n\r\n")).await;
    for _ in 0..30 {
        wire.send("x".repeat(10_000)).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    wire.reply().await.expect("an answer").problem(413, "body-too-large");
}

#[tokio::test]
async fn chunked_and_awaited_bodies_are_put_together() {
    let house = House::new();
    let server = Server::ingress(&house, options()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send(format!("{ADD_ITEM}transfer-encoding: chunked\r\n\r\n")).await;
    for part in ["{\"sku\"", ": ", "\"a\"", "}"] {
        wire.send(format!("{:x}\r\n{part}\r\n", part.len())).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    wire.send("0\r\ntrailer: none\r\n\r\n").await;
    assert_eq!(wire.reply().await.expect("an answer").text(), "{\"sku\": \"a\"}");

    wire.send(format!("{ADD_ITEM}expect: 100-continue\r\ncontent-length: 2\r\n\r\n")).await;
    assert_eq!(wire.head().await.expect("a go-ahead").status, 100);
    wire.send("{}").await;
    assert_eq!(wire.reply().await.expect("an answer").text(), "{}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408() {
    let bodies = BodyLimits {
        stall_ms_max: 150,
        rate_min: 1_000,
        rate_grace_ms: 400,
        ..BodyLimits::default()
    };
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions { bodies, ..options() }).await;
    // It stops in the middle.
    let mut wire = Wire::connect(server.address).await;
    let began = Instant::now();
    wire.send(format!("{ADD_ITEM}content-length: 100\r\n\r\n{{")).await;
    wire.reply().await.expect("an answer").problem(408, "body-too-slow");
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert!(wire.ends().await);
    // It never stops, and never gets anywhere either.
    let mut wire = Wire::connect(server.address).await;
    let began = Instant::now();
    wire.send(format!("{ADD_ITEM}content-length: 1000\r\n\r\n{{")).await;
    let mut sent = 0;
    while wire.try_send(" ").await && sent < 1_000 {
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if began.elapsed() > Duration::from_millis(900) {
            break;
        }
    }
    wire.reply().await.expect("an answer").problem(408, "body-too-slow");
    assert!(house.commands().is_empty());
    // One that is slow but keeps the rate goes through.
    let mut wire = Wire::connect(server.address).await;
    wire.send(format!("{ADD_ITEM}content-length: 800\r\n\r\n\"{}", "x".repeat(299))).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        wire.send("x".repeat(99) + " ").await;
    }
    assert_eq!(wire.reply().await.expect("an answer").status, 400, "read, and no JSON");
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_nobody() {
    let house = House::new();
    let server = Server::ingress(&house, options()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send(format!("{ADD_ITEM}content-length: 100\r\n\r\n{{}}")).await;
    drop(wire);
    let mut wire = Wire::connect(server.address).await;
    wire.send(format!("{ADD_ITEM}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n")).await;
    drop(wire);
    let mut wire = Wire::connect(server.address).await;
    wire.send(format!("{ADD_ITEM}transfer-encoding: chunked\r\n\r\nnot a size\r\n")).await;
    if let Some(reply) = wire.reply().await {
        reply.problem(400, "body-broken-off");
    }
    assert_eq!(post(server.address, "/entities/cart/2/add-item", "{}").await.status, 200);
    assert_eq!(house.commands().len(), 1);
}

#[tokio::test]
async fn all_bodies_together_have_a_limit() {
    let house = House::new();
    let (open, gate) = tokio::sync::watch::channel(false);
    house.on_command(move |call| {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            Ok(crate::support::echo(call))
        }
    });
    let bodies = BodyLimits { total_bytes_max: 1_500, ..BodyLimits::default() };
    let server = Server::ingress(&house, IngressOptions { bodies, ..options() }).await;
    let at = server.address;
    let body = format!("\"{}\"", "x".repeat(798));
    let first = {
        let body = body.clone();
        tokio::spawn(async move { post(at, "/entities/cart/1/add-item", &body).await })
    };
    while house.commands().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reply = post(at, "/entities/cart/2/add-item", &body).await;
    reply.problem(503, "too-many-bodies");
    assert_eq!(reply.header("retry-after"), Some("1"));
    open.send_replace(true);
    assert_eq!(first.await.expect("it ends").status, 200);
    let reply = post(at, "/entities/cart/2/add-item", &body).await;
    assert_eq!(reply.status, 200, "there is room again");
}
