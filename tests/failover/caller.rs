//! Callers, and when they were answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use stead_tests::client::Client;
use tokio::sync::watch;

/// How long callers pause between two commands.
const THINK: Duration = Duration::from_millis(5);

/// When each command was sent, and when it was acknowledged.
pub type Acknowledged = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// How long after a moment the first command was acknowledged that was sent then or
/// later.
pub fn first_after(acknowledged: &Acknowledged, moment: Instant) -> Option<Duration> {
    let acknowledged = acknowledged.lock().expect("unpoisoned");
    let first = acknowledged.iter().find(|(sent, _)| *sent >= moment);
    first.map(|(_, done)| *done - moment)
}

/// One command after the other, each tried until it is acknowledged.
pub async fn call(
    entity: String,
    acknowledged: Acknowledged,
    servers: watch::Receiver<Vec<SocketAddr>>,
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
) {
    // Callers that come one after the other say nothing twice.
    static CALLERS: AtomicU64 = AtomicU64::new(0);
    let caller = CALLERS.fetch_add(1, Ordering::Relaxed);
    let client = Client::new(Duration::from_secs(12));
    let path = format!("/entities/{entity}/record");
    for command in 0_usize.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{caller}-{command}");
        let body = json!({"serial": key});
        let sent = Instant::now();
        loop {
            let server = {
                let servers = servers.borrow();
                servers[command % servers.len()]
            };
            let headers = [("idempotency-key", key.as_str())];
            match client.post(server, &path, &headers, &body).await {
                Ok(answer) if answer.status == 200 => break,
                Ok(_) | Err(_) => {
                    refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(THINK).await;
                }
            }
        }
        acknowledged.lock().expect("unpoisoned").push((sent, Instant::now()));
        tokio::time::sleep(THINK).await;
    }
}
