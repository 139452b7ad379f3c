//! What a node does for its peers.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use stead_model::NodeId;

use crate::{
    Lane,
    inbound::Answers,
    outbound::Room,
    wire::frame::{Failure, Frame},
};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerInfo {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub epoch: u64,
    /// Where its connection comes from. It is not where it can be dialled.
    pub address: SocketAddr,
    /// The protocol version agreed on with it.
    pub protocol: u16,
}

/// What a node does for its peers.
pub trait Service: Send + Sync + 'static {
    /// Takes in a call or a message ([`Reply::is_wanted`] tells which). Those of
    /// one connection come one after the other, in the order in which they were
    /// made.
    ///
    /// It must not block: hand the work on, with the reply. As long as the reply
    /// is held, the call counts against the caller's window; that is how a
    /// service that can't keep up slows its callers down.
    ///
    /// A panic ends the connection that the call came on.
    fn serve(&self, from: &PeerInfo, lane: Lane, payload: Bytes, reply: Reply);
}

/// The duty to answer a call. It can be fulfilled later, from any thread, in any
/// order. Letting it go tells the caller that there is no answer. For a message
/// it only means that the message is done with.
#[derive(Debug)]
pub struct Reply {
    pub(crate) answers: Arc<Answers>,
    /// The number of the call; none for a message.
    pub(crate) id: Option<u64>,
    pub(crate) room: Room,
    pub(crate) done: bool,
}

impl Reply {
    /// Whether somebody waits for an answer. Nobody does for a message.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Whether the connection still stands. An answer to one that doesn't is
    /// thrown away, so long work can be given up.
    #[must_use]
    pub fn can_arrive(&self) -> bool {
        self.answers.is_open()
    }

    /// Answers. An answer that is larger than the caller takes, or that comes
    /// when too many already wait to be sent, is replaced by word of that.
    pub fn answer(mut self, payload: Bytes) {
        self.done = true;
        match self.id {
            Some(id) => self.answers.answer(id, self.room, payload),
            None => self.answers.message_done(self.room),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        match self.id {
            Some(id) => {
                self.answers.put(self.room, Frame::Failed { id, failure: Failure::Dropped });
            }
            None => self.answers.message_done(self.room),
        }
    }
}
