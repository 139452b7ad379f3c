//! What is told of the others, and of ourselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_model::{ClusterId, NodeId};

use crate::identity::Identity;

/// How a node seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It answers.
    Alive,
    /// Someone got no answer. It has a moment to object.
    Suspect,
    /// It left, or nobody got an answer and it didn't object.
    Down,
}

/// Another node, in its latest known life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is, and where it is reached.
    pub identity: Identity,
    /// How it seems to be.
    pub health: Health,
}

/// Everyone that is known, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of the last notice that this takes into account.
    pub sequence: u64,
    /// This node, in its present life.
    pub own: Identity,
    /// The cluster that it is in; none before it entered one.
    pub cluster: Option<ClusterId>,
    /// The others, those that are gone and still remembered among them, by node id.
    pub members: Vec<Member>,
}

impl Snapshot {
    /// A node, if it is known.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&node, |member| member.identity.node).ok()?;
        self.members.get(at)
    }

    /// The others that aren't gone, suspects among them.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.health != Health::Down)
    }
}

/// A notice with its number: from 1, dense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub sequence: u64,
    /// The notice.
    pub notice: Notice,
}

/// Something that was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A node is there that wasn't known.
    Up(Arc<Identity>),
    /// A known node is there in a life after the one that was known, whether that
    /// had been found to be over or not. What was said to it before may be lost.
    Returned(Arc<Identity>),
    /// Someone got no answer from it.
    Suspect(Arc<Identity>),
    /// It was suspect, and answers.
    Refuted(Arc<Identity>),
    /// It is gone: it left, nobody could reach it, or another node has its address.
    Down(Arc<Identity>),
    /// The others held this node to be gone, or another to be at its address, and
    /// it goes on in another life: this is who it is from now on.
    Renewed(Arc<Identity>),
    /// This node is held to be gone and can't begin another life: its epochs have run
    /// out. It hears nothing more.
    Defunct,
    /// An address that was asked has answered.
    Found {
        /// The address that was asked.
        asked: SocketAddr,
        /// The cluster it is in; none if it is in none yet.
        cluster: Option<ClusterId>,
        /// Who is there. It may be this node itself.
        identity: Arc<Identity>,
    },
    /// An address that was asked has not answered.
    Unanswered {
        /// The address that was asked.
        asked: SocketAddr,
    },
    /// A node that is in no cluster either says something about founding one.
    Word {
        /// Whence.
        from: SocketAddr,
        /// What.
        body: Arc<[u8]>,
    },
    /// Another cluster, or another version of Stead, speaks from an address. Told
    /// once a minute and address.
    Foreign {
        /// The address.
        from: SocketAddr,
        /// What it is, and what to do about it.
        text: String,
    },
    /// Another process speaks under this node's own id, in a life at least as late: two
    /// were started with copies of one data directory. **One of them has to stop**, as
    /// both would vote. Told once a minute.
    Twin(Arc<Identity>),
    /// This node was stopped, or had no processor, for so long that it can't judge
    /// whom it didn't hear meanwhile.
    Paused {
        /// For how long, at least.
        at_least: Duration,
    },
    /// This node has left and told so. Nothing follows.
    Left,
}
