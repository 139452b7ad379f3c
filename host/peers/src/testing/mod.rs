//! Faults of networks, on purpose: for tests, of this crate and of others.
//!
//! [`FaultySecure`] goes where TLS would go ([`Secure`]) and hands out wires
//! whose [`Faults`] can be switched while they carry traffic. It makes no tasks:
//! a wire that is dropped leaves nothing behind.

mod faults;
mod read;
mod write;

use std::{net::SocketAddr, sync::Arc};

use stead_model::NodeId;
use tokio::net::TcpStream;

pub use faults::{FaultCounts, Faults};

use crate::{Plain, Secure, Securing, Wire};

/// Which end of which connection a wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// This node made it, to reach that node if it is known.
    Dialled(Option<NodeId>),
    /// Another made it, from that address.
    Accepted(SocketAddr),
}

type Choose = dyn Fn(End) -> Option<Faults> + Send + Sync;

/// Wires with faults.
pub struct FaultySecure {
    inner: Arc<dyn Secure>,
    choose: Box<Choose>,
}

impl FaultySecure {
    /// All of a node's connections share these faults.
    #[must_use]
    pub fn all(faults: &Faults) -> Self {
        let faults = faults.clone();
        Self::choosing(move |_| Some(faults.clone()))
    }

    /// Each connection has the faults that are chosen for it, or none.
    pub fn choosing(choose: impl Fn(End) -> Option<Faults> + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(Plain), choose: Box::new(choose) }
    }

    /// The faults are in what this makes, instead of in bare TCP.
    #[must_use]
    pub fn over(mut self, inner: Arc<dyn Secure>) -> Self {
        self.inner = inner;
        self
    }

    fn spoil(&self, end: End, wire: Wire) -> Wire {
        let Some(faults) = (self.choose)(end) else { return wire };
        let Wire { read, write, proven } = wire;
        Wire {
            read: Box::new(read::FaultyRead::new(read, faults.clone())),
            write: Box::new(write::FaultyWrite::new(write, faults)),
            proven,
        }
    }
}

impl Secure for FaultySecure {
    fn connect(&self, stream: TcpStream, node: Option<NodeId>) -> Securing<'_> {
        let wire = self.inner.connect(stream, node);
        Box::pin(async move { Ok(self.spoil(End::Dialled(node), wire.await?)) })
    }

    fn accept(&self, stream: TcpStream, from: SocketAddr) -> Securing<'_> {
        let wire = self.inner.accept(stream, from);
        Box::pin(async move { Ok(self.spoil(End::Accepted(from), wire.await?)) })
    }
}
