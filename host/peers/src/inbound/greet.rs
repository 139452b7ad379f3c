//! Hears a node's hello, and decides whether to speak with it.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::registry::Place;
use crate::{
    Lane, PeerInfo, ReadHalf, Refusal, RefusalReason, Wire, WriteHalf,
    shared::Shared,
    wire::handshake::{Answer, Flaw, HEAD_BYTES, Head, Hello, Purpose, Welcome},
};

/// A node that may speak.
pub(crate) struct Greeted {
    pub(crate) read: ReadHalf,
    pub(crate) write: WriteHalf,
    pub(crate) from: PeerInfo,
    pub(crate) lane: Lane,
    pub(crate) place: Place,
    /// The largest answer that it takes.
    pub(crate) payload_max: u32,
}

/// Why a connection didn't come to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Flaw(#[from] Flaw),
    #[error("refused: {0}")]
    Refused(Refusal),
}

/// Hears the hello and answers it. Nothing to be served if the other only wanted
/// to know who is there.
pub(crate) async fn greet(
    shared: &Shared,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<Option<Greeted>, GreetError> {
    stream.set_nodelay(true)?;
    let Wire { mut read, mut write, proven } = shared.config.secure.accept(stream, address).await?;
    let mut head = [0; HEAD_BYTES];
    read.read_exact(&mut head).await?;
    let head = Head::of_hello(&head)?;
    let mut body = vec![0; head.body_bytes()];
    read.read_exact(&mut body).await?;
    let hello = Hello::decode(&head, &body)?;

    let judged = judge(shared, &hello).and_then(|version| match proven {
        Some(proven) if proven != hello.node => Err(refusal(
            shared,
            RefusalReason::NotProven,
            format!("it says that it is {} and is {}", hello.node.short(), proven.short()),
        )),
        _ => Ok((version, place(shared, &hello)?)),
    });
    let (version, place) = match judged {
        Ok(judged) => judged,
        Err(refusal) => {
            write.write_all(&Answer::Refused(refusal.clone()).encode()).await?;
            // The hello was read to its end, so closing doesn't reset what is
            // still on its way.
            write.shutdown().await?;
            return Err(GreetError::Refused(refusal));
        }
    };
    let config = &shared.config;
    let limits = config.lanes.get(place.as_ref().map_or(Lane::Control, |(lane, _)| *lane));
    let welcome = Welcome {
        version,
        cluster: config.cluster,
        node: config.node,
        epoch: config.epoch,
        payload_bytes_max: limits.payload_bytes_max,
        window_calls: limits.window_calls,
        window_bytes: limits.window_bytes,
    };
    write.write_all(&Answer::Welcome(welcome).encode()).await?;
    write.flush().await?;
    let Some((lane, place)) = place else {
        write.shutdown().await?;
        return Ok(None);
    };
    let from = PeerInfo { node: hello.node, epoch: hello.epoch, address, protocol: version };
    let payload_max = hello.payload_bytes_max;
    Ok(Some(Greeted { read, write, from, lane, place, payload_max }))
}

/// The version to speak, or why not to.
fn judge(shared: &Shared, hello: &Hello) -> Result<u16, Refusal> {
    let config = &shared.config;
    let refuse = |reason, sentence| Err(refusal(shared, reason, sentence));
    if hello.cluster != config.cluster {
        return refuse(
            RefusalReason::OtherCluster,
            format!(
                "node {} belongs to cluster {}, and node {} to cluster {}",
                hello.node.short(),
                hello.cluster.short(),
                config.node.short(),
                config.cluster.short()
            ),
        );
    }
    let (theirs, ours) = (hello.protocol, config.protocol);
    let Some(version) = ours.common(theirs) else {
        return refuse(
            RefusalReason::NoCommonVersion,
            format!(
                "node {} speaks versions {} to {} of the protocol between nodes, and node {} \
                 versions {} to {}; upgrade the older one, one release at a time",
                hello.node.short(),
                theirs.min,
                theirs.max,
                config.node.short(),
                ours.min,
                ours.max
            ),
        );
    };
    if hello.node == config.node {
        let sentence = format!("node {} dialled itself", config.node.short());
        return refuse(RefusalReason::Itself, sentence);
    }
    if let Some(expected) = hello.expects
        && expected != config.node
    {
        let sentence = format!("this is node {}, not {}", config.node.short(), expected.short());
        return refuse(RefusalReason::OtherNode, sentence);
    }
    if shared.is_stopping() {
        let sentence = format!("node {} is stopping", config.node.short());
        return refuse(RefusalReason::Stopping, sentence);
    }
    if let Purpose::Unknown(code) = hello.purpose {
        let sentence = format!("node {} knows no lane {code}", config.node.short());
        return refuse(RefusalReason::NoSuchLane, sentence);
    }
    Ok(version)
}

fn place(shared: &Shared, hello: &Hello) -> Result<Option<(Lane, Place)>, Refusal> {
    let Purpose::Lane(lane) = hello.purpose else { return Ok(None) };
    let admitted = shared.inbound.admit(hello.node, hello.epoch, lane, hello.dial);
    let place = admitted.map_err(|reason| {
        let node = shared.config.node.short();
        let sentence = match reason {
            RefusalReason::TooManyConnections => {
                format!("node {node} has {} connections, its most", shared.config.inbound_max)
            }
            _ => format!("node {node} has a later connection of node {}", hello.node.short()),
        };
        refusal(shared, reason, sentence)
    })?;
    Ok(Some((lane, place)))
}

fn refusal(shared: &Shared, reason: RefusalReason, sentence: String) -> Refusal {
    Refusal { reason, cluster: shared.config.cluster, node: shared.config.node, sentence }
}
