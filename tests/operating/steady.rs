//! Callers who never retry: whatever isn't answered well is an error that somebody
//! saw.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stead_tests::{
    client::Client,
    history::{History, Known},
    ledger,
};
use tokio::{sync::watch, task::JoinHandle};

use serde_json::json;

const ENTITIES: usize = 61;

/// Callers at work.
pub struct Steady {
    history: Arc<Mutex<History>>,
    errors: Arc<Mutex<Vec<String>>>,
    servers: watch::Sender<Vec<SocketAddr>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Steady {
    /// So many, who call these nodes in turn.
    pub fn start(count: usize, servers: Vec<SocketAddr>) -> Self {
        let servers = watch::Sender::new(servers);
        let (history, errors) = (Arc::default(), Arc::default());
        let stop = Arc::<AtomicBool>::default();
        let tasks = (0..count)
            .map(|number| {
                let caller = Caller {
                    number,
                    servers: servers.subscribe(),
                    stop: Arc::clone(&stop),
                    history: Arc::clone(&history),
                    errors: Arc::clone(&errors),
                };
                tokio::spawn(caller.call())
            })
            .collect();
        Self { history, errors, servers, stop, tasks }
    }

    /// From now on they call these.
    pub async fn call(&self, servers: Vec<SocketAddr>) {
        self.servers.send_replace(servers);
        // Calls that were sent before are answered by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// They end. What they know, and what errors they saw.
    pub async fn finish(self) -> (Arc<Mutex<History>>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a caller ends well");
        }
        let errors = self.errors.lock().expect("unpoisoned").clone();
        (self.history, errors)
    }
}

struct Caller {
    number: usize,
    servers: watch::Receiver<Vec<SocketAddr>>,
    stop: Arc<AtomicBool>,
    history: Arc<Mutex<History>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Caller {
    async fn call(self) {
        let client = Client::new(Duration::from_secs(12));
        for command in 0_usize.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let server = {
                let servers = self.servers.borrow();
                servers[(self.number + command) % servers.len()]
            };
            let entity = format!("ledger/{}", (self.number * 7 + command) % ENTITIES);
            let serial = format!("{}-{command}", self.number);
            let (path, body) = (format!("/entities/{entity}/record"), json!({"serial": serial}));
            let known = match client.post(server, &path, &[], &body).await {
                Ok(answer) if answer.status == 200 => ledger::acknowledged(&answer),
                Ok(answer) => self.failed(format!("{server} {}: {}", answer.status, answer.text())),
                Err(error) => self.failed(format!("{server}: {error}")),
            };
            self.history.lock().expect("unpoisoned").note(&entity, &serial, known);
        }
    }

    fn failed(&self, error: String) -> Known {
        self.errors.lock().expect("unpoisoned").push(error);
        Known::Unknown
    }
}
