//! A node killed with SIGKILL again and again while clients call it.
//!
//! Sixteen clients send commands under idempotency keys and retry each until
//! it is acknowledged, across the crashes. Afterwards the journal must hold
//! every acknowledged command exactly once, sequence numbers must be dense, and
//! a retry of any acknowledged command must get the reply that the first got.
//!
//! `STEAD_CRASH_ROUNDS` sets how many times the node is killed: a few in CI,
//! `STEAD_CRASH_ROUNDS=200` for the soak.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;
use stead_tests::{
    client::Client,
    history::{History, Known},
    ledger,
    node::Node,
    random::Random,
};
use tokio::sync::watch;

const CLIENTS: usize = 16;
const ENTITIES: u64 = 48;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_commands_survive_kill_9_exactly_once() {
    let rounds = setting("STEAD_CRASH_ROUNDS", 10);
    let mut random = Random::from_environment("crash");
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    // Snapshots and log segments are small, so that crashes hit their making too.
    let settings = [("STEAD_JOURNAL_SEGMENT_SIZE", "1MiB"), ("STEAD_JOURNAL_CHECKPOINT_AGE", "2s")];
    let manifest = json!({"type": "ledger", "snapshot": {"every-events": 50}});

    let mut node = Node::start(&data, &settings).await;
    node.deploy(&stead_test_support::guest("ledger"), &manifest).await;

    let (address, addresses) = watch::channel(node.ingress);
    let (stop, stopped) = watch::channel(false);
    let history = Arc::new(Mutex::new(History::default()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            tokio::spawn(client(
                number,
                random.split(),
                addresses.clone(),
                stopped.clone(),
                Arc::clone(&history),
            ))
        })
        .collect();

    let began = Instant::now();
    let mut worst_restart = Duration::ZERO;
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(20 + random.below(500))).await;
        node.kill();
        let killed = Instant::now();
        node = Node::start(&data, &settings).await;
        worst_restart = worst_restart.max(killed.elapsed());
        address.send_replace(node.ingress);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.send_replace(true);
    for client in clients {
        client.await.expect("a client ends well: after the faults every command is answered");
    }

    ledger::retry_some(&node, &history, 500, &mut random).await;
    let verdict = ledger::verdict(&node, &history).await;
    println!(
        "crash: {rounds} kills in {:?}, slowest restart {worst_restart:?}; acknowledged {}, \
         unknown {} (of which done {}), events {}, violations {}",
        began.elapsed(),
        verdict.acknowledged,
        verdict.unknown,
        verdict.unknown_done,
        verdict.events,
        verdict.violations.len(),
    );
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert!(verdict.acknowledged > 20 * rounds, "too little happened between the crashes");
    assert!(node.stop().success());
}

/// One client: commands one after the other, each retried until it is answered.
async fn client(
    number: usize,
    mut random: Random,
    addresses: watch::Receiver<SocketAddr>,
    stopped: watch::Receiver<bool>,
    history: Arc<Mutex<History>>,
) {
    let client = Client::new(Duration::from_secs(5));
    for command in 0_u64.. {
        if *stopped.borrow() {
            return;
        }
        let entity = format!("ledger/{}", random.below(ENTITIES));
        let serial = format!("{number}-{command}");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let server = *addresses.borrow();
            let known = ledger::record(&client, server, &entity, &serial).await;
            let done = matches!(known, Known::Acknowledged { .. });
            history.lock().expect("unpoisoned").note(&entity, &serial, known);
            if done {
                break;
            }
            assert!(Instant::now() < until, "{entity} {serial} is not answered after a minute");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
