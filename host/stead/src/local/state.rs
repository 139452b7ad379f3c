//! The file in which `stead up` writes down where its nodes are. Only it writes that;
//! other verbs read it to find them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::process::{Condition, Process};
use crate::failure::Failure;

/// How much of a log is shown when a node doesn't start.
const LOG_LINES: usize = 15;
/// The variable that names the directory.
const DIRECTORY_VARIABLE: &str = "STEAD_UP_DIR";
const DIRECTORY: &str = ".stead-up";
const FILE: &str = "cluster.json";

/// The first node's ports; the others' follow, ten for each.
const PORT: u16 = 8080;
const PORTS_EACH: u16 = 10;

/// A cluster on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocalCluster {
    /// How many partitions it was made with.
    pub partitions: u16,
    /// Its nodes, the first of them first.
    pub nodes: Vec<LocalNode>,
    /// The `stead up` that runs it.
    pub up: Option<Process>,
    /// Whether all was as it should be once since that began.
    pub settled: bool,
}

/// A node of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocalNode {
    /// What people call it: 1, 2, 3.
    pub name: String,
    /// Its identity, once it has said it.
    pub id: Option<String>,
    /// Where callers reach it.
    pub ingress: SocketAddr,
    /// Where it is looked at and changed.
    pub admin: SocketAddr,
    /// Where other nodes reach it.
    pub peers: SocketAddr,
    /// The process that it was last.
    pub process: Option<Process>,
}

impl LocalNode {
    /// Where it keeps its data.
    pub fn data(&self, directory: &Path) -> PathBuf {
        directory.join(format!("node-{}", self.name))
    }

    /// Where its log is.
    pub fn log(&self, directory: &Path) -> PathBuf {
        directory.join(format!("node-{}.log", self.name))
    }

    /// The end of its log, for one that didn't start.
    pub fn log_tail(&self, directory: &Path) -> Vec<String> {
        let log = fs::read(self.log(directory)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        lines.into_iter().skip(from).map(str::to_owned).collect()
    }

    /// What its process does.
    pub fn condition(&self) -> Condition {
        self.process.map_or(Condition::Ended, Process::condition)
    }

    /// It, for people: its name and the beginning of its identity.
    pub fn shown(&self) -> String {
        match self.id.as_deref().and_then(|id| id.get(..8)) {
            Some(id) => format!("node {} ({id})", self.name),
            None => format!("node {}", self.name),
        }
    }
}

/// Where a cluster on this machine is unless somebody says otherwise.
pub fn default_directory() -> PathBuf {
    std::env::var_os(DIRECTORY_VARIABLE).map_or_else(|| DIRECTORY.into(), PathBuf::from)
}

/// A node that runs, of the cluster that runs where one is by default. None if none
/// runs there and nobody named the place.
///
/// # Errors
/// If the cluster that is meant has no node that runs: whatever else answers on this
/// machine is another one.
pub fn discovered() -> Result<Option<LocalNode>, Failure> {
    let directory = default_directory();
    let cluster = match std::env::var_os(DIRECTORY_VARIABLE) {
        Some(_) => LocalCluster::running(&directory)?,
        None => match LocalCluster::load(&directory) {
            Ok(Some(cluster)) if cluster.is_up() => cluster,
            Ok(_) | Err(_) => return Ok(None),
        },
    };
    match cluster.nodes.into_iter().find(|node| node.condition() == Condition::Runs) {
        Some(node) => Ok(Some(node)),
        None => Err(Failure::failed(format!(
            "no node of the local cluster in {} runs",
            directory.display()
        ))
        .hint("`stead chaos restart NODE` or `stead chaos resume NODE` has one run again")
        .hint("--admin, or STEAD_ADMIN, names a node of another cluster")),
    }
}

impl LocalCluster {
    /// A cluster with no nodes yet.
    pub fn new(partitions: u16) -> Self {
        Self { partitions, nodes: Vec::new(), up: None, settled: false }
    }

    /// Reads what was written down; none if nothing was.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn load(directory: &Path) -> Result<Option<Self>, Failure> {
        let path = directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Failure::failed(format!("{} can't be understood: {error}", path.display()))
                .hint("`stead up` of another version may have written it")
                .hint("removing the whole directory removes that cluster and its data")
        })
    }

    /// Whether `stead up` runs it.
    fn is_up(&self) -> bool {
        self.up.is_some_and(|up| up.condition() != Condition::Ended)
    }

    /// Reads what was written down of a cluster that runs.
    ///
    /// # Errors
    /// If there is none.
    pub fn running(directory: &Path) -> Result<Self, Failure> {
        let none = |what: &str| {
            Failure::failed(format!("{what} in {}", directory.display())).hint(
                "`stead up` starts one there; --data, or STEAD_UP_DIR, names another directory",
            )
        };
        let cluster = Self::load(directory)?.ok_or_else(|| none("there is no local cluster"))?;
        match cluster.is_up() {
            true => Ok(cluster),
            false => Err(none("no local cluster runs")),
        }
    }

    /// Writes it down, in place of what was there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, directory: &Path) -> Result<(), Failure> {
        let (path, unfinished) = (directory.join(FILE), directory.join(format!("{FILE}.new")));
        let mut bytes = serde_json::to_vec_pretty(self).expect("it is made of plain values");
        bytes.push(b'\n');
        fs::write(&unfinished, bytes)
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| Failure::file("written", &path, &error))
    }

    /// Adds a node, with ports that are free now.
    ///
    /// # Errors
    /// If the system has no free port.
    pub fn add(&mut self) -> Result<(), Failure> {
        let nth = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        let first = PORT.saturating_add(nth.saturating_mul(PORTS_EACH));
        let taken: Vec<SocketAddr> =
            self.nodes.iter().flat_map(|node| [node.ingress, node.admin, node.peers]).collect();
        let no_port =
            |error| Failure::failed(format!("loopback has no free port for a node: {error}"));
        let ingress = free(first, &taken).map_err(no_port)?;
        let admin = free(first.saturating_add(1), &taken).map_err(no_port)?;
        let peers = free(first.saturating_add(2), &taken).map_err(no_port)?;
        let name = (self.nodes.len() + 1).to_string();
        self.nodes.push(LocalNode { name, id: None, ingress, admin, peers, process: None });
        Ok(())
    }

    /// The node of this number.
    pub fn numbered(&self, number: &str) -> Option<&LocalNode> {
        self.nodes.iter().find(|node| node.name == number)
    }

    /// The node that somebody names: by its number, the beginning of its identity, or
    /// one of its addresses.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn pick(&self, name: &str) -> Result<&LocalNode, Failure> {
        if let Some(node) = self.numbered(name) {
            return Ok(node);
        }
        let is_at = |address: SocketAddr| address.to_string() == name;
        let named = |node: &&LocalNode| {
            let id = node.id.as_deref().unwrap_or_default();
            name.len() >= 2 && id.starts_with(&name.to_ascii_lowercase())
                || [node.ingress, node.admin, node.peers].into_iter().any(is_at)
        };
        let found: Vec<&LocalNode> = self.nodes.iter().filter(named).collect();
        match found.as_slice() {
            [node] => Ok(node),
            others => {
                let what = if others.is_empty() { "no" } else { "more than one" };
                let known: Vec<String> = self.nodes.iter().map(LocalNode::shown).collect();
                Err(Failure::usage(format!("{name:?} names {what} node of the local cluster"))
                    .hint(format!("there is {}", known.join(", "))))
            }
        }
    }
}

/// A port on loopback, by TCP and UDP: this one, or any that is free.
fn free(wanted: u16, taken: &[SocketAddr]) -> std::io::Result<SocketAddr> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut last = None;
    for port in std::iter::once(wanted).chain(std::iter::repeat_n(0, 16)) {
        let bound = TcpListener::bind(SocketAddr::new(loopback, port)).and_then(|listener| {
            let address = listener.local_addr()?;
            UdpSocket::bind(address)?;
            Ok(address)
        });
        match bound {
            Ok(address) if !taken.contains(&address) => return Ok(address),
            Ok(_) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("all that were tried are taken")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_and_nodes_are_found_by_what_people_call_them() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(LocalCluster::load(directory.path()).expect("read"), None);
        let mut cluster = LocalCluster::new(8);
        for id in ["ab12", "ab34", "cd56"] {
            cluster.add().expect("a free port");
            if let Some(node) = cluster.nodes.last_mut() {
                node.id = Some(id.repeat(8));
            }
        }
        cluster.save(directory.path()).expect("written");
        let read = LocalCluster::load(directory.path()).expect("read");
        assert_eq!(read.as_ref(), Some(&cluster));
        let picked = |name: &str| cluster.pick(name).map(|node| node.name.as_str()).ok();
        assert_eq!(picked("2"), Some("2"));
        assert_eq!(picked("AB12"), Some("1"));
        assert_eq!(picked("ab"), None, "two begin so");
        assert_eq!(picked(&cluster.nodes[2].admin.to_string()), Some("3"));
        assert_eq!(picked("4"), None);
        assert!(LocalCluster::running(directory.path()).is_err(), "no `stead up` is there");
        fs::write(directory.path().join(FILE), b"{").expect("written");
        assert!(LocalCluster::load(directory.path()).is_err());
    }
}
