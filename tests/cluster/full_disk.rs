//! A node whose disk is full, among others that have room.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stead_tests::{cluster::Cluster, small_disk::SmallDisk};

/// How long it may take until others lead.
const PATIENCE: Duration = Duration::from_secs(60);
const ENTITIES: u64 = 24;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_with_a_full_disk_leads_is_led_by_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "8"), ("STEAD_JOURNAL_SEGMENT_SIZE", "1MiB")];
    let mut cluster = Cluster::of_places(None, directory.path(), 3, &settings);
    let Some(disk) = SmallDisk::mount(&cluster.data(2), "96m") else {
        println!("SKIPPED: a small file system can't be mounted here (it takes root)");
        return;
    };
    for at in 0..3 {
        cluster.begin(at);
    }
    for at in 0..3 {
        cluster.ready(at).await;
    }
    cluster.settled().await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let mut recorded = vec![0_u64; ENTITIES as usize];
    assert_eq!(round(&cluster, "before", &mut recorded).await, 0);

    let filler = disk.fill();
    let long = "x".repeat(100_000);
    let began = Instant::now();
    let (mut refused, mut in_a_row) = (0, 0);
    loop {
        let refused_now = round(&cluster, &long, &mut recorded).await;
        refused += refused_now;
        let full = full_node(&cluster.status(0).await.expect("an answer"));
        in_a_row = match &full {
            Some(full) if refused_now == 0 && full["leads"] == 0 => in_a_row + 1,
            _ => 0,
        };
        if in_a_row == 3 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{refused} were refused: {full:?}");
    }
    println!("after {:.1?} and {refused} refusals others led all", began.elapsed());

    std::fs::remove_file(&filler).expect("room again");
    cluster
        .node(2)
        .until("it is well again", async || {
            cluster.node(2).admin_ask("/status").await["problems"] == json!([])
        })
        .await;
    assert_eq!(round(&cluster, "after", &mut recorded).await, 0);
    for (entity, recorded) in recorded.iter().enumerate() {
        let totals = cluster.node(2).ask(&format!("/entities/ledger/{entity}/totals")).await;
        let count = totals["count"].as_u64().unwrap_or(0);
        assert!(count >= *recorded, "ledger/{entity}: {recorded} were acknowledged: {totals}");
    }
}

/// One command for each entity; how many were not acknowledged.
async fn round(cluster: &Cluster, serial: &str, recorded: &mut [u64]) -> u64 {
    let mut refused = 0;
    for (entity, recorded) in recorded.iter_mut().enumerate() {
        let said = json!({"serial": serial});
        let answer = cluster.node(0).call(&format!("ledger/{entity}"), "record", &said).await;
        match answer.status.as_u16() {
            200 => *recorded += 1,
            503 | 504 | 507 => refused += 1,
            _ => panic!("{}", answer.text()),
        }
    }
    refused
}

/// The node that says that its disk is full, as another shows it.
fn full_node(status: &Value) -> Option<Value> {
    let says = |node: &&Value| {
        let problems = node["problems"].as_array();
        problems.is_some_and(|all| all.iter().any(|one| one.to_string().contains("room")))
    };
    status["nodes"].as_array()?.iter().find(says).cloned()
}
