//! What gossip and the transport hear of other nodes, passed on to each other and
//! to consensus. All of it are hints: when to elect, and where to send.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use stead_gossip::{Health, Heard, Notice, Numbered, Snapshot};
use stead_model::NodeId;
use stead_peers::{LossKind, PeerEvent, PeerEvents, Peers};

use super::{Cluster, link::Link};

/// How often everything is looked at again, whatever was heard.
const LOOK: Duration = Duration::from_secs(1);

/// What was passed on.
#[derive(Default)]
struct Known {
    /// Where the others take connections.
    peers: BTreeMap<NodeId, std::net::SocketAddr>,
    /// Those whose connections broke, and that haven't been reached since.
    broken: BTreeSet<NodeId>,
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
                if let Heard::Notice(Numbered { notice: Notice::Twin(other), .. }) = heard {
                    tracing::error!(
                        at = %other.gossip,
                        "another process has this node's identity and data; one of them must stop"
                    );
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
