//! What a connection beyond the limit is told.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

/// The most connections that are told at once; any more are just closed.
const TOLD_AT_ONCE_MAX: usize = 128;

/// Tells clients that there are too many of them.
pub struct Refusals {
    places: Arc<Semaphore>,
    linger: Duration,
}

impl Refusals {
    pub fn new(linger: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(TOLD_AT_ONCE_MAX)), linger }
    }

    /// Answers `503` without waiting for a request, and closes.
    pub fn refuse(&self, mut stream: TcpStream, connections_max: usize) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let linger = self.linger;
        tokio::spawn(async move {
            let told = async {
                stream.write_all(answer(connections_max).as_bytes()).await?;
                stream.shutdown().await?;
                // Read what the client sends until it has seen the answer: with
                // unread bytes a close is a reset, which would overtake it.
                let mut scratch = [0; 1 << 10];
                while stream.read(&mut scratch).await? > 0 {}
                Ok::<_, std::io::Error>(())
            };
            let _ = tokio::time::timeout(linger, told).await;
            drop(place);
        });
    }
}

fn answer(connections_max: usize) -> String {
    let problem = crate::problem::Problem::new(
        http::StatusCode::SERVICE_UNAVAILABLE,
        "too-many-connections",
        format!("this server has {connections_max} connections already, the most it takes"),
    );
    let body = problem.to_json();
    let body = String::from_utf8_lossy(&body);
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         retry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    )
}
