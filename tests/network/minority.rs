//! A node that is cut off from the others, and that callers still reach.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;
use stead_tests::{
    client::Answer,
    cluster::Cluster,
    history::{History, Known},
    ledger,
    network::{Cut, Network},
    node::Node,
    timeline::{Operation, Timeline},
};

use crate::alone;

const ENTITIES: usize = 12;
/// How long a majority may take to go on without the node that is cut off.
const PATIENCE: Duration = Duration::from_secs(60);

/// What callers of both sides saw.
#[derive(Default)]
struct Seen {
    history: History,
    timeline: Timeline,
}

impl Seen {
    fn command(&mut self, entity: &str, serial: &str, called: Instant, answer: &Answer, of: usize) {
        let answered = Some(Instant::now());
        let known = match answer.status.as_u16() {
            200 => ledger::acknowledged(answer),
            // It says that it did nothing.
            429 | 503 => Known::Refused,
            504 => Known::Unknown,
            status => panic!("node {of}: {status} {}", answer.text()),
        };
        if let Known::Acknowledged { sequence, .. } = known {
            let (count, last) = totals(answer);
            let serial = serial.to_owned();
            let recorded = Operation::Recorded { serial, sequence, count, last };
            self.timeline.note(entity, recorded, called, answered, of);
        }
        self.history.note(entity, serial, known);
    }

    fn query(&mut self, entity: &str, called: Instant, answer: &Answer, of: usize) {
        if answer.status == 200 {
            let answered = Some(Instant::now());
            let (count, last) = totals(answer);
            self.timeline.note(entity, Operation::Read { count, last }, called, answered, of);
        }
    }
}

fn totals(answer: &Answer) -> (u64, String) {
    let said = answer.json();
    (said["count"].as_u64().expect("a count"), said["last"].as_str().expect("a serial").to_owned())
}

fn entity(nth: usize) -> String {
    format!("ledger/{nth}")
}

async fn record(node: &Node, entity: &str, serial: &str) -> (Instant, Answer) {
    let called = Instant::now();
    let answer = node.call(entity, "record", &json!({"serial": serial})).await;
    (called, answer)
}

async fn ask(node: &Node, entity: &str) -> (Instant, Answer) {
    let called = Instant::now();
    (called, node.get(&format!("/entities/{entity}/totals")).await)
}

/// What the node that is cut off answers: the same for every way of asking.
fn is_not_now(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text());
    let again = answer.header("retry-after").parse::<u64>();
    assert!(again.is_ok_and(|seconds| seconds >= 1), "{what}: {:?}", answer.headers);
}

async fn a_part_that_is_cut_off(cut: Cut) {
    let _alone = alone().await;
    let Some(network) = Network::new() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "8")];
    let cluster = Cluster::start_in(Some(network), directory.path(), 3, &settings).await;
    let manifest = json!({"type": "ledger"});
    cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
    let seen = Arc::<Mutex<Seen>>::default();
    for nth in 0..ENTITIES {
        let (called, answer) = record(cluster.node(nth % 3), &entity(nth), "before").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        seen.lock().expect("unpoisoned").command(&entity(nth), "before", called, &answer, nth % 3);
    }

    // While it is cut off, it is asked all the time, and so are the others told.
    let (alone, others) = (cluster.node(0), [cluster.node(1), cluster.node(2)]);
    cluster.network().cut(0, &cut);
    let began = Instant::now();
    let mut went_on = 0;
    for round in 0_usize.. {
        assert!(began.elapsed() < PATIENCE, "the majority does not go on: {went_on}");
        let calls = (0..ENTITIES).map(|nth| {
            let (entity, other, of) = (entity(nth), others[round % 2], 1 + round % 2);
            let (there, here) = (format!("there {round}"), format!("here {round}"));
            let seen = &seen;
            async move {
                let (told, asked) = tokio::join!(
                    async {
                        let (called, answer) = record(other, &entity, &there).await;
                        let mut seen = seen.lock().expect("unpoisoned");
                        seen.command(&entity, &there, called, &answer, of);
                        answer.status == 200
                    },
                    async {
                        let (called, answer) = ask(alone, &entity).await;
                        seen.lock().expect("unpoisoned").query(&entity, called, &answer, 0);
                        let (called, answer) = record(alone, &entity, &here).await;
                        let mut seen = seen.lock().expect("unpoisoned");
                        seen.command(&entity, &here, called, &answer, 0);
                        answer.status == 200
                    },
                );
                (told, asked)
            }
        });
        let answered = futures::future::join_all(calls).await;
        // Once the others did all, whoever is cut off does nothing.
        went_on = answered.iter().filter(|(there, _)| *there).count();
        if went_on == ENTITIES && answered.iter().all(|(_, here)| !here) {
            break;
        }
    }
    let calls = (0..ENTITIES).map(|nth| async move {
        let entity = entity(nth);
        let (read, written) = tokio::join!(ask(alone, &entity), record(alone, &entity, "no"));
        let events = alone.admin_get(&format!("/entities/{entity}/events?from=1&limit=10")).await;
        (entity, read, written, events)
    });
    for (entity, read, (called, written), events) in futures::future::join_all(calls).await {
        is_not_now(&format!("{entity}, asked"), &read.1);
        is_not_now(&format!("{entity}, told"), &written);
        is_not_now(&format!("{entity}, its events"), &events);
        seen.lock().expect("unpoisoned").command(&entity, "no", called, &written, 0);
    }
    println!("{cut:?}: nothing any more from the node that is cut off, {:?}", began.elapsed());

    // It follows when it hears the others again.
    cluster.network().heal(0);
    println!("{cut:?}: as before {:?} after it was healed", cluster.settled().await);
    for nth in 0..ENTITIES {
        for at in 0..3 {
            let serial = format!("after {at}");
            let (called, answer) = ask(cluster.node(at), &entity(nth)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            seen.lock().expect("unpoisoned").query(&entity(nth), called, &answer, at);
            let (called, answer) = record(cluster.node(at), &entity(nth), &serial).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            seen.lock().expect("unpoisoned").command(&entity(nth), &serial, called, &answer, at);
        }
    }
    let Seen { history, timeline } = std::mem::take(&mut *seen.lock().expect("unpoisoned"));
    let history = Arc::new(Mutex::new(history));
    for at in 0..3 {
        let journal = ledger::journal(cluster.node(at), &history).await;
        let verdict = history.lock().expect("unpoisoned").check(&journal);
        let none = Vec::<String>::new();
        assert_eq!((verdict.violations, timeline.check(&journal)), (none.clone(), none));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_takes_nothing_shows_nothing_stale_and_follows_when_healed() {
    a_part_that_is_cut_off(Cut::Both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_that_hears_nobody() {
    a_part_that_is_cut_off(Cut::In).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_that_nobody_hears() {
    a_part_that_is_cut_off(Cut::Out).await;
}
