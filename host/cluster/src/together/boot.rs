//! How a node comes to be in a cluster: the one that it was in before, one that
//! it finds, or one that is founded with others that are in none either.
//!
//! Whoever finds a cluster at one of the addresses that it was given enters that.
//! Otherwise the nodes agree on who founds one; how is in `stead-founding`, and this
//! is the shell around it: it looks who is there, carries the words, keeps promises
//! before they are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use stead_founding::{
    ADDRESSES_MAX, Effect, Founding, Input, Letter, Names, Resolved, Seed, Settings, Waits,
};
use stead_gossip::{Gossip, Heard, Notice, Numbered};
use stead_model::NodeId;

use super::charter::{self, Charter};

/// How long between two looks.
const PERIOD: Duration = Duration::from_millis(250);
/// For how long it is held to be true what names stand for.
const NAMES_HOLD: Duration = Duration::from_secs(1);
/// How often it is said that the node still waits.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The most nodes without a cluster whose addresses are kept.
const KNOWN_MAX: usize = 4 * ADDRESSES_MAX;

/// What a node needs to find its cluster.
pub struct Boot {
    pub gossip: Gossip,
    pub names: Names,
    pub seeds: Vec<Seed>,
    pub settings: Settings,
    /// Where it keeps what it promises.
    pub directory: PathBuf,
}

/// What one look at the addresses showed.
struct Look {
    /// Those in a cluster, and this node itself, are not among them.
    without: BTreeMap<NodeId, SocketAddr>,
    clusters: BTreeSet<stead_model::ClusterId>,
}

impl Boot {
    /// Finds the cluster, or founds it. Takes as long as it takes.
    ///
    /// # Errors
    /// If promises can't be kept.
    pub async fn find(self) -> Result<Charter, String> {
        let directory = self.directory.clone();
        let kept = tokio::task::spawn_blocking(move || charter::load_promises(&directory)).await;
        let kept = kept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let mut founding = Founding::new(self.settings, kept, rand::random());
        let began = Instant::now();
        let (_, mut notices) = self.gossip.subscribe();
        let mut addresses = BTreeMap::new();
        let mut resolved: Option<(Instant, Resolved)> = None;
        let mut said = Instant::now();
        loop {
            {
                let looks = self.look(&mut resolved);
                tokio::pin!(looks);
                loop {
                    let (input, looked) = tokio::select! {
                        look = &mut looks => {
                            let without = look.without.keys().copied().collect();
                            addresses = look.without;
                            (Input::Looked { clusters: look.clusters, without }, true)
                        }
                        heard = notices.next() => match heard {
                            Some(heard) => match letter(heard) {
                                Some((from, letter)) => {
                                    if addresses.len() < KNOWN_MAX {
                                        addresses.insert(letter.from, from);
                                    }
                                    (Input::Heard(letter), false)
                                }
                                None => continue,
                            },
                            None => return Err("gossip has stopped".into()),
                        },
                    };
                    for effect in founding.handle(input, began.elapsed()) {
                        if let Some(charter) = self.carry_out(effect, &addresses).await? {
                            return Ok(charter);
                        }
                    }
                    if looked {
                        break;
                    }
                }
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                self.tell(founding.waits(), resolved.as_ref());
            }
        }
    }

    async fn carry_out(
        &self,
        effect: Effect,
        addresses: &BTreeMap<NodeId, SocketAddr>,
    ) -> Result<Option<Charter>, String> {
        match effect {
            Effect::Keep(kept) => {
                let directory = self.directory.clone();
                let keep = move || charter::keep_promises(&kept, &directory);
                let kept = tokio::task::spawn_blocking(keep).await;
                kept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            }
            Effect::Say(letter) => {
                if let Some(to) = addresses.get(&letter.to)
                    && let Err(error) = self.gossip.say(*to, letter.encode())
                {
                    // As good as lost on the way: it is said again.
                    tracing::debug!(%error, "a word about founding a cluster was not sent");
                }
            }
            Effect::Enter(cluster) => return Ok(Some(Charter { cluster, founding: false })),
            Effect::Found(cluster) => return Ok(Some(Charter { cluster, founding: true })),
        }
        Ok(None)
    }

    /// Asks all addresses who is there, after a pause if it was done before.
    async fn look(&self, resolved: &mut Option<(Instant, Resolved)>) -> Look {
        if resolved.is_some() {
            tokio::time::sleep(PERIOD).await;
        }
        if resolved.as_ref().is_none_or(|(at, _)| at.elapsed() >= NAMES_HOLD) {
            *resolved = Some((Instant::now(), self.names.resolve(&self.seeds).await));
        }
        let addresses = resolved.iter().flat_map(|(_, resolved)| resolved.addresses.iter());
        let asked = addresses.copied().map(|address| async move {
            let answer = self.gossip.ask(address).await;
            (address, answer)
        });
        let answers = futures::future::join_all(asked).await;
        let mut look = Look { without: BTreeMap::new(), clusters: BTreeSet::new() };
        for (address, answer) in answers {
            let Ok(found) = answer else { continue };
            match found.cluster {
                Some(cluster) => drop(look.clusters.insert(cluster)),
                None => drop(look.without.insert(found.identity.node, address)),
            }
        }
        if look.clusters.len() > 1 {
            tracing::warn!(
                clusters = look.clusters.len(),
                "nodes of several clusters answer at the addresses that were given"
            );
        }
        look.without.remove(&self.settings.node);
        look
    }

    /// Says why there is no cluster yet.
    fn tell(&self, waits: Waits, resolved: Option<&(Instant, Resolved)>) {
        let expected = self.settings.expected;
        if let Some((_, resolved)) = resolved {
            for (seed, why) in &resolved.unresolved {
                tracing::info!(%seed, %why, "a name in cluster.seeds stands for nothing yet");
            }
            if resolved.left_out > 0 {
                tracing::warn!(
                    left_out = resolved.left_out,
                    "cluster.seeds stand for more than {ADDRESSES_MAX} addresses"
                );
            }
        }
        match waits {
            Waits::ToEnter => tracing::info!(
                "waiting for a cluster to enter: by cluster.bootstrap=join none is founded"
            ),
            Waits::ForMajority(answer) => {
                tracing::info!(answer, expected, "waiting for other nodes to form a cluster with")
            }
            Waits::ForTheRest(answer, waited) => tracing::info!(
                answer,
                expected,
                waited_s = waited.as_secs(),
                grace_s = self.settings.grace.as_secs(),
                "waiting for the other nodes that are expected; after cluster.bootstrap-grace a \
                 majority forms a cluster without them"
            ),
            Waits::ForOneSize(node, theirs) => tracing::warn!(
                node = %node.short(),
                expected,
                theirs,
                "nodes were given different cluster.expected-nodes and form no cluster: give all \
                 the same"
            ),
            Waits::ForFounder(node) => tracing::warn!(
                %node,
                "a node that may have founded the cluster isn't there; if its disk is lost, stop \
                 these nodes, empty their data directories, which hold nothing yet, and start anew"
            ),
            Waits::ForAgreement => tracing::info!("the nodes agree on who founds the cluster"),
        }
    }
}

fn letter(heard: Heard) -> Option<(SocketAddr, Letter)> {
    match heard {
        Heard::Notice(Numbered { notice: Notice::Word { from, body }, .. }) => {
            Letter::decode(&body).map(|letter| (from, letter))
        }
        // What is missed is said again.
        Heard::Notice(_) | Heard::Missed(_) => None,
    }
}

const _: () = assert!(ADDRESSES_MAX <= stead_gossip::NAMED_MAX, "all can be asked at once");
const _: () = assert!(
    stead_founding::WORD_BYTES_MAX <= stead_gossip::WORD_BYTES_MAX,
    "gossip carries every word"
);
