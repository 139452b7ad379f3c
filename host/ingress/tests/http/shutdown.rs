//! Stopping: what is accepted is finished, and nothing else begins.

use std::time::{Duration, Instant};

use stead_ingress::{ConnectionLimits, IngressOptions};

use crate::support::{House, Server, Wire};

const COMMAND: &str = "POST /entities/cart/1/checkout HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn slow_house(ms: u64) -> House {
    let house = House::new();
    house.on_command(move |mut call| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        call.body = "done".into();
        Ok(crate::support::echo(call))
    });
    house
}

async fn until_called(house: &House, calls: usize) {
    while house.commands().len() < calls {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn accepted_requests_are_finished_and_new_ones_refused() {
    let house = slow_house(300);
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let at = server.address;
    let mut idle = Wire::connect(at).await;
    let mut busy = Vec::new();
    for _ in 0..10 {
        let mut wire = Wire::connect(at).await;
        wire.send(COMMAND).await;
        busy.push(wire);
    }
    until_called(&house, 10).await;
    let stopping = server.begin_stop();
    assert!(idle.ends().await, "nobody waits for idle connections");
    assert!(tokio::net::TcpStream::connect(at).await.is_err(), "nobody is let in");
    for wire in &mut busy {
        let reply = wire.reply().await.expect("an answer");
        assert_eq!((reply.status, reply.text()), (200, "done"));
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(wire.ends().await);
    }
    let served = stopping.await.expect("it ends");
    assert_eq!((served.accepted, served.cut_off), (11, 0));
}

#[tokio::test]
async fn a_request_that_crosses_with_the_stop_is_answered() {
    let house = slow_house(1);
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send(COMMAND).await;
    let first = wire.reply().await.expect("an answer");
    assert_eq!((first.status, first.header("connection")), (200, None));
    let stopping = server.begin_stop();
    tokio::time::sleep(Duration::from_millis(20)).await;
    wire.send(COMMAND).await;
    let last = wire.reply().await.expect("an answer");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(wire.ends().await);
    assert_eq!(stopping.await.expect("it ends").cut_off, 0);
}

#[tokio::test]
async fn a_body_on_its_way_is_taken_in() {
    let house = slow_house(10);
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let mut wire = Wire::connect(server.address).await;
    let head = "POST /entities/cart/1/import HTTP/1.1\r\nhost: localhost\r\n";
    wire.send(format!("{head}content-length: 4\r\n\r\na,")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopping = server.begin_stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    wire.send("b\n").await;
    assert_eq!(wire.reply().await.expect("an answer").text(), "done");
    assert_eq!(stopping.await.expect("it ends").cut_off, 0);
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off() {
    let house = slow_house(60_000);
    let connections =
        ConnectionLimits { drain_ms_max: 200, linger_ms_max: 200, ..ConnectionLimits::default() };
    let options = IngressOptions { connections, ..IngressOptions::default() };
    let server = Server::ingress(&house, options).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send(COMMAND).await;
    until_called(&house, 1).await;
    let began = Instant::now();
    let served = server.stop().await;
    assert_eq!(served.cut_off, 1);
    assert!((200..5_000).contains(&began.elapsed().as_millis()));
    assert!(wire.reply().await.is_none());
}
