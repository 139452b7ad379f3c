//! What no honest client sends.

use stead_ingress::{ConnectionLimits, IngressOptions};

use crate::support::{House, Server, Wire, get, post, send};

async fn start() -> (House, Server) {
    let house = House::new();
    let connections = ConnectionLimits { linger_ms_max: 200, ..ConnectionLimits::default() };
    let options = IngressOptions { connections, ..IngressOptions::default() };
    let server = Server::ingress(&house, options).await;
    (house, server)
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let (house, server) = start().await;
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let long = "A".repeat(300_000);
    let garbage: [&[u8]; 12] = [
        b"\0\0\0\0\0\0",
        b"\xff\xfe\xfd\xfc\r\n\r\n",
        tls,
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: \0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage instead of frames",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        long.as_bytes(),
    ];
    for bytes in garbage {
        let mut wire = Wire::connect(server.address).await;
        wire.try_send(bytes).await;
        // HTTP/2 says good-bye in frames; all others say 4xx, or nothing.
        if bytes.starts_with(b"PRI") {
            continue;
        }
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        drop_or_refuse(&mut wire, &shown).await;
    }
    assert!(house.commands().is_empty() && house.queries().is_empty());
    assert_eq!(post(server.address, "/entities/cart/1/add-item", "{}").await.status, 200);
}

async fn drop_or_refuse(wire: &mut Wire, shown: &str) {
    use tokio::io::AsyncWriteExt;
    let _ = wire.stream.shutdown().await;
    if let Some(reply) = wire.reply().await {
        assert!((400..500).contains(&reply.status), "{shown}: {}", reply.status);
    }
    assert!(wire.ends().await, "{shown}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let (house, server) = start().await;
    let at = server.address;
    let large = "x".repeat(70_000);
    let reply = send(at, "GET", "/entities/cart/1/total", &[("x-large", &large)], b"").await;
    assert_eq!(reply.status, 431);
    let names: Vec<String> = (0..200).map(|n| format!("x-{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(send(at, "GET", "/entities/cart/1/total", &many, b"").await.status, 431);
    let some: Vec<_> = many[..90].to_vec();
    assert_eq!(send(at, "GET", "/entities/cart/1/total?limit=1", &some, b"").await.status, 200);
    let large = "x".repeat(40_000);
    let reply =
        send(at, "GET", "/entities/cart/1/total?limit=1", &[("x-large", &large)], b"").await;
    assert_eq!(reply.status, 200);
    assert_eq!(house.queries().len(), 2);
}

#[tokio::test]
async fn an_endless_head_is_431_and_not_memory() {
    let (_, server) = start().await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n").await;
    let line = format!("x: {}\r\n", "y".repeat(1_000));
    let mut sent = 0;
    while sent < 10_000_000 && wire.try_send(&line).await {
        sent += line.len();
        if sent > 400_000 {
            break;
        }
    }
    assert!(wire.reply().await.is_none_or(|reply| reply.status == 431));
}

#[tokio::test]
async fn a_long_url_is_414() {
    let (house, server) = start().await;
    for size in [20_000, 60_000] {
        let query = "x".repeat(size);
        let reply = get(server.address, &format!("/entities/cart/1/total?q={query}")).await;
        reply.problem(414, "uri-too-long");
    }
    let reply = get(server.address, &format!("/{}", "x".repeat(70_000))).await;
    assert!(matches!(reply.status, 414 | 431));
    assert!(house.queries().is_empty());
}

/// What one server takes for a body and another for a request is how requests
/// are smuggled past the first. Whatever is ambiguous must be refused, or be
/// read in the one way that ends the connection after it.
#[tokio::test]
async fn ambiguous_bodies_smuggle_nothing() {
    let (house, server) = start().await;
    let smuggled = "POST /entities/cart/smuggled/checkout HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = "POST /entities/cart/1/checkout HTTP/1.1\r\nhost: a\r\n";
    let both_a = format!(
        "{head}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        5 + smuggled.len()
    );
    let both_b =
        format!("{head}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{smuggled}");
    let two_lengths =
        format!("{head}content-length: 0\r\ncontent-length: {}\r\n\r\n{smuggled}", smuggled.len());
    let list = format!("{head}content-length: 0, 0\r\n\r\n{smuggled}");
    let signed = format!("{head}content-length: +0\r\n\r\n{smuggled}");
    let hex = format!("{head}content-length: 0x0\r\n\r\n{smuggled}");
    let other_coding = format!("{head}transfer-encoding: gzip\r\n\r\n{smuggled}");
    let chunked_twice =
        format!("{head}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n{smuggled}");
    let spaced = format!("{head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}");
    let folded = format!("{head}x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
    let huge_chunk =
        format!("{head}transfer-encoding: chunked\r\n\r\n10000000000000000\r\n{smuggled}");
    let signed_chunk = format!("{head}transfer-encoding: chunked\r\n\r\n+0\r\n\r\n{smuggled}");
    for request in [
        both_a,
        both_b,
        two_lengths,
        list,
        signed,
        hex,
        other_coding,
        chunked_twice,
        spaced,
        folded,
        huge_chunk,
        signed_chunk,
    ] {
        let mut wire = Wire::connect(server.address).await;
        wire.try_send(&request).await;
        let mut statuses = Vec::new();
        while let Some(reply) = wire.reply().await {
            statuses.push(reply.status);
        }
        let reached = house.commands().iter().any(|(address, _, _)| address.contains("smuggled"));
        assert!(!reached, "{request:?} was answered {statuses:?}");
        assert!(statuses.len() <= 1, "{request:?} was answered {statuses:?}");
    }
}
