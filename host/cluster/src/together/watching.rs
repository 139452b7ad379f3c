//! What gossip and the transport hear of other nodes, passed on to each other and
//! to consensus. All of it are hints: when to elect, and where to send.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use stead_gossip::{Health, Heard, Notice, Numbered, Snapshot};
use stead_model::NodeId;
use stead_peers::{LossKind, PeerEvent, PeerEvents, Peers};

use super::{Cluster, link::Link};

/// How often everything is looked at again, whatever was heard.
const LOOK: Duration = Duration::from_secs(1);

/// How long a node that is gone is still dialled. If it comes back later, gossip tells.
const DIALLED: Duration = Duration::from_secs(30);

/// What was passed on.
#[derive(Default)]
struct Known {
    /// Where the others take connections.
    peers: BTreeMap<NodeId, std::net::SocketAddr>,
    /// Those whose connections broke, and that haven't been reached since.
    broken: BTreeSet<NodeId>,
    /// Since when those are gone that are dialled all the same.
    missed: BTreeMap<NodeId, Instant>,
}

/// Passes on what is heard, for as long as the node runs.
pub(super) async fn watch(cluster: Cluster, peers: Arc<Peers>, link: Link, mut events: PeerEvents) {
    let gossip = cluster.gossip();
    let (snapshot, mut notices) = gossip.subscribe();
    let mut known = Known::default();
    known.look(&cluster, &peers, &snapshot);
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            heard = notices.next() => {
                let Some(heard) = heard else { return };
                if let Heard::Notice(Numbered { notice, .. }) = heard {
                    let twin = &cluster.together().twin;
                    match notice {
                        Notice::Twin(other) => twin.note(other.gossip, Instant::now()),
                        // It is in a life of its own again.
                        Notice::Renewed(_) => twin.forget(),
                        _ => {}
                    }
                }
                known.look(&cluster, &peers, &gossip.members());
            }
            event = events.next() => {
                let Some(event) = event else { return };
                if let PeerEvent::Met { node, protocol, .. } = &event {
                    link.agreed(*node, *protocol);
                }
                known.of_transport(&cluster, &event);
            }
            _ = look.tick() => known.look(&cluster, &peers, &gossip.members()),
        }
    }
}

impl Known {
    fn look(&mut self, cluster: &Cluster, peers: &Peers, members: &Snapshot) {
        for member in &members.members {
            let node = member.identity.node;
            if node == cluster.id() {
                continue;
            }
            let there = member.health != Health::Down;
            if there && self.peers.get(&node) != Some(&member.identity.peer) {
                match peers.set_peer(node, member.identity.peer) {
                    Ok(()) => drop(self.peers.insert(node, member.identity.peer)),
                    Err(error) => tracing::warn!(node = %node.short(), %error, "a node is ignored"),
                }
            }
            if !there {
                cluster.gone().note(node);
            }
            cluster.consensus().presence(node, there && !self.broken.contains(&node));
            if there && !self.broken.contains(&node) {
                cluster.gone().forget(node);
            }
        }
        self.let_go(peers, members);
    }

    /// Nodes that have been gone for a while aren't dialled any more: they were replaced,
    /// most likely, and another may be at their address.
    fn let_go(&mut self, peers: &Peers, members: &Snapshot) {
        let there: BTreeSet<NodeId> = members
            .members
            .iter()
            .filter(|member| member.health != Health::Down)
            .map(|member| member.identity.node)
            .collect();
        self.missed.retain(|node, _| !there.contains(node));
        let gone: Vec<NodeId> =
            self.peers.keys().filter(|node| !there.contains(node)).copied().collect();
        for node in gone {
            if self.missed.entry(node).or_insert_with(Instant::now).elapsed() >= DIALLED {
                self.missed.remove(&node);
                self.peers.remove(&node);
                self.broken.remove(&node);
                peers.forget_peer(node);
            }
        }
    }

    fn of_transport(&mut self, cluster: &Cluster, event: &PeerEvent) {
        match event {
            PeerEvent::Met { node, .. } => {
                self.broken.remove(node);
                cluster.gone().forget(*node);
                cluster.consensus().presence(*node, true);
            }
            PeerEvent::Lost { node, kind, reason } => {
                tracing::info!(node = %node.short(), %reason, "a node can't be reached");
                // Gossip finds out what is wrong with one that only says nothing.
                let _ = cluster.gossip().hint(*node);
                if matches!(kind, LossKind::Reset | LossKind::Refused | LossKind::Closed) {
                    self.broken.insert(*node);
                    cluster.gone().note(*node);
                    cluster.consensus().presence(*node, false);
                }
            }
        }
    }
}
