//! Commands to the ledger guest, which records what it is told, and the check
//! that every acknowledged one is in the journal exactly once.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::json;

use crate::{
    client::{Answer, Client},
    history::{History, Known, Verdict},
    node::Node,
    random::Random,
};

/// Has an entity record a serial number, under an idempotency key.
///
/// # Panics
/// If the answer is none that a caller has to expect of a node with faults.
pub async fn record(client: &Client, server: SocketAddr, entity: &str, serial: &str) -> Known {
    let path = format!("/entities/{entity}/record");
    let headers = [("idempotency-key", serial)];
    match client.post(server, &path, &headers, &json!({"serial": serial})).await {
        Ok(answer) if answer.status == 200 => acknowledged(&answer),
        // Not available, or no room just now; the entity itself never says no.
        Ok(answer) => {
            let status = answer.status.as_u16();
            assert!([429, 503, 504].contains(&status), "{status} {}", answer.text());
            Known::Unknown
        }
        Err(_) => Known::Unknown,
    }
}

/// What an answer of status 200 says.
///
/// # Panics
/// If it lacks its sequence number.
#[must_use]
pub fn acknowledged(answer: &Answer) -> Known {
    let sequence = answer.header("stead-sequence").parse().expect("a sequence number");
    Known::Acknowledged { sequence, reply: answer.body.to_vec() }
}

/// Sends some of the commands again, from all of the run: each must get the
/// reply that it got before.
///
/// # Panics
/// If one isn't acknowledged, or there is none.
pub async fn retry_some(
    node: &Node,
    history: &Arc<Mutex<History>>,
    count: usize,
    random: &mut Random,
) {
    let client = Client::default();
    let sample = history.lock().expect("unpoisoned").sample(count, || random.number());
    assert!(!sample.is_empty(), "nothing was acknowledged");
    for (entity, serial) in sample {
        let known = record(&client, node.ingress, &entity, &serial).await;
        assert!(matches!(known, Known::Acknowledged { .. }), "{entity} {serial}: {known:?}");
        history.lock().expect("unpoisoned").note(&entity, &serial, known);
    }
}

/// What clients saw, against what the journal holds.
///
/// # Panics
/// If the journal can't be read.
pub async fn verdict(node: &Node, history: &Arc<Mutex<History>>) -> Verdict {
    let journal = journal(node, history).await;
    history.lock().expect("unpoisoned").check(&journal)
}

/// The events of the entities that clients sent commands, as a node tells them:
/// the sequence number and the serial of each.
///
/// # Panics
/// If the journal can't be read.
pub async fn journal(
    node: &Node,
    history: &Arc<Mutex<History>>,
) -> BTreeMap<String, Vec<(u64, String)>> {
    let entities: Vec<_> = {
        let history = history.lock().expect("unpoisoned");
        history.entities().map(str::to_owned).collect()
    };
    let mut journal = BTreeMap::new();
    for entity in entities {
        let events = node.events(&entity).await.into_iter().map(|event| {
            let sequence = event["sequence"].as_u64().expect("a number");
            (sequence, event["body"]["serial"].as_str().expect("a serial").to_owned())
        });
        journal.insert(entity, events.collect());
    }
    journal
}
