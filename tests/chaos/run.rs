//! A run: chapters of faults, each of which ends well and is checked.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::Method;
use serde_json::json;
use stead_tests::{
    client::Client, cluster::Cluster, history::Verdict, ledger, network::Network, random::Random,
};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    callers::{Callers, Doors, totals},
    faults::{NODES, Victim},
    kinds::{Fault, Plan},
    replicas::{self, Events},
    seen::Seen,
};

const PARTITIONS: u16 = 16;
/// How long what was committed last may take to be known to all replicas.
const KNOWN: Duration = Duration::from_secs(2);
/// How long faults go on before everything is checked.
const CHAPTER: Duration = Duration::from_secs(300);
/// How many acknowledged commands are sent to each node again.
const RETRIES: usize = 100;

/// A cluster, its callers, and what was done to it.
pub struct Run {
    directory: Option<TempDir>,
    kept: PathBuf,
    cluster: Cluster,
    nodes: watch::Sender<Vec<Doors>>,
    random: Random,
    injected: BTreeMap<Fault, usize>,
    acknowledged: u64,
    operations: usize,
    /// What callers were shown in the end, of all chapters.
    shown: Events,
    violations: Vec<String>,
    began: Instant,
}

impl Run {
    pub async fn begin(network: Network, random: Random) -> Self {
        let directory = match std::env::var_os("STEAD_CHAOS_DIRECTORY") {
            Some(within) => tempfile::Builder::new().prefix("chaos-").tempdir_in(within),
            None => tempfile::tempdir(),
        };
        let directory = directory.expect("a directory");
        let partitions = PARTITIONS.to_string();
        let settings = [
            ("STEAD_NODE_PARTITIONS", partitions.as_str()),
            // Checkpoints, segments and snapshots are small, so that faults hit their
            // making, and nodes that were away are sent whole stores.
            ("STEAD_JOURNAL_CHECKPOINT_AGE", "2s"),
            ("STEAD_JOURNAL_SEGMENT_SIZE", "1MiB"),
            ("STEAD_CLUSTER_GRACE", "5s"),
        ];
        let cluster = Cluster::start_in(Some(network), directory.path(), NODES, &settings).await;
        let manifest = json!({"type": "ledger", "snapshot": {"every-events": 50}});
        cluster.node(0).deploy(&stead_test_support::guest("ledger"), &manifest).await;
        let nodes =
            watch::Sender::new(cluster.running().map(|node| (node.ingress, node.admin)).collect());
        Self {
            kept: directory.path().to_owned(),
            directory: Some(directory),
            cluster,
            nodes,
            random,
            injected: BTreeMap::new(),
            acknowledged: 0,
            operations: 0,
            shown: Events::new(),
            violations: Vec::new(),
            began: Instant::now(),
        }
    }

    pub async fn carry_out(&mut self, mut plan: Plan, random: &mut Random) {
        let mut next = plan.next(random);
        for chapter in 0.. {
            if next.is_none() {
                return;
            }
            let mut callers = Callers::begin(chapter, &self.nodes, random);
            let until = Instant::now() + CHAPTER;
            while let Some(fault) = next
                && Instant::now() < until
            {
                tokio::time::sleep(Duration::from_millis(500 + random.below(1_500))).await;
                self.inject(fault).await;
                next = plan.next(random);
            }
            self.end_chapter(chapter, &mut callers).await;
        }
    }

    async fn inject(&mut self, fault: Fault) {
        let mut victim = Victim { cluster: &mut self.cluster, random: &mut self.random };
        let what = victim.suffer(fault).await;
        *self.injected.entry(fault).or_default() += 1;
        for at in self.cluster.ended() {
            let log = self.cluster.node(at).log_tail();
            self.violation(format!("node {at} ended by itself after {fault:?}, {what}:\n{log}"));
        }
        // Sometimes the next comes while the cluster still recovers.
        let healed = match self.random.below(2) {
            0 => "not waited for".to_owned(),
            _ => format!("as before after {:.1?}", self.cluster.settled().await),
        };
        let (round, at) = (self.injected.values().sum::<usize>(), self.began.elapsed().as_secs());
        println!("{at:5} s {round:4} {fault:?}, {what}; {healed}");
    }

    /// After all faults: every node answers for every entity, and the journal has
    /// what callers saw, in an order in which they can have seen it.
    async fn end_chapter(&mut self, chapter: usize, callers: &mut Callers) {
        let healed = self.cluster.settled().await;
        callers.finish().await;
        let seen = callers.seen.clone();
        for at in 0..NODES {
            self.every_entity_answers(at, callers.entities(), &seen).await;
        }
        let history = Arc::new(Mutex::new(std::mem::take(&mut seen.all().history)));
        for at in 0..NODES {
            let (node, random) = (self.cluster.node(at), &mut self.random);
            ledger::retry_some(node, &history, RETRIES, random).await;
        }
        let mut verdict = Verdict::default();
        for at in 0..NODES {
            let journal = ledger::journal(self.cluster.node(at), &history).await;
            verdict = history.lock().expect("unpoisoned").check(&journal);
            let order = seen.all().timeline.check(&journal);
            for what in verdict.violations.iter().chain(&order) {
                self.violation(format!("chapter {chapter}, by node {at}: {what}"));
            }
            self.shown.extend(journal);
        }
        let mut all = seen.all();
        self.violations.append(&mut all.surprises);
        self.acknowledged += verdict.acknowledged;
        self.operations += all.timeline.len();
        println!(
            "chapter {chapter}: healed after {healed:.1?}; {} commands acknowledged, {} never \
             (of which done {}), {} events, {} operations in order; answers by node and status \
             {:?}; {} violations so far",
            verdict.acknowledged,
            verdict.unknown,
            verdict.unknown_done,
            verdict.events,
            all.timeline.len(),
            all.answers,
            self.violations.len(),
        );
        drop(all);
        for (log, line) in self.panics() {
            self.violation(format!("{log}: {line}"));
        }
    }

    async fn every_entity_answers(&mut self, at: usize, entities: &[String], seen: &Seen) {
        let client = Client::default();
        let server = self.cluster.node(at).ingress;
        for entity in entities {
            let called = Instant::now();
            let asked = totals(&client, server, entity).await;
            let shown = format!("{asked:?}");
            match seen.judge(at, entity, asked) {
                Some(answer) => seen.query(entity, &answer, called, at),
                None => self
                    .violation(format!("healed, node {at} does not answer for {entity}: {shown}")),
            }
            let (called, serial) = (Instant::now(), format!("healed-{at}-{entity}"));
            let path = format!("/entities/{entity}/record");
            let headers = [("content-type", "application/json"), ("idempotency-key", &serial)];
            let body = json!({"serial": serial}).to_string();
            let told = client.send(Method::POST, server, &path, &headers, body).await;
            let shown = format!("{told:?}");
            match seen.judge(at, entity, told) {
                Some(answer) => seen.command(entity, &serial, &answer, called, at),
                None => self
                    .violation(format!("healed, node {at} does not record in {entity}: {shown}")),
            }
        }
    }

    /// Stops all, and reads what each node has on its disk.
    async fn compare_replicas(&mut self) {
        tokio::time::sleep(KNOWN).await;
        for at in 0..NODES {
            self.cluster.stop(at);
        }
        for at in 0..NODES {
            let (wrong, has, all) =
                replicas::compare(&self.cluster.data(at), PARTITIONS, &self.shown);
            println!("node {at} has {has} of {all} events on its disk");
            for what in wrong {
                self.violation(what);
            }
        }
    }

    fn violation(&mut self, what: String) {
        println!("VIOLATION {what}");
        self.violations.push(what);
    }

    /// Lines of the nodes' logs that tell of a panic.
    fn panics(&self) -> Vec<(String, String)> {
        let mut panics = Vec::new();
        for entry in std::fs::read_dir(&self.kept).expect("the directory is there").flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read(&path).unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                let lines = log.lines().filter(|line| line.contains("panicked at"));
                panics.extend(lines.map(|line| (path.display().to_string(), line.to_owned())));
            }
        }
        panics
    }

    /// The last word. How often each fault was injected.
    ///
    /// # Panics
    /// If anything was wrong.
    pub async fn end(mut self) -> BTreeMap<Fault, usize> {
        self.compare_replicas().await;
        println!("after {:.0?}:", self.began.elapsed());
        for (fault, times) in &self.injected {
            println!("  {fault:?}: {times}");
        }
        println!(
            "{} faults, {} commands acknowledged, {} operations checked, {} violations",
            self.injected.values().sum::<usize>(),
            self.acknowledged,
            self.operations,
            self.violations.len()
        );
        assert_eq!(self.violations, Vec::<String>::new());
        assert!(self.acknowledged > 20 * self.injected.len() as u64, "too little happened");
        std::mem::take(&mut self.injected)
    }
}

impl Drop for Run {
    /// What there is to look into is kept if something was wrong.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            println!("data and logs are in {}", directory.keep().display());
        }
    }
}
