//! The one who has the nodes as children: starts them, notices when they end, and
//! stops them in order.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{Condition, LocalCluster, Process, take_request};
use crate::failure::Failure;

/// The most nodes of a cluster on this machine.
const NODES_MAX: usize = 16;
/// How long a node may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(40);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// The nodes of a cluster on this machine, as children of this process.
pub struct Supervisor {
    directory: PathBuf,
    cluster: LocalCluster,
    children: BTreeMap<usize, Child>,
    /// Settings of each node, as section.key=value.
    settings: Vec<String>,
    /// Held as long as this runs.
    _lock: File,
}

/// A node that has ended by itself, or by another's hand.
#[derive(Debug)]
pub struct Ended {
    /// Which node.
    pub at: usize,
    /// How.
    pub how: String,
}

impl Supervisor {
    /// Takes a directory: makes a cluster of so many nodes in it, or takes up the one
    /// that is there, which may grow. Nothing runs yet.
    ///
    /// # Errors
    /// If another has it, or what is there is another cluster than is wanted.
    pub fn open(
        directory: &Path,
        nodes: Option<usize>,
        partitions: Option<u16>,
        settings: Vec<String>,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(directory)
            .map_err(|error| Failure::file("created", directory, &error))?;
        let directory = fs::canonicalize(directory)
            .map_err(|error| Failure::file("found", directory, &error))?;
        let lock = lock(&directory)?;
        let known = LocalCluster::load(&directory)?;
        let mut cluster = match (known, partitions) {
            (Some(cluster), Some(partitions)) if cluster.partitions != partitions => {
                return Err(Failure::usage(format!(
                    "the cluster in {} was made with {} partitions, which can't be changed",
                    directory.display(),
                    cluster.partitions
                ))
                .hint("leave --partitions out, or take another directory with --data"));
            }
            (Some(cluster), _) => cluster,
            (None, partitions) => LocalCluster::new(partitions.unwrap_or(64)),
        };
        let wanted = nodes.unwrap_or(cluster.nodes.len().max(3));
        if wanted < cluster.nodes.len() || !(1..=NODES_MAX).contains(&wanted) {
            return Err(Failure::usage(format!(
                "the cluster in {} has {} nodes, and may have from that to {NODES_MAX}",
                directory.display(),
                cluster.nodes.len().max(1)
            ))
            .hint("`stead node drain` and then stopping it is the way to take a node away"));
        }
        while cluster.nodes.len() < wanted {
            cluster.add()?;
        }
        cluster.settled = false;
        cluster.up = Process::of(std::process::id());
        // What was asked of another is nothing to this one.
        for node in &cluster.nodes {
            take_request(&directory, node);
        }
        cluster.save(&directory)?;
        Ok(Self { directory, cluster, children: BTreeMap::new(), settings, _lock: lock })
    }

    /// The cluster, as it is written down.
    pub fn cluster(&self) -> &LocalCluster {
        &self.cluster
    }

    /// Where it is kept.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts all nodes.
    ///
    /// # Errors
    /// If one can't be.
    pub fn start_all(&mut self) -> Result<(), Failure> {
        (0..self.cluster.nodes.len()).try_for_each(|at| self.start(at))
    }

    /// Starts a node that doesn't run. To be called from the process's first thread:
    /// the system ends a child when the thread ends that started it.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(&mut self, at: usize) -> Result<(), Failure> {
        let Some(node) = self.cluster.nodes.get(at).filter(|_| !self.children.contains_key(&at))
        else {
            return Ok(());
        };
        let path = node.log(&self.directory);
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(|error| Failure::file("opened", &path, &error))?;
        let errors = log.try_clone().map_err(|error| Failure::file("opened", &path, &error))?;
        let seeds: Vec<String> = self.cluster.nodes.iter().map(|n| n.peers.to_string()).collect();
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let mut command = Command::new(program);
        command.arg("node").arg("--die-with").arg(std::process::id().to_string());
        command.arg("--data").arg(node.data(&self.directory));
        command.arg("--ingress-listen").arg(node.ingress.to_string());
        command.arg("--admin-listen").arg(node.admin.to_string());
        let own = [
            "cluster.enabled=true".to_owned(),
            "chaos.enabled=true".to_owned(),
            format!("cluster.listen={}", node.peers),
            format!("cluster.seeds={}", seeds.join(",")),
            format!("cluster.expected-nodes={}", self.cluster.nodes.len()),
            format!("node.partitions={}", self.cluster.partitions),
        ];
        for setting in own.iter().chain(&self.settings) {
            command.arg("--set").arg(setting);
        }
        // Ctrl-C is for this process, which then stops its children in order.
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command
            .spawn()
            .map_err(|error| Failure::failed(format!("a node can't be started: {error}")))?;
        let process = Process::of(child.id());
        self.children.insert(at, child);
        if let Some(node) = self.cluster.nodes.get_mut(at) {
            node.process = process;
        }
        self.cluster.save(&self.directory)
    }

    /// A node says who it is.
    ///
    /// # Errors
    /// If that can't be written down.
    pub fn known_as(&mut self, at: usize, id: &str) -> Result<(), Failure> {
        match self.cluster.nodes.get_mut(at) {
            Some(node) if node.id.as_deref() != Some(id) => {
                node.id = Some(id.to_owned());
                self.cluster.save(&self.directory)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// All is as it should be.
    ///
    /// # Errors
    /// If that can't be written down.
    pub fn has_settled(&mut self) -> Result<(), Failure> {
        self.cluster.settled = true;
        self.cluster.save(&self.directory)
    }

    /// The nodes that run, as children of this process.
    pub fn running(&self) -> impl Iterator<Item = usize> + '_ {
        self.children.keys().copied()
    }

    /// Whether a node answers when it is asked: it may be paused.
    pub fn answers(&self, at: usize) -> bool {
        let node = self.cluster.nodes.get(at);
        node.is_some_and(|node| node.condition() == Condition::Runs)
    }

    /// Those that have ended since this was asked last.
    pub fn ended(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.children.retain(|at, child| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                ended.push(Ended { at: *at, how: how(status) });
                false
            }
            Err(error) => {
                ended.push(Ended { at: *at, how: error.to_string() });
                false
            }
        });
        ended
    }

    /// Starts the nodes that were asked for; which they are.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_asked(&mut self) -> Result<Vec<usize>, Failure> {
        let asked: Vec<usize> = (0..self.cluster.nodes.len())
            .filter(|at| {
                let node = self.cluster.nodes.get(*at);
                node.is_some_and(|node| take_request(&self.directory, node))
            })
            .collect();
        let (asked, _): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|at| !self.children.contains_key(at));
        asked.iter().try_for_each(|at| self.start(*at))?;
        Ok(asked)
    }

    /// The end of a node's log, for one that didn't start.
    pub fn log_tail(&self, at: usize) -> Vec<String> {
        let node = self.cluster.nodes.get(at);
        node.map(|node| node.log_tail(&self.directory)).unwrap_or_default()
    }

    /// Stops all nodes, one after the other, so that each can hand over what it leads.
    /// One that doesn't stop in time is killed.
    ///
    /// # Errors
    /// If what became of it can't be written down.
    pub async fn stop(&mut self, mut say: impl FnMut(&str)) -> Result<(), Failure> {
        while let Some((at, mut child)) = self.children.pop_first() {
            let shown = self.cluster.nodes.get(at).map(|node| (node.shown(), node.process));
            let (shown, process) = shown.unwrap_or_default();
            let begun = Instant::now();
            let asked = process.is_some_and(|process| {
                // One that is paused hears nothing until it goes on.
                let _ = process.signal(Signal::CONT);
                process.signal(Signal::TERM).unwrap_or(false)
            });
            let status = loop {
                match child.try_wait() {
                    Ok(Some(status)) => break Some(status),
                    Ok(None) if asked && begun.elapsed() < STOP_PATIENCE => {
                        tokio::time::sleep(LOOK).await;
                    }
                    Ok(None) | Err(_) => break None,
                }
            };
            match status {
                Some(status) if status.success() => say(&format!("{shown} has stopped")),
                Some(status) => say(&format!("{shown} {}", how(status))),
                None => {
                    let _ = child.kill();
                    let _ = child.wait();
                    say(&format!("{shown} did not stop in time, and was killed"));
                }
            }
        }
        self.cluster.up = None;
        self.cluster.settled = false;
        self.cluster.save(&self.directory)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn lock(directory: &Path) -> Result<File, Failure> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(|error| Failure::file("created", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::failed(format!("another `stead up` runs in {}", directory.display()))
                .hint("--data DIR starts another cluster in another directory"))
        }
        Err(TryLockError::Error(error)) => Err(Failure::file("locked", &path, &error)),
    }
}

/// How a process ended, for people.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "has stopped".into(),
        (Some(code), _) => format!("has ended with exit code {code}"),
        (None, Some(9)) => "was killed by SIGKILL".into(),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "has ended".into(),
    }
}
