//! A node that was given up, and comes back with the data that it had.
//!
//! Those who went on without it have data that it knows nothing of, and with others
//! that were given up it may be a majority of what was. So it asks those it finds
//! whether it is welcome, before it takes part in anything; and each that it finds
//! later. Those who went on don't listen to it in any case.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use stead_founding::{Names, Seed};
use stead_model::NodeId;
use stead_peers::{Lane, Peers};

use super::{
    Cluster,
    wire::{self, Ask, Told},
};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(1_500);

const GIVEN_UP: &str = "this node was given up by the others, who have gone on without what it \
                        has (`stead cluster recover`); start it with an empty data directory";

impl Cluster {
    /// Asks those that are found at the addresses that were given, before this node
    /// takes part.
    ///
    /// # Errors
    /// If one of them says that this node was given up.
    pub(super) async fn is_welcome(&self, peers: &Peers, seeds: &[Seed]) -> Result<(), String> {
        let addresses = Names::system().resolve(seeds).await.addresses;
        let gossip = self.gossip();
        let found = futures::future::join_all(addresses.into_iter().map(|a| gossip.ask(a))).await;
        let mut asked = Vec::new();
        for other in found.into_iter().flatten() {
            let (node, address) = (other.identity.node, other.identity.peer);
            if node != self.id() && peers.set_peer(node, address).is_ok() {
                asked.push(self.welcomed_by(peers, node));
            }
        }
        let said = futures::future::join_all(asked).await;
        if said.contains(&Some(false)) { Err(self.is_given_up().await) } else { Ok(()) }
    }

    /// Asks those that weren't asked yet.
    pub(super) async fn ask_whether_welcome(&self, asked: &mut BTreeSet<NodeId>) {
        let Some(peers) = self.peers() else { return };
        for node in self.others() {
            if asked.contains(&node) {
                continue;
            }
            match self.welcomed_by(peers, node).await {
                Some(true) => _ = asked.insert(node),
                Some(false) => {
                    let why = self.is_given_up().await;
                    tracing::error!(%why, "this node can't be part of the cluster any more");
                    // It is said once: nothing goes on after it.
                    let _ = self.together().trouble.set(why);
                    return;
                }
                None => {}
            }
        }
    }

    async fn welcomed_by(&self, peers: &Peers, node: NodeId) -> Option<bool> {
        let deadline = Instant::now() + PATIENCE;
        let answer = peers.call(node, Lane::Requests, wire::encode(&Ask::Welcome), deadline).await;
        match wire::decode(&answer.ok()?) {
            Ok(Told::Welcome(welcome)) => Some(welcome),
            Ok(_) | Err(_) => None,
        }
    }

    /// Ends this node's part in everything; why.
    async fn is_given_up(&self) -> String {
        self.consensus().resign();
        self.together().link.close();
        if let Err(error) = self.gossip().leave().await {
            tracing::debug!(%error, "the others were not told that this node goes");
        }
        GIVEN_UP.into()
    }
}
