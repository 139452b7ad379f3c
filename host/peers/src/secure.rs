//! The seam where encryption and proof of identity go.
//!
//! Everything above this line speaks to a [`Wire`]: two halves that carry bytes
//! in order. [`Plain`] is bare TCP. TLS goes here and nowhere else: an
//! implementation of [`Secure`] runs its handshake on the socket it is given,
//! returns the encrypted halves (`tokio::io::split` of a TLS stream), and names
//! in [`Wire::proven`] the node that the other's certificate stands for. The
//! handshake of peers then holds what the other *says* it is against what was
//! *proven*, and refuses a difference. It is given the node that is dialled, so
//! that it can choose the name to ask the certificate for.
//!
//! The seam is below the handshake and not inside it: nothing of the cluster is
//! told before the wire is secured, garbage from strangers stays in the TLS
//! library, and versions of the peers' protocol have nothing to do with
//! versions of TLS. The cost of two boxed halves is a virtual call for each
//! read and write of a buffer, not for each call.

use std::{future::Future, io, net::SocketAddr, pin::Pin};

use stead_model::NodeId;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// The half that is read from.
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// The half that is written to.
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection that carries bytes in order, both ways.
pub struct Wire {
    /// What the other says.
    pub read: ReadHalf,
    /// What the other is told.
    pub write: WriteHalf,
    /// Which node the other was proven to be, if there was a proof.
    pub proven: Option<NodeId>,
}

/// A wire on its way. Dropping it gives up.
pub type Securing<'a> = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send + 'a>>;

/// Makes wires of TCP connections. How long that may take is bounded by the
/// caller; an implementation needn't.
pub trait Secure: Send + Sync + 'static {
    /// Secures a connection that this node made, to reach `node` if it knows
    /// whom it wants to reach.
    fn connect(&self, stream: TcpStream, node: Option<NodeId>) -> Securing<'_>;

    /// Secures a connection that another made to this node.
    fn accept(&self, stream: TcpStream, from: SocketAddr) -> Securing<'_>;
}

/// Bare TCP: for networks that are trusted, or secured below.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Plain {
    fn wire(stream: TcpStream) -> Wire {
        let (read, write) = stream.into_split();
        Wire { read: Box::new(read), write: Box::new(write), proven: None }
    }
}

impl Secure for Plain {
    fn connect(&self, stream: TcpStream, _node: Option<NodeId>) -> Securing<'_> {
        Box::pin(async move { Ok(Self::wire(stream)) })
    }

    fn accept(&self, stream: TcpStream, _from: SocketAddr) -> Securing<'_> {
        Box::pin(async move { Ok(Self::wire(stream)) })
    }
}
