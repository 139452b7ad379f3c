//! A whole node on a disk that loses power: guests, engines, journal, and
//! sixteen callers who retry, with power lost at random writes and unsynced
//! writes lost or torn. Then the same with something broken on purpose, to show
//! that this test would notice: a disk whose syncs do nothing, answers that leave
//! before they are durable, request ids that are ignored.
//!
//! `STEAD_POWER_ROUNDS` sets how often power is lost.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;
use stead_cluster::{
    EngineConfig, JournalOptions, Node, NodeOptions, NodeThreads, PlantedBug, SandboxOptions,
    api::{CallError, CommandCall, Service},
};
use stead_journal::disk::sim::{SimDisk, Survivors};
use stead_model::{GuestLimits, PartitionCount, RequestId};
use stead_tests::{
    history::{History, Known, Verdict},
    random::Random,
};
use tokio::sync::watch;

const CLIENTS: usize = 16;
const ENTITIES: u64 = 40;

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    Syncs,
    Engine(PlantedBug),
}

/// The node of the moment; `None` while there is none.
type Present = Option<Arc<Node>>;

fn open(disk: &SimDisk, directory: &Path, broken: Broken) -> (Arc<Node>, NodeThreads) {
    let mut sandbox = SandboxOptions::new(GuestLimits::default());
    sandbox.cache_dir = Some(directory.join("compiled"));
    let planted = match broken {
        Broken::Engine(bug) => Some(bug),
        Broken::Nothing | Broken::Syncs => None,
    };
    let options = NodeOptions {
        directory: directory.to_owned(),
        disk: Arc::new(disk.clone()),
        journal: JournalOptions {
            partitions: PartitionCount::new(8).expect("a count"),
            // Small, so that power is lost while segments and checkpoints are made too.
            segment_bytes: 256 << 10,
            checkpoint_age_ms: 100,
            ..JournalOptions::default()
        },
        sandbox,
        engine: EngineConfig { planted, ..EngineConfig::default() },
        workers: 2,
    };
    let (node, threads) = Node::open(options).expect("the node opens after a loss of power");
    (Arc::new(node), threads)
}

async fn run(rounds: u64, broken: Broken) -> Verdict {
    let mut random = Random::from_environment("power loss");
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = SimDisk::new();
    let mut running = open_apart(&disk, directory.path(), broken).await;
    deploy(&running.0).await;
    // What was made by now is durable, so that what is lost is what was promised.
    disk.ignore_syncs(broken == Broken::Syncs);

    let (present, seen) = watch::channel(Present::None);
    let (stop, stopped) = watch::channel(false);
    let history = Arc::new(Mutex::new(History::default()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (seen, stopped) = (seen.clone(), stopped.clone());
            tokio::spawn(client(number, random.split(), seen, stopped, Arc::clone(&history)))
        })
        .collect();

    for _ in 0..rounds {
        present.send_replace(Some(Arc::clone(&running.0)));
        tokio::time::sleep(Duration::from_millis(random.below(150))).await;
        disk.lose_power_after(random.below(40));
        let until = Instant::now() + Duration::from_secs(10);
        while !disk.power_is_off() {
            assert!(Instant::now() < until, "nothing is written any more");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        present.send_replace(None);
        let (node, threads) = running;
        alone(&node).await;
        tokio::task::spawn_blocking(move || drop((node, threads))).await.expect("it ends");
        disk = disk.restart(Survivors::Some(random.number()));
        disk.ignore_syncs(broken == Broken::Syncs);
        running = open_apart(&disk, directory.path(), broken).await;
    }
    present.send_replace(Some(Arc::clone(&running.0)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send_replace(true);
    for client in clients {
        client.await.expect("a client ends well");
    }
    retry_some(&running.0, &history, &mut random).await;
    let verdict = check(&running.0, &history).await;
    present.send_replace(None);
    running.0.drain(Duration::from_secs(10)).await;
    let threads = running.1;
    drop(running.0);
    tokio::task::spawn_blocking(move || threads.close()).await.expect("it ends").expect("closed");
    verdict
}

/// Waits until no client has the node any more: its files can't be opened again
/// before.
async fn alone(node: &Arc<Node>) {
    let until = Instant::now() + Duration::from_secs(60);
    while Arc::strong_count(node) > 1 {
        assert!(Instant::now() < until, "a client still waits for a node without power");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn open_apart(disk: &SimDisk, directory: &Path, broken: Broken) -> (Arc<Node>, NodeThreads) {
    let (disk, directory) = (disk.clone(), directory.to_owned());
    tokio::task::spawn_blocking(move || open(&disk, &directory, broken)).await.expect("opened")
}

async fn deploy(node: &Node) {
    let component = std::fs::read(stead_test_support::guest("ledger")).expect("it was built");
    let uploaded = node.upload(component.into()).await.expect("taken in");
    let manifest = json!({"type": "ledger", "snapshot": {"every-events": 20}});
    let manifest = serde_json::from_value(manifest).expect("a manifest");
    node.deploy(uploaded.component, manifest).await.expect("deployed");
}

async fn client(
    number: usize,
    mut random: Random,
    mut seen: watch::Receiver<Present>,
    stopped: watch::Receiver<bool>,
    history: Arc<Mutex<History>>,
) {
    for command in 0_u64.. {
        if *stopped.borrow() {
            return;
        }
        let entity = format!("ledger/{}", random.below(ENTITIES));
        let serial = format!("{number}-{command}");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let node = seen.wait_for(Option::is_some).await.expect("the run goes on").clone();
            let Some(node) = node else { continue };
            let known = send(&node, &entity, &serial).await;
            drop(node);
            let done = matches!(known, Known::Acknowledged { .. });
            history.lock().expect("unpoisoned").note(&entity, &serial, known);
            if done {
                break;
            }
            assert!(Instant::now() < until, "{entity} {serial} is not answered after a minute");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn send(node: &Node, entity: &str, serial: &str) -> Known {
    let call = CommandCall {
        address: entity.parse().expect("an address"),
        name: "record".into(),
        body: json!({"serial": serial}).to_string().into(),
        request: Some(RequestId::Caller(serial.into())),
        deadline: Instant::now() + Duration::from_secs(2),
    };
    match node.command(call).await {
        Ok(reply) => Known::Acknowledged { sequence: reply.sequence.get(), reply: reply.body },
        Err(
            CallError::Unavailable { .. }
            | CallError::OutcomeUnknown { .. }
            | CallError::DeadlinePassed
            | CallError::MailboxFull { .. }
            | CallError::Unreadable { .. },
        ) => Known::Unknown,
        Err(error) => panic!("{entity} {serial}: {error}"),
    }
}

async fn retry_some(node: &Node, history: &Arc<Mutex<History>>, random: &mut Random) {
    let sample = history.lock().expect("unpoisoned").sample(300, || random.number());
    for (entity, serial) in sample {
        let known = send(node, &entity, &serial).await;
        history.lock().expect("unpoisoned").note(&entity, &serial, known);
    }
}

async fn check(node: &Node, history: &Arc<Mutex<History>>) -> Verdict {
    let entities: Vec<_> = {
        let history = history.lock().expect("unpoisoned");
        history.entities().map(str::to_owned).collect()
    };
    let mut journal = BTreeMap::new();
    for entity in entities {
        let address: stead_model::Address = entity.parse().expect("an address");
        let mut events: Vec<(u64, String)> = vec![];
        loop {
            let from = events.len() as u64 + 1;
            let page = node.events(address.clone(), from..=u64::MAX, 1000).await.expect("events");
            if page.events.is_empty() {
                break;
            }
            events.extend(page.events.into_iter().map(|event| {
                let body: serde_json::Value = serde_json::from_slice(&event.body).expect("JSON");
                (event.sequence.get(), body["serial"].as_str().expect("a serial").to_owned())
            }));
        }
        journal.insert(entity, events);
    }
    history.lock().expect("unpoisoned").check(&journal)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_commands_survive_power_loss_exactly_once() {
    let rounds = setting("STEAD_POWER_ROUNDS", 25);
    let verdict = run(rounds, Broken::Nothing).await;
    println!(
        "power loss: {rounds} losses; acknowledged {}, unknown {} (of which done {}), events {}",
        verdict.acknowledged, verdict.unknown, verdict.unknown_done, verdict.events
    );
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert!(verdict.acknowledged > 10 * rounds, "too little happened between the losses");
}

/// Runs with something broken until it is noticed: by a violation, or by the
/// journal refusing to open or an engine's assertion.
async fn noticed(broken: Broken) {
    for attempt in 1..=10 {
        let outcome = tokio::spawn(run(8, broken)).await;
        let noticed = match &outcome {
            Ok(verdict) => verdict.violations.first().cloned(),
            Err(panic) => Some(panic.to_string()),
        };
        if let Some(how) = noticed {
            println!("{broken:?} was noticed in attempt {attempt}: {how}");
            return;
        }
    }
    panic!("{broken:?} was not noticed in ten attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_whose_syncs_do_nothing_is_noticed() {
    noticed(Broken::Syncs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_before_commit_are_noticed() {
    noticed(Broken::Engine(PlantedBug::AnswersBeforeCommit)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ignored_request_ids_are_noticed() {
    noticed(Broken::Engine(PlantedBug::RequestIdsIgnored)).await;
}
