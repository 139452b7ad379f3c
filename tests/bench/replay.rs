//! How long an entity that isn't in memory takes to answer.

use std::{path::Path, time::Instant};

use serde_json::json;
use stead_tests::node::Node;

use crate::{
    Extent,
    figures::{Figure, median},
    load::ledger,
};

/// The most events in one outcome.
const AT_ONCE: u64 = 1_000;
const PATIENT: [(&str, &str); 1] = [("STEAD_GUESTS_REPLAY_TIMEOUT", "60s")];

pub async fn measure(directory: &Path, extent: Extent) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (events, entities) in [(1, 200_u64), (100, 50), (10_000, 10), (extent.many, 1)] {
        for snapshots in [false, true] {
            let data = directory.join(format!("{events}-{snapshots}"));
            figures.push(one(&data, events, entities, snapshots).await);
        }
    }
    figures
}

async fn one(data: &Path, events: u64, entities: u64, snapshots: bool) -> Figure {
    let mut node = ledger(data, &PATIENT).await;
    for entity in 0..entities {
        let mut left = events;
        while left > 0 {
            let times = left.min(AT_ONCE);
            let body = json!({"serial": "a serial of thirty-two bytes ...", "times": times});
            call(&node, &format!("{entity}/record-many"), &body).await;
            left -= times;
        }
        if snapshots {
            let path = format!("/entities/ledger/{entity}/snapshot");
            let client = &node.client;
            let taken = client.post(node.admin, &path, &[], &json!(null)).await.expect("an answer");
            assert_eq!(taken.status, 200, "{}", taken.text());
        }
    }
    assert!(node.stop().success(), "{}", node.log_tail());
    // The node has the component and its compilation; no entity is in memory.
    let node = Node::start(data, &PATIENT).await;
    let warm = node.client.get(node.ingress, "/entities/ledger/none/totals").await;
    assert!(warm.is_ok_and(|answer| answer.status == 200), "{}", node.log_tail());
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for entity in 0..entities {
        for times in [&mut cold, &mut warm] {
            let begin = Instant::now();
            let path = format!("/entities/ledger/{entity}/totals");
            let answer = node.client.get(node.ingress, &path).await.expect("an answer");
            times.push(begin.elapsed().as_secs_f64());
            assert_eq!(answer.json()["count"], events, "{}", answer.text());
        }
    }
    let (cold, warm) = (median(&cold), median(&warm));
    let replay = (cold - warm).max(1e-9);
    let how = if snapshots { "behind a snapshot" } else { "replayed from the disk" };
    let what = format!("first answer of an entity with {events} events, {how}");
    let measured = format!("{:.2} ms", cold * 1e3);
    let beside = format!("{:.2} ms when it is in memory", warm * 1e3);
    if snapshots || events < 10_000 {
        return Figure::new(what, measured).beside(beside);
    }
    let rate = events as f64 / replay / 1e6;
    Figure::new(what, format!("{measured}: {rate:.2} million events a second"))
        .beside(beside)
        .budget("≥ 1 million a second", rate >= 1.0)
}

async fn call(node: &Node, path: &str, body: &serde_json::Value) {
    let path = format!("/entities/ledger/{path}");
    let answer = node.client.post(node.ingress, &path, &[], body).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}
