//! A disk without room: writes are refused, reads go on, and service resumes
//! when there is room again.

use http::Method;
use serde_json::json;
use stead_tests::{node::Node, small_disk::SmallDisk};

use crate::support::{House, SMALL, done, problem, sequences};

async fn record(node: &Node, entity: u64, serial: &str) -> stead_tests::client::Answer {
    let body = json!({"serial": serial});
    node.call(&format!("ledger/{entity}"), "record", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let house = House::new();
    let place = house.path().join("small");
    let Some(disk) = SmallDisk::mount(&place, "128m") else {
        println!("SKIPPED: a small file system can't be mounted here (it takes root)");
        return;
    };
    let data = place.join("data");
    let settings = [SMALL, ("STEAD_JOURNAL_SEGMENT_SIZE", "1MiB")];
    let mut node = Node::start(&data, &settings).await;
    node.deploy(&stead_test_support::guest("ledger"), &json!({"type": "ledger"})).await;
    let mut acknowledged = vec![0_u64; 8];
    for turn in 0..40 {
        let entity = turn % 8;
        done(&record(&node, entity, "before").await);
        acknowledged[entity as usize] += 1;
    }

    let filler = disk.fill();
    // What is left in files that are there already may still be used up.
    let long = "x".repeat(200_000);
    let mut refused = 0;
    // What was in the log before it was known that the disk is full waits for room.
    let mut unsure = Vec::new();
    for turn in 0..2_000 {
        let entity = turn % 8;
        let answer = record(&node, entity, &long).await;
        if answer.status == 200 {
            acknowledged[entity as usize] += 1;
            refused = 0;
            continue;
        }
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        if code == "outcome-unknown" {
            let key = answer.json()["request-id"].as_str().expect("a key").to_owned();
            unsure.push((entity, key));
            continue;
        }
        assert!(["disk-full", "unavailable"].contains(&code.as_str()), "{}", answer.text());
        problem(&answer, answer.status.as_u16(), &code);
        assert!([503, 507].contains(&answer.status.as_u16()), "{}", answer.text());
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|s| s >= 1));
        refused += 1;
        if refused == 16 {
            break;
        }
    }
    assert_eq!(refused, 16, "a full disk refuses writes");
    // Reads go on, of what is in memory and of what is on the disk; but for entities
    // of which it isn't known what they are.
    let shows = async |node: &Node, acknowledged: &[u64], but: &[(u64, String)]| {
        for (entity, count) in acknowledged.iter().enumerate() {
            if but.iter().any(|(other, _)| *other == entity as u64) {
                continue;
            }
            let totals = node.ask(&format!("/entities/ledger/{entity}/totals")).await;
            assert_eq!(totals["count"], *count, "ledger/{entity}");
            let events = node.events(&format!("ledger/{entity}")).await;
            assert_eq!(sequences(&events), (1..=*count).collect::<Vec<_>>(), "ledger/{entity}");
        }
    };
    shows(&node, &acknowledged, &unsure).await;
    let status = node.admin_ask("/status").await;
    assert_ne!(status["problems"], json!([]), "it says what ails it: {status}");

    std::fs::remove_file(&filler).expect("room again");
    node.until("writes are taken again", || {
        let answer = record(&node, 0, "after");
        async { answer.await.status == 200 }
    })
    .await;
    acknowledged[0] += 1;
    assert!(unsure.len() < 8, "{} were neither taken nor refused", unsure.len());
    for (entity, key) in unsure {
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let path = format!("/entities/ledger/{entity}/record");
        let body = json!({"serial": long}).to_string();
        done(&node.request(Method::POST, &path, &headers, body).await);
        acknowledged[entity as usize] += 1;
    }
    for entity in 1..8 {
        done(&record(&node, entity, "after").await);
        acknowledged[entity as usize] += 1;
    }
    shows(&node, &acknowledged, &[]).await;
    node.until("it is well again", async || {
        node.admin_ask("/status").await["problems"] == json!([])
    })
    .await;

    // Crashed on a full disk, it starts on it, or says that it can't.
    let filler = disk.fill();
    node.kill();
    std::fs::remove_file(&filler).expect("room again");
    let node = Node::start(&data, &settings).await;
    shows(&node, &acknowledged, &[]).await;
}
