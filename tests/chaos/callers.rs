//! Callers who know all nodes, are told of no fault, and try each command until it
//! is acknowledged.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::Method;
use serde_json::json;
use stead_tests::{
    client::{Answer, Client},
    history::Known,
    random::Random,
    timeline::Operation,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::seen::Seen;

/// How many callers there are.
const CALLERS: usize = 16;
/// How many entities they share.
const ENTITIES: u64 = 24;
/// How long a caller waits for one answer; the node is told a little less.
const ANSWER_PATIENCE: Duration = Duration::from_millis(4_000);
const DEADLINE_MS: &str = "3500";
/// How long a caller goes on trying one command.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest pause between two operations of a caller.
const THINK_MS: u64 = 40;

/// Callers at work.
pub struct Callers {
    pub seen: Seen,
    entities: Vec<String>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

struct Caller {
    /// What its serials begin with.
    name: String,
    client: Client,
    nodes: watch::Receiver<Vec<Doors>>,
    entities: Vec<String>,
    stopped: watch::Receiver<bool>,
    seen: Seen,
    random: Random,
}

impl Callers {
    /// Begins, with entities that nobody called before.
    pub fn begin(chapter: usize, nodes: &watch::Sender<Vec<Doors>>, random: &mut Random) -> Self {
        let (seen, stop) = (Seen::default(), watch::Sender::new(false));
        let entities: Vec<_> = (0..ENTITIES).map(|nth| format!("ledger/{chapter}-{nth}")).collect();
        let tasks = (0..CALLERS)
            .map(|number| {
                let caller = Caller {
                    name: format!("{chapter}-{number}"),
                    client: Client::new(ANSWER_PATIENCE),
                    nodes: nodes.subscribe(),
                    entities: entities.clone(),
                    stopped: stop.subscribe(),
                    seen: seen.clone(),
                    random: random.split(),
                };
                tokio::spawn(caller.work())
            })
            .collect();
        Self { seen, entities, stop, tasks }
    }

    /// The entities that are called.
    pub fn entities(&self) -> &[String] {
        &self.entities
    }

    /// Each finishes what it has begun, and ends.
    pub async fn finish(&mut self) {
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            task.await.expect("a caller doesn't panic");
        }
    }
}

impl Caller {
    async fn work(mut self) {
        for nth in 0_u64.. {
            if *self.stopped.borrow() {
                return;
            }
            let entity =
                self.entities[self.random.below(self.entities.len() as u64) as usize].clone();
            match self.random.below(10) {
                0..6 => self.command(&entity, &format!("{}-{nth}", self.name)).await,
                6 => self.status(&entity).await,
                _ => self.query(&entity).await,
            }
            tokio::time::sleep(Duration::from_millis(self.random.below(THINK_MS))).await;
        }
    }

    /// A node, and where it is called and administered.
    fn node(&mut self) -> (usize, Doors) {
        let nodes = self.nodes.borrow();
        let at = self.random.below(nodes.len() as u64) as usize;
        (at, nodes[at])
    }

    async fn command(&mut self, entity: &str, serial: &str) {
        let called = Instant::now();
        self.seen.all().history.note(entity, serial, Known::Unknown);
        let path = format!("/entities/{entity}/record");
        let body = json!({"serial": serial}).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", serial),
            ("stead-deadline-ms", DEADLINE_MS),
        ];
        while called.elapsed() < PATIENCE {
            let (node, (server, _)) = self.node();
            let answer =
                self.client.send(Method::POST, server, &path, &headers, body.clone()).await;
            if let Some(answer) = self.seen.judge(node, &format!("{entity} {serial}"), answer) {
                return self.seen.command(entity, serial, &answer, called, node);
            }
            tokio::time::sleep(Duration::from_millis(10 + self.random.below(50))).await;
        }
        let mut all = self.seen.all();
        all.timeline.note(entity, Operation::Sent { serial: serial.into() }, called, None, 0);
        all.surprise(format!("{entity} {serial}: no node did it within {PATIENCE:?}"));
    }

    async fn query(&mut self, entity: &str) {
        let called = Instant::now();
        let (node, (server, _)) = self.node();
        let answer = totals(&self.client, server, entity).await;
        if let Some(answer) = self.seen.judge(node, entity, answer) {
            self.seen.query(entity, &answer, called, node);
        }
    }

    async fn status(&mut self, entity: &str) {
        let called = Instant::now();
        let (node, (_, admin)) = self.node();
        let answer = self.client.get(admin, &format!("/entities/{entity}")).await;
        if let Some(answer) = self.seen.judge(node, entity, answer) {
            self.seen.status(entity, &answer, called, node);
        }
    }
}

/// Where a node is called, and where it is administered.
pub type Doors = (SocketAddr, SocketAddr);

/// Asks a node what an entity has.
pub async fn totals(client: &Client, server: SocketAddr, entity: &str) -> Result<Answer, String> {
    let path = format!("/entities/{entity}/totals");
    client.send(Method::GET, server, &path, &[("stead-deadline-ms", DEADLINE_MS)], "").await
}
