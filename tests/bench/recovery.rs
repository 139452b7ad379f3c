//! How long a node takes after a crash.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use http::Method;
use stead_tests::node::Node;

use crate::{
    Extent,
    figures::Figure,
    load::{ledger, number, record},
};

/// With the usual checkpoints, and with none since the first event.
pub async fn measure(directory: &Path, extent: Extent) -> Vec<Figure> {
    let never = [("STEAD_JOURNAL_CHECKPOINT_AGE", "1h"), ("STEAD_JOURNAL_CHECKPOINT_SIZE", "4GiB")];
    vec![
        one(&directory.join("usual"), "with checkpoints as usual", &[], extent).await,
        one(&directory.join("worst"), "with checkpoints only for room", &never, extent).await,
    ]
}

async fn one(data: &Path, how: &str, settings: &[(&str, &str)], extent: Extent) -> Figure {
    let mut node = ledger(data, settings).await;
    let mut events = 0;
    while events < extent.many {
        let arguments = ["--clients", "256", "--entities", "10000", "--warmup", "0s"];
        record(&node, &[&arguments[..], &["--duration", "2s"][..]].concat()).await;
        events = number(&node.admin_status().await, "/events") as u64;
    }
    node.kill();
    let began = Instant::now();
    let node = Node::spawn(data, settings);
    let headers = [("content-type", "application/json")];
    loop {
        let path = "/entities/ledger/bench-1/record";
        let body = r#"{"serial": "after"}"#;
        let sent = node.client.send(Method::POST, node.ingress, path, &headers, body).await;
        if sent.is_ok_and(|answer| answer.status == 200) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "{}", node.log_tail());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let passed = began.elapsed();
    let status = node.admin_status().await;
    Figure::new(
        format!("SIGKILL with {events} events in the journal, {how}"),
        format!("{:.2} s from start to the first acknowledged command", passed.as_secs_f64()),
    )
    .beside(format!(
        "{:.2} s of it recovery, {:.0} log entries applied again",
        number(&status, "/recovery-ms") / 1e3,
        number(&status, "/recovery-entries"),
    ))
}
