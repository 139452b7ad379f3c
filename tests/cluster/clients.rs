//! Callers of a cluster, who know some of its nodes and retry.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use stead_tests::{
    client::Client,
    history::{History, Known},
    ledger,
    random::Random,
};
use tokio::{sync::watch, task::JoinHandle};

const ENTITIES: u64 = 64;

/// Callers at work, and what they saw.
pub struct Clients {
    pub history: Arc<Mutex<History>>,
    /// How long each acknowledged command took, with all its tries, and when it
    /// was acknowledged.
    pub waits: Arc<Mutex<Vec<(Instant, Duration)>>>,
    servers: watch::Sender<Vec<SocketAddr>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    /// So many, who call these nodes.
    pub fn start(count: usize, servers: Vec<SocketAddr>, random: &mut Random) -> Self {
        let history = Arc::<Mutex<History>>::default();
        let waits = Arc::<Mutex<Vec<_>>>::default();
        let (servers, stop) = (watch::Sender::new(servers), watch::Sender::new(false));
        let tasks = (0..count)
            .map(|number| {
                let (servers, stopped) = (servers.subscribe(), stop.subscribe());
                let (history, waits) = (Arc::clone(&history), Arc::clone(&waits));
                tokio::spawn(call(number, random.split(), servers, stopped, history, waits))
            })
            .collect();
        Self { history, waits, servers, stop, tasks }
    }

    /// From now on they call these.
    pub fn call(&self, servers: Vec<SocketAddr>) {
        self.servers.send_replace(servers);
    }

    /// The longest that a command took which was under way or sent after a moment.
    pub fn longest_since(&self, since: Instant) -> Duration {
        let waits = self.waits.lock().expect("unpoisoned");
        let later = waits.iter().filter(|(at, _)| *at >= since).map(|(_, wait)| *wait);
        later.max().unwrap_or_default()
    }

    /// Each finishes what it has begun, and ends.
    pub async fn finish(self) -> Arc<Mutex<History>> {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.expect("a client ends well: after the faults every command is answered");
        }
        self.history
    }
}

async fn call(
    number: usize,
    mut random: Random,
    servers: watch::Receiver<Vec<SocketAddr>>,
    stopped: watch::Receiver<bool>,
    history: Arc<Mutex<History>>,
    waits: Arc<Mutex<Vec<(Instant, Duration)>>>,
) {
    let client = Client::new(Duration::from_secs(12));
    for command in 0_u64.. {
        if *stopped.borrow() {
            return;
        }
        let entity = format!("ledger/{}", random.below(ENTITIES));
        let serial = format!("{number}-{command}");
        let began = Instant::now();
        loop {
            let server = {
                let servers = servers.borrow();
                servers[random.below(servers.len() as u64) as usize]
            };
            let known = ledger::record(&client, server, &entity, &serial).await;
            let done = matches!(known, Known::Acknowledged { .. });
            history.lock().expect("unpoisoned").note(&entity, &serial, known);
            if done {
                break;
            }
            let waited = began.elapsed();
            assert!(waited < Duration::from_secs(90), "{entity} {serial}: none in {waited:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        waits.lock().expect("unpoisoned").push((Instant::now(), began.elapsed()));
    }
}
