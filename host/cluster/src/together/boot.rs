//! How a node comes to be in a cluster: the one that it was in before, one that
//! it finds, or one that it founds with others that are in none either.
//!
//! Whoever finds a cluster at one of the addresses that it was given enters that.
//! If nobody there is in one, and a majority of the nodes that are expected
//! answers, the one among them with the lowest id founds it, after it has seen
//! the same for a while. So exactly one cluster forms, as long as a majority
//! sees itself; a node on its own never founds one unless it is the only one that
//! is expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stead_gossip::Gossip;
use stead_model::{ClusterId, NodeId};

/// How long between two looks.
const PERIOD: Duration = Duration::from_millis(250);
/// How often the same must have been seen before a cluster is founded.
const STEADY: u32 = 3;
/// The most addresses that are asked in one look.
const ASKED_MAX: usize = 64;
/// How often it is said that the node still waits.
const SAY_EVERY: u32 = 40;

const FILE: &str = "cluster.json";

/// What a node knows of its cluster from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Charter {
    /// The cluster.
    pub cluster: ClusterId,
    /// Whether this node founds it and may not have begun all groups.
    pub founding: bool,
}

/// Why there is no charter.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct CharterError {
    path: PathBuf,
    reason: String,
}

impl Charter {
    /// What was kept; `None` if the node was in no cluster yet.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn load(directory: &Path) -> Result<Option<Self>, CharterError> {
        let path = directory.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CharterError { path, reason: error.to_string() }),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| CharterError { path, reason: error.to_string() })
    }

    /// Keeps it, durably, in place of what was there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn keep(self, directory: &Path) -> Result<(), CharterError> {
        let (path, unfinished) = (directory.join(FILE), directory.join(format!("{FILE}.new")));
        let bytes = serde_json::to_vec(&self).expect("it is made of plain values");
        let written = (|| {
            use std::io::Write;
            let mut file = std::fs::File::create(&unfinished)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &path)?;
            std::fs::File::open(directory)?.sync_all()
        })();
        written.map_err(|error: std::io::Error| CharterError { path, reason: error.to_string() })
    }
}

/// What one look at the addresses showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Look {
    clusters: BTreeSet<ClusterId>,
    /// Those that are in none, this node among them.
    without: BTreeSet<NodeId>,
}

/// What to do after a look.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Enter(ClusterId),
    Found,
    Wait,
}

impl Look {
    /// `steady`: how often the same was seen, this time included.
    fn verdict(&self, node: NodeId, expected: usize, steady: u32) -> Verdict {
        if let Some(cluster) = self.clusters.first() {
            return Verdict::Enter(*cluster);
        }
        let enough = self.without.len() > expected / 2;
        let is_first = self.without.first() == Some(&node);
        if enough && is_first && steady >= STEADY { Verdict::Found } else { Verdict::Wait }
    }
}

/// Finds the cluster, or founds it. Takes as long as it takes.
pub async fn find(gossip: &Gossip, node: NodeId, seeds: &[String], expected: usize) -> Charter {
    let mut before = Look::default();
    let (mut steady, mut looks) = (0_u32, 0_u32);
    loop {
        let look = look(gossip, node, seeds).await;
        steady = if look == before { steady.saturating_add(1) } else { 1 };
        // Without an address there is nobody to be seen.
        let sure = if seeds.is_empty() { STEADY } else { steady };
        match look.verdict(node, expected, sure) {
            Verdict::Enter(cluster) => {
                if look.clusters.len() > 1 {
                    tracing::warn!(
                        clusters = look.clusters.len(),
                        "nodes of several clusters answer at the addresses that were given"
                    );
                }
                return Charter { cluster, founding: false };
            }
            Verdict::Found => {
                return Charter { cluster: ClusterId(rand::random()), founding: true };
            }
            Verdict::Wait => {}
        }
        looks = looks.wrapping_add(1);
        if looks % SAY_EVERY == 1 {
            tracing::info!(
                answered = look.without.len(),
                expected,
                "waiting for other nodes to form a cluster with"
            );
        }
        before = look;
        tokio::time::sleep(PERIOD).await;
    }
}

async fn look(gossip: &Gossip, node: NodeId, seeds: &[String]) -> Look {
    let mut addresses = resolve(seeds).await;
    addresses.truncate(ASKED_MAX);
    let asked = addresses.into_iter().map(|address| gossip.ask(address));
    let mut look = Look { without: BTreeSet::from([node]), ..Look::default() };
    // Two at one address is the same node asked twice.
    let mut found = BTreeMap::new();
    for answer in futures::future::join_all(asked).await.into_iter().flatten() {
        found.insert(answer.identity.node, answer.cluster);
    }
    for (other, cluster) in found {
        match cluster {
            Some(cluster) => drop(look.clusters.insert(cluster)),
            None => drop(look.without.insert(other)),
        }
    }
    look
}

/// The addresses that names stand for now. A name that stands for none is left
/// out, and said.
pub async fn resolve(seeds: &[String]) -> Vec<SocketAddr> {
    let mut addresses = BTreeSet::new();
    for seed in seeds {
        match tokio::net::lookup_host(seed.as_str()).await {
            Ok(found) => addresses.extend(found),
            Err(error) => tracing::debug!(%seed, %error, "a name can't be resolved"),
        }
    }
    addresses.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(nodes: &[u128]) -> Look {
        let without = nodes.iter().copied().map(NodeId).collect();
        Look { without, ..Look::default() }
    }

    #[test]
    fn the_lowest_of_a_majority_founds_once_it_is_sure() {
        let look = without(&[2, 5]);
        assert_eq!(look.verdict(NodeId(2), 3, STEADY), Verdict::Found);
        assert_eq!(look.verdict(NodeId(2), 3, STEADY - 1), Verdict::Wait);
        assert_eq!(look.verdict(NodeId(5), 3, STEADY), Verdict::Wait);
        assert_eq!(without(&[2]).verdict(NodeId(2), 3, 99), Verdict::Wait);
        assert_eq!(without(&[2, 3]).verdict(NodeId(2), 4, 99), Verdict::Wait);
        assert_eq!(without(&[2]).verdict(NodeId(2), 1, 1), Verdict::Wait);
        assert_eq!(without(&[2]).verdict(NodeId(2), 1, STEADY), Verdict::Found);
    }

    #[test]
    fn a_cluster_that_is_there_is_entered() {
        let mut look = without(&[1, 2, 3]);
        look.clusters.insert(ClusterId(9));
        assert_eq!(look.verdict(NodeId(1), 3, 99), Verdict::Enter(ClusterId(9)));
    }

    #[test]
    fn a_charter_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(Charter::load(directory.path()).expect("read"), None);
        for founding in [true, false] {
            let charter = Charter { cluster: ClusterId(7), founding };
            charter.keep(directory.path()).expect("kept");
            assert_eq!(Charter::load(directory.path()).expect("read"), Some(charter));
        }
        std::fs::write(directory.path().join(FILE), b"{").expect("written");
        let error = Charter::load(directory.path()).expect_err("it is garbled");
        assert!(error.to_string().contains(FILE), "{error}");
    }
}
