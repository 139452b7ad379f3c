//! HTTP/2 by prior knowledge.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use stead_ingress::{ConnectionLimits, IngressOptions};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::support::{House, Server};

async fn connect(address: SocketAddr) -> (SendRequest<Full<Bytes>>, JoinHandle<()>) {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    (sender, driver)
}

fn command(id: usize, body: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://localhost/entities/cart/{id}/add-item"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("a request")
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test]
async fn many_requests_share_a_connection_and_overtake_each_other() {
    let house = House::new();
    house.on_command(|call| async {
        if call.address.id.as_str() == "0" {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Ok(crate::support::echo(call))
    });
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let (mut sender, _driver) = connect(server.address).await;
    let slow = sender.send_request(command(0, "0"));
    let slow = tokio::spawn(async move { text(slow.await.expect("an answer")).await });
    let mut others = Vec::new();
    for id in 1..100 {
        let answer = sender.send_request(command(id, &id.to_string()));
        others.push(tokio::spawn(async move { text(answer.await.expect("an answer")).await }));
    }
    for (at, other) in others.into_iter().enumerate() {
        assert_eq!(other.await.expect("it ends"), (at + 1).to_string());
    }
    assert!(!slow.is_finished());
    assert_eq!(slow.await.expect("it ends"), "0");
}

#[tokio::test]
async fn problems_are_the_same_as_over_http1() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let (mut sender, _driver) = connect(server.address).await;
    let response = sender.send_request(command(1, "{oops")).await.expect("an answer");
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let large = format!("\"{}\"", "x".repeat(3 << 20));
    let response = sender.send_request(command(1, &large)).await.expect("an answer");
    assert_eq!(response.status(), 413);
    let response = sender.send_request(command(1, "{}")).await.expect("the connection lives");
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (200, "{}"));
    let mut request = command(1, "{}");
    let large = "x".repeat(100_000).parse().expect("a header");
    request.headers_mut().insert("x-large", large);
    let refused = sender.send_request(request).await;
    assert!(refused.map_or(true, |response| response.status() == 431));
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_and_a_busy_one_is_not() {
    let connections =
        ConnectionLimits { head_ms_max: 200, idle_ms_max: 500, ..ConnectionLimits::default() };
    let house = House::new();
    house.on_command(|call| async {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        Ok(crate::support::echo(call))
    });
    let options = IngressOptions { connections, ..IngressOptions::default() };
    let server = Server::ingress(&house, options).await;
    let (mut sender, driver) = connect(server.address).await;
    let response = sender.send_request(command(1, "{}")).await.expect("an answer");
    assert_eq!(text(response).await, "{}");
    assert!(!driver.is_finished());
    tokio::time::timeout(Duration::from_secs(5), driver).await.expect("it ends").expect("well");
}

/// A client that opens streams and keeps their windows shut holds the answers
/// in the server's memory, and nothing of it is seen on the connection.
#[tokio::test]
async fn a_client_that_keeps_its_window_shut_is_cut_off() {
    let connections = ConnectionLimits {
        head_ms_max: 200,
        write_stall_ms_max: 300,
        ..ConnectionLimits::default()
    };
    let house = House::new();
    house.on_command(|call| async {
        let mut reply = crate::support::echo(call);
        reply.body = vec![b' '; 1 << 20];
        Ok(reply)
    });
    let options = IngressOptions { connections, ..IngressOptions::default() };
    let server = Server::ingress(&house, options).await;
    let stream = TcpStream::connect(server.address).await.expect("a connection");
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(70_000)
        .handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    let driver = tokio::spawn(connection);
    // One that reads slowly is none of those.
    let response = sender.send_request(command(1, "{}")).await.expect("an answer");
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.expect("a piece").into_data().map_or(0, |data| data.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(read, 1 << 20);
    let _unread = sender.send_request(command(1, "{}")).await.expect("an answer");
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        // Busy otherwise.
        while !driver.is_finished() {
            let _ = sender
                .send_request(
                    Request::get("http://localhost/").body(Full::default()).expect("a request"),
                )
                .await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ended.await.expect("the server closes it");
    assert_eq!(server.stop().await.cut_off, 0);
}

#[tokio::test]
async fn shutdown_finishes_the_streams_under_way() {
    let house = House::new();
    house.on_command(|call| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(crate::support::echo(call))
    });
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let (mut sender, driver) = connect(server.address).await;
    let answers: Vec<_> = (0..10)
        .map(|id| {
            let answer = sender.send_request(command(id, "{}"));
            tokio::spawn(async move { text(answer.await.expect("an answer")).await })
        })
        .collect();
    while house.commands().len() < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopping = server.begin_stop();
    for answer in answers {
        assert_eq!(answer.await.expect("it ends"), "{}");
    }
    assert_eq!(stopping.await.expect("it ends").cut_off, 0);
    driver.await.expect("it ends");
    assert!(sender.send_request(command(1, "{}")).await.is_err());
}

#[tokio::test]
async fn too_many_streams_wait_for_each_other() {
    let connections = ConnectionLimits { http2_streams_max: 4, ..ConnectionLimits::default() };
    let house = House::new();
    let under_way = std::sync::Arc::new(tokio::sync::Semaphore::new(4));
    house.on_command(move |call| {
        let place = std::sync::Arc::clone(&under_way).try_acquire_owned();
        async move {
            let _place = place.expect("no more than four at once");
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(crate::support::echo(call))
        }
    });
    let options = IngressOptions { connections, ..IngressOptions::default() };
    let server = Server::ingress(&house, options).await;
    let (mut sender, _driver) = connect(server.address).await;
    // The first answer shows that the server's settings have arrived.
    sender.send_request(command(0, "{}")).await.expect("an answer");
    let answers: Vec<_> = (0..20).map(|id| sender.send_request(command(id, "{}"))).collect();
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
}
