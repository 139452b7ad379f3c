//! Callers who never retry, and to whom nothing may go wrong.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use stead_tests::{
    client::Client,
    history::{History, Known},
    ledger,
};
use tokio::{sync::watch, task::JoinHandle};

/// How many entities each of them calls.
const ENTITIES: u64 = 7;

/// Callers at work.
pub struct Steady {
    servers: watch::Sender<Vec<SocketAddr>>,
    stop: watch::Sender<bool>,
    done: Arc<AtomicU64>,
    history: Arc<Mutex<History>>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Steady {
    /// So many, who call these nodes; `name` is theirs alone, and they pause so
    /// long between calls.
    pub fn start(count: usize, name: &str, servers: Vec<SocketAddr>, pause: Duration) -> Self {
        let (servers, stop) = (watch::Sender::new(servers), watch::Sender::new(false));
        let (done, history) = (Arc::<AtomicU64>::default(), Arc::<Mutex<History>>::default());
        let tasks = (0..count)
            .map(|number| {
                let caller = Caller {
                    name: format!("{name}-{number}"),
                    number,
                    pause,
                    servers: servers.subscribe(),
                    stopped: stop.subscribe(),
                    done: Arc::clone(&done),
                    history: Arc::clone(&history),
                };
                tokio::spawn(caller.work())
            })
            .collect();
        Self { servers, stop, done, history, tasks }
    }

    /// From now on they call these; what they have begun they finish.
    pub fn call(&self, servers: Vec<SocketAddr>) {
        self.servers.send_replace(servers);
    }

    /// How many commands were acknowledged.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// They end. What was acknowledged, and every answer that was no
    /// acknowledgement.
    pub async fn finish(self) -> (Arc<Mutex<History>>, Vec<String>) {
        self.stop.send_replace(true);
        let mut errors = Vec::new();
        for task in self.tasks {
            errors.extend(task.await.expect("a caller ends"));
        }
        (self.history, errors)
    }
}

struct Caller {
    name: String,
    number: usize,
    pause: Duration,
    servers: watch::Receiver<Vec<SocketAddr>>,
    stopped: watch::Receiver<bool>,
    done: Arc<AtomicU64>,
    history: Arc<Mutex<History>>,
}

impl Caller {
    async fn work(self) -> Vec<String> {
        let client = Client::new(Duration::from_secs(12));
        let mut errors = Vec::new();
        for command in 0_u64.. {
            if *self.stopped.borrow() {
                break;
            }
            let server = {
                let servers = self.servers.borrow();
                servers[self.number % servers.len()]
            };
            let entity = format!("ledger/{}-{}", self.name, command % ENTITIES);
            let (path, serial) = (format!("/entities/{entity}/record"), command.to_string());
            let known = match client.post(server, &path, &[], &json!({"serial": serial})).await {
                Ok(answer) if answer.status == 200 => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                    ledger::acknowledged(&answer)
                }
                Ok(answer) => {
                    errors.push(format!("{entity} {serial}: {} {}", answer.status, answer.text()));
                    Known::Unknown
                }
                Err(error) => {
                    errors.push(format!("{entity} {serial}: {error}"));
                    Known::Unknown
                }
            };
            self.history.lock().expect("unpoisoned").note(&entity, &serial, known);
            tokio::time::sleep(self.pause).await;
        }
        errors
    }
}
