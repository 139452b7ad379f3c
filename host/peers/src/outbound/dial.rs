//! Makes a connection to a peer and says hello.

use std::{io, net::SocketAddr, time::Duration};

use stead_model::NodeId;
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::calls::Room;
use crate::{
    LossReason, ReadHalf, Wire, WriteHalf,
    shared::Shared,
    wire::{
        HEADER_BYTES,
        handshake::{Answer, HEAD_BYTES, Head, Hello, Purpose, Welcome},
    },
};

/// A connection on which calls can be made.
pub(crate) struct Dialled {
    pub(crate) read: ReadHalf,
    pub(crate) write: WriteHalf,
    pub(crate) welcome: Welcome,
    /// The largest call that both sides let through.
    pub(crate) payload_max: u32,
    /// How much both sides let be sent and unanswered.
    pub(crate) window: Room,
}

/// Reaches `address`, and `expects` there if it is told whom to expect.
pub(crate) async fn dial(
    shared: &Shared,
    address: SocketAddr,
    expects: Option<NodeId>,
    purpose: Purpose,
) -> Result<Dialled, LossReason> {
    let times = &shared.config.times;
    let late = |waited: Duration| move |_| LossReason::NoAnswer { address, waited };
    let connected = timeout(times.connect_max, connect(shared, address, expects)).await;
    let wire = connected.map_err(late(times.connect_max))??;
    let greeted = timeout(times.handshake_max, greet(shared, wire, address, expects, purpose));
    greeted.await.map_err(late(times.handshake_max))?
}

async fn connect(
    shared: &Shared,
    address: SocketAddr,
    expects: Option<NodeId>,
) -> Result<Wire, LossReason> {
    let stream = TcpStream::connect(address).await.map_err(|error| {
        let cause = error.to_string();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => LossReason::NobodyThere { address, cause },
            _ => LossReason::NoWay { address, cause },
        }
    })?;
    stream.set_nodelay(true).map_err(failed)?;
    shared.config.secure.connect(stream, expects).await.map_err(failed)
}

async fn greet(
    shared: &Shared,
    wire: Wire,
    address: SocketAddr,
    expects: Option<NodeId>,
    purpose: Purpose,
) -> Result<Dialled, LossReason> {
    let config = &shared.config;
    let Wire { mut read, mut write, proven } = wire;
    let limits = match purpose {
        Purpose::Lane(lane) => *config.lanes.get(lane),
        Purpose::Enquiry | Purpose::Unknown(_) => config.lanes.control,
    };
    let hello = Hello {
        protocol: config.protocol,
        cluster: config.cluster,
        node: config.node,
        epoch: config.epoch,
        expects,
        purpose,
        dial: shared.next_dial(),
        payload_bytes_max: limits.payload_bytes_max,
    };
    write.write_all(&hello.encode()).await.map_err(failed)?;
    write.flush().await.map_err(failed)?;
    let mut head = [0; HEAD_BYTES];
    read.read_exact(&mut head).await.map_err(failed)?;
    let head = Head::of_answer(&head).map_err(garbled)?;
    let mut body = vec![0; head.body_bytes()];
    read.read_exact(&mut body).await.map_err(failed)?;
    let welcome = match Answer::decode(&head, &body).map_err(garbled)? {
        Answer::Welcome(welcome) => welcome,
        Answer::Refused(refusal) => return Err(LossReason::Refused(refusal)),
    };
    // The other has checked all this; here it is checked that it has.
    for expected in expects.into_iter().chain(proven) {
        if welcome.node != expected {
            return Err(LossReason::OtherNode { address, expected, found: welcome.node });
        }
    }
    let ours = config.protocol;
    if welcome.cluster != config.cluster
        || welcome.version < ours.min
        || welcome.version > ours.max
        || welcome.window_calls == 0
        || welcome.payload_bytes_max == 0
    {
        return Err(LossReason::Garbled(format!(
            "its welcome is to cluster {}, in version {}, with room for {} calls",
            welcome.cluster.short(),
            welcome.version,
            welcome.window_calls
        )));
    }
    let payload_max = limits.payload_bytes_max.min(welcome.payload_bytes_max);
    let window = Room {
        calls: limits.window_calls.min(welcome.window_calls).into(),
        // Whatever may be sent fits in, or it would wait for ever.
        bytes: limits
            .window_bytes
            .min(welcome.window_bytes)
            .max(u64::from(payload_max) + HEADER_BYTES as u64),
    };
    Ok(Dialled { read, write, welcome, payload_max, window })
}

fn failed(error: io::Error) -> LossReason {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return LossReason::Closed;
    }
    LossReason::Failed(error.to_string())
}

fn garbled(flaw: crate::wire::handshake::Flaw) -> LossReason {
    LossReason::Garbled(flaw.to_string())
}
