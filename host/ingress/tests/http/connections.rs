//! Connections: how they are used, and when they are closed.

use std::time::{Duration, Instant};

use stead_ingress::{ConnectionLimits, IngressOptions};

use crate::support::{House, Server, Wire, get, post};

fn with(connections: ConnectionLimits) -> IngressOptions {
    IngressOptions { connections, ..IngressOptions::default() }
}

/// Limits small enough to be reached while one waits.
fn hasty() -> ConnectionLimits {
    ConnectionLimits {
        head_ms_max: 200,
        idle_ms_max: 600,
        write_stall_ms_max: 300,
        linger_ms_max: 200,
        ..ConnectionLimits::default()
    }
}

fn command(id: u32, body: &str) -> String {
    format!(
        "POST /entities/cart/{id}/add-item HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let house = House::new();
    // The later a request, the sooner the house has its answer.
    house.on_command(|call| async move {
        let id: u64 = call.address.id.as_str().parse().expect("a number");
        tokio::time::sleep(Duration::from_millis(40 - id)).await;
        Ok(crate::support::echo(call))
    });
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let mut wire = Wire::connect(server.address).await;
    let requests: String = (0..20).map(|id| command(id, &id.to_string())).collect();
    wire.send(requests).await;
    for id in 0..20 {
        assert_eq!(wire.reply().await.expect("an answer").text(), id.to_string());
    }
    // One that fails does not disturb those behind it.
    wire.send(command(1, "{") + &command(2, "2") + "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(wire.reply().await.expect("an answer").status, 400);
    assert_eq!(wire.reply().await.expect("an answer").status, 200);
    assert_eq!(wire.reply().await.expect("an answer").status, 404);
}

#[tokio::test]
async fn a_slow_head_is_cut_off_while_others_are_served() {
    let house = House::new();
    let server = Server::ingress(&house, with(hasty())).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(Wire::connect(server.address).await);
    }
    let began = Instant::now();
    let mut cut_off = false;
    for byte in "POST /entities/cart/1/checkout HTTP/1.1\r\nhost: localhost\r\n".bytes() {
        for wire in &mut slow {
            cut_off |= !wire.try_send([byte]).await;
        }
        assert_eq!(post(server.address, "/entities/cart/1/add-item", "{}").await.status, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
        if cut_off {
            break;
        }
    }
    for wire in &mut slow {
        assert!(wire.ends().await);
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    // The same, after a request that was well.
    let mut wire = Wire::connect(server.address).await;
    wire.send(command(1, "{}")).await;
    assert_eq!(wire.reply().await.expect("an answer").status, 200);
    let began = Instant::now();
    wire.send("POST").await;
    assert!(wire.ends().await);
    assert!(began.elapsed() < Duration::from_millis(500), "not as late as an idle one");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let house = House::new();
    let server = Server::ingress(&house, with(hasty())).await;
    let (mut silent, mut used) =
        (Wire::connect(server.address).await, Wire::connect(server.address).await);
    let began = Instant::now();
    tokio::time::sleep(Duration::from_millis(400)).await;
    used.send(command(1, "{}")).await;
    assert_eq!(used.reply().await.expect("an answer").status, 200);
    assert!(silent.ends().await);
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert!(used.ends().await);
    assert!(began.elapsed() >= Duration::from_millis(1_000), "counted from its last request");
}

#[tokio::test]
async fn a_slow_entity_is_no_idle_connection() {
    let house = House::new();
    house.on_command(|call| async {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        Ok(crate::support::echo(call))
    });
    let server = Server::ingress(&house, with(hasty())).await;
    assert_eq!(post(server.address, "/entities/cart/1/add-item", "{}").await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let house = House::new();
    house.on_query(|_| async { Ok(vec![b' '; 1 << 20]) });
    let server = Server::ingress(&house, with(hasty())).await;
    let mut wire = Wire::connect(server.address).await;
    let request = "GET /entities/cart/1/total HTTP/1.1\r\nhost: localhost\r\n\r\n";
    wire.send(request.repeat(50)).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut whole = 0;
    while wire.reply().await.is_some() {
        whole += 1;
    }
    assert!(whole < 50, "no more is written than the sockets' buffers hold");
    assert_eq!(server.stop().await.cut_off, 0);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let house = House::new();
    let limits = ConnectionLimits { connections_max: 3, ..ConnectionLimits::default() };
    let server = Server::ingress(&house, with(limits)).await;
    let mut taken = Vec::new();
    for id in 0..3 {
        let mut wire = Wire::connect(server.address).await;
        wire.send(command(id, "{}")).await;
        assert_eq!(wire.reply().await.expect("an answer").status, 200);
        taken.push(wire);
    }
    for _ in 0..3 {
        let mut refused = Wire::connect(server.address).await;
        refused.try_send(command(9, "{}")).await;
        let reply = refused.reply().await.expect("an answer");
        reply.problem(503, "too-many-connections");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert!(refused.ends().await);
    }
    assert_eq!(house.commands().len(), 3);
    taken.pop();
    let mut wire = loop {
        let mut wire = Wire::connect(server.address).await;
        wire.try_send(command(4, "{}")).await;
        match wire.reply().await {
            Some(reply) if reply.status == 200 => break wire,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    wire.send(command(5, "{}")).await;
    assert_eq!(wire.reply().await.expect("an answer").status, 200);
    drop((wire, taken));
    assert!(server.stop().await.refused >= 3);
}

#[tokio::test]
async fn a_connection_is_kept_or_closed_as_the_client_wants() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let request = |version: &str, header: &str| {
        format!("GET /entities/cart/1/total?limit=1 HTTP/{version}\r\nhost: a\r\n{header}\r\n")
    };
    for (version, header, kept) in [
        ("1.1", "", true),
        ("1.1", "connection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "connection: keep-alive\r\n", true),
    ] {
        let mut wire = Wire::connect(server.address).await;
        wire.send(request(version, header)).await;
        assert_eq!(wire.reply().await.expect("an answer").status, 200);
        if kept {
            wire.send(request(version, header)).await;
            assert_eq!(wire.reply().await.expect("an answer").status, 200);
        } else {
            assert!(wire.ends().await, "{version} {header}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let house = House::new();
    house.on_command(|_| std::future::pending());
    let server = Server::ingress(&house, IngressOptions::default()).await;
    for id in 0..50 {
        let mut wire = Wire::connect(server.address).await;
        wire.send(command(id, "{}")).await;
        drop(wire);
    }
    let began = Instant::now();
    assert_eq!(server.stop().await.cut_off, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waits for them");
}

#[tokio::test]
async fn addresses_in_absolute_form_are_taken() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let reply = get(server.address, "http://localhost/entities/cart/1/total?limit=1").await;
    assert_eq!(reply.text(), r#"{"limit":1}"#);
}
