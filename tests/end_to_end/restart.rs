//! Stops, crashes and starts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};
use stead_tests::{calls::SOON, client::Client, node::Node};
use tokio::task::JoinHandle;

use crate::support::{House, SMALL, done};

const ENTITIES: usize = 24;

async fn deploy(node: &Node) {
    node.deploy(&stead_test_support::guest("ledger"), &json!({"type": "ledger"})).await;
}

/// What was acknowledged: by entity and serial, the sequence number and the reply.
type Acknowledged = Arc<Mutex<BTreeMap<(usize, String), (String, Vec<u8>)>>>;

/// Callers that send commands until they are told to stop or get no answer.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Acknowledged,
    callers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn begin(node: &Node) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Acknowledged::default();
        let callers = (0..16)
            .map(|caller| {
                let (server, stop) = (node.ingress, Arc::clone(&stop));
                let acknowledged = Arc::clone(&acknowledged);
                tokio::spawn(async move {
                    let client = Client::new(Duration::from_secs(20));
                    let mut strange = Vec::new();
                    for n in 0_usize.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let entity = (caller * 7 + n) % ENTITIES;
                        let serial = format!("{caller}-{n}");
                        let path = format!("/entities/ledger/{entity}/record");
                        let headers = [("idempotency-key", serial.as_str())];
                        let body = json!({"serial": serial});
                        match client.post(server, &path, &headers, &body).await {
                            Ok(answer) if answer.status == 200 => {
                                let sequence = answer.header("stead-sequence").to_owned();
                                let known = (sequence, answer.body.to_vec());
                                let mut all = acknowledged.lock().expect("unpoisoned");
                                all.insert((entity, serial.clone()), known);
                            }
                            // It says that it stops; the command was not recorded.
                            Ok(answer) if answer.status == 503 => break,
                            Ok(answer) => {
                                strange.push(format!("{} {}", answer.status, answer.text()));
                                break;
                            }
                            Err(error) => {
                                // Refused before it was sent is no loss; cut off is.
                                let refused = error.contains("ConnectionRefused")
                                    || error.contains("tcp connect error");
                                if !refused {
                                    strange.push(error);
                                }
                                break;
                            }
                        }
                    }
                    strange
                })
            })
            .collect();
        Self { stop, acknowledged, callers }
    }

    async fn has(&self, count: usize) {
        let until = Instant::now() + SOON;
        while self.acknowledged.lock().expect("unpoisoned").len() < count {
            assert!(Instant::now() < until, "too few commands are acknowledged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for the callers; what they saw that was neither an acknowledgement
    /// nor a refusal.
    async fn end(self) -> (Acknowledged, Vec<String>) {
        let mut strange = Vec::new();
        for caller in self.callers {
            strange.extend(caller.await.expect("a caller ends well"));
        }
        self.stop.store(true, Ordering::Relaxed);
        (self.acknowledged, strange)
    }
}

/// Whatever was acknowledged is there once, and retries get the same replies.
async fn all_is_there(node: &Node, acknowledged: &Acknowledged, exactly: bool) {
    let acknowledged = acknowledged.lock().expect("unpoisoned").clone();
    let mut found: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for entity in 0..ENTITIES {
        let events = node.events(&format!("ledger/{entity}")).await;
        for (expected, event) in (1..).zip(&events) {
            assert_eq!(event["sequence"], expected, "ledger/{entity} is dense");
            let serial = event["body"]["serial"].as_str().expect("a serial").to_owned();
            found.entry((entity, serial)).or_default().push(event["sequence"].to_string());
        }
    }
    for (key, (sequence, _)) in &acknowledged {
        assert_eq!(found.get(key), Some(&vec![sequence.clone()]), "{key:?}");
    }
    assert!(found.values().all(|places| places.len() == 1), "nothing is there twice");
    if exactly {
        assert_eq!(found.len(), acknowledged.len(), "what is there was acknowledged");
    }
    for ((entity, serial), (sequence, reply)) in acknowledged.iter().step_by(7) {
        let path = format!("/entities/ledger/{entity}/record");
        let headers = [("content-type", "application/json"), ("idempotency-key", serial.as_str())];
        let body = json!({"serial": serial}).to_string();
        let answer = node.request(Method::POST, &path, &headers, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("stead-replayed"), "true", "{entity} {serial}");
        assert_eq!(answer.header("stead-sequence"), sequence);
        assert_eq!(answer.body, reply);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_finishes_what_was_accepted() {
    let house = House::new();
    let mut node = house.node(&[]).await;
    deploy(&node).await;
    let load = Load::begin(&node);
    load.has(500).await;
    let began = Instant::now();
    // The callers go on meanwhile: waiting must not keep them from it.
    let stopping = tokio::task::spawn_blocking(move || node.stop());
    let status = stopping.await.expect("it was waited for");
    assert!(status.success(), "a stop that was asked for is no failure: {status}");
    assert!(began.elapsed() < Duration::from_secs(14), "it stops when the work is done");
    let (acknowledged, strange) = load.end().await;
    assert_eq!(strange, Vec::<String>::new(), "every accepted request was answered");

    let node = house.node(&[]).await;
    let report = node.admin_ask("/status").await;
    assert_eq!(report["recovery-entries"], 0, "nothing was left to recover: {report}");
    all_is_there(&node, &acknowledged, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_under_load_loses_nothing_that_was_acknowledged() {
    let house = House::new();
    let mut node = house.node(&[]).await;
    deploy(&node).await;
    let load = Load::begin(&node);
    load.has(1_000).await;
    node.kill();
    let (acknowledged, _) = load.end().await;
    let mut node = house.node(&[]).await;
    let report = node.admin_ask("/status").await;
    assert!(report["recovery-entries"].as_u64().is_some_and(|count| count > 0), "{report}");
    all_is_there(&node, &acknowledged, false).await;
    let before = everything(&node).await;
    // Again, without anything having happened: recovery is the same each time.
    node.kill();
    let mut node = house.node(&[]).await;
    assert_eq!(everything(&node).await, before);
    assert!(node.stop().success());
    let node = house.node(&[]).await;
    assert_eq!(everything(&node).await, before);
    done(&node.call("ledger/0", "record", &json!({"serial": "after"})).await);
}

async fn everything(node: &Node) -> Vec<(Value, Vec<Value>)> {
    let mut all = Vec::new();
    for entity in 0..ENTITIES {
        let totals = node.ask(&format!("/entities/ledger/{entity}/totals")).await;
        all.push((totals, node.events(&format!("ledger/{entity}")).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_node_and_one_partition_count() {
    let house = House::new();
    let mut node = house.node(&[SMALL]).await;
    deploy(&node).await;
    done(&node.call("ledger/0", "record", &json!({"serial": "x"})).await);

    let refused = refused(&house, &[SMALL]);
    assert!(refused.contains("another"), "it says that another node has it: {refused}");
    let path = house.data().display().to_string();
    assert!(refused.contains(&path), "it says which directory: {refused}");
    done(&node.call("ledger/0", "record", &json!({"serial": "y"})).await);
    assert!(node.stop().success());

    let wrong = self::refused(&house, &[("STEAD_NODE_PARTITIONS", "8")]);
    assert!(wrong.contains('4') && wrong.contains('8'), "it says both numbers: {wrong}");
    assert!(wrong.contains("partition"), "{wrong}");
    let node = house.node(&[SMALL]).await;
    assert_eq!(node.ask("/entities/ledger/0/totals").await["count"], 2);
}

/// Starts a node that must not start; what it said.
fn refused(house: &House, settings: &[(&str, &str)]) -> String {
    let before = std::fs::read(house.data().with_extension("log")).map_or(0, |log| log.len());
    let mut node = Node::spawn(&house.data(), settings);
    let status = node.wait();
    assert_eq!(status.code(), Some(1), "{}", node.log_tail());
    node.log_text().split_off(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_is_quick_when_there_is_nothing_to_do() {
    let house = House::new();
    let mut node = house.node(&[]).await;
    // A caller that keeps its connection, and one that follows for ever.
    deploy(&node).await;
    done(&node.call("ledger/0", "record", &json!({"serial": "x"})).await);
    let mut stream = crate::support::follow(&node, "ledger/0", 1).await;
    stream.next().await;
    let began = Instant::now();
    assert!(node.stop().success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
