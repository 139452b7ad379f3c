//! A node that this one talks to.

use std::{net::SocketAddr, sync::Mutex};

use bytes::Bytes;
use stead_model::NodeId;
use tokio_util::sync::CancellationToken;

use super::link::{Caller, Kick, Link};
use crate::{CallError, Lane, LaneLimits, Lanes, LossReason, sync::locked};

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    address: Mutex<SocketAddr>,
    links: Lanes<Link>,
    /// Cancelled when the peer is forgotten or this node is done.
    pub(crate) token: CancellationToken,
}

impl Peer {
    pub(crate) fn new(
        node: NodeId,
        address: SocketAddr,
        limits: &Lanes<LaneLimits>,
        token: CancellationToken,
    ) -> Self {
        let links = Lanes::each(|lane| Link::new(node, lane, *limits.get(lane)));
        Self { node, address: Mutex::new(address), links, token }
    }

    pub(crate) fn link(&self, lane: Lane) -> &Link {
        self.links.get(lane)
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        Lane::ALL.into_iter().map(|lane| self.links.get(lane))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        *locked(&self.address)
    }

    /// Where the peer is from now on.
    pub(crate) fn moved(&self, address: SocketAddr) {
        let before = std::mem::replace(&mut *locked(&self.address), address);
        if before != address {
            self.links().for_each(|link| link.kick(Kick::Cut(LossReason::Moved(address))));
        }
    }

    /// Takes in a call. If the control lane knows that the peer can't be reached,
    /// the other lanes needn't find out each for itself.
    pub(crate) fn enqueue(
        &self,
        lane: Lane,
        payload: Bytes,
        caller: Option<Caller>,
    ) -> Result<u64, CallError> {
        self.link(lane).enqueue(payload, caller, || match lane {
            Lane::Control => None,
            Lane::Log | Lane::Bulk | Lane::Requests => self.link(Lane::Control).outage(),
        })
    }

    /// The lanes besides control.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Link> {
        self.links().filter(|link| link.lane != Lane::Control)
    }
}
