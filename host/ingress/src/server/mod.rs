//! Connections: how they are taken, watched, and let go.
//!
//! hyper speaks HTTP; what it leaves open is decided here. Its own timer for
//! slow heads would cost an allocation and a place in the timer wheel for every
//! request. Here each connection has one timer for its whole life, which looks
//! now and then at what the connection does ([`activity`]) and closes it if it
//! has done the same thing for too long.

mod activity;
mod answer;
mod connection;
mod listen;
mod opening;
mod refusal;
mod stream;

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

pub use self::listen::listen;
pub(crate) use self::opening::serve_once_open;
use self::refusal::Refusals;
use crate::ConnectionLimits;

/// Answers requests. One value serves all connections.
pub(crate) trait Handler: Send + Sync + 'static {
    /// What answers are made of.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes requests.
    Serving,
    /// It finishes what it has accepted.
    Draining,
    /// It closes whatever is left.
    Closing,
}

/// What a server did in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections taken.
    pub accepted: u64,
    /// Connections refused because there were too many.
    pub refused: u64,
    /// Connections that were still busy when the time to drain was over.
    pub cut_off: usize,
}

/// How long nothing is accepted after the system had no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes connections and serves them until `shutdown` resolves; then finishes
/// the requests accepted so far, within the limit for that.
pub(crate) async fn serve<H: Handler>(
    listener: TcpListener,
    limits: &ConnectionLimits,
    handler: Arc<H>,
    phase: watch::Sender<Phase>,
    shutdown: impl Future<Output = ()> + Send,
) -> Served {
    let limits = Arc::new(limits.clone());
    let builder = Arc::new(builder(&limits));
    // What a semaphore can count; no machine has so many.
    let connections_max = limits.connections_max.clamp(1, 1 << 24);
    let places = Arc::new(Semaphore::new(connections_max));
    let refusals = Refusals::new(limits.linger());
    let mut served = Served::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            biased;
            () = &mut shutdown => break,
            stream = accept(&listener) => stream,
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                served.accepted += 1;
                let (builder, limits) = (Arc::clone(&builder), Arc::clone(&limits));
                let (handler, phase) = (Arc::clone(&handler), phase.subscribe());
                tokio::spawn(async move {
                    connection::drive(stream, &builder, &limits, handler, phase).await;
                    drop(place);
                });
            }
            Err(_) => {
                served.refused += 1;
                refusals.refuse(stream, connections_max);
            }
        }
    }
    // From here on the system itself refuses new connections.
    drop(listener);
    phase.send_replace(Phase::Draining);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    if tokio::time::timeout(limits.drain(), places.acquire_many(all)).await.is_err() {
        served.cut_off = connections_max.saturating_sub(places.available_permits());
        tracing::warn!(
            connections = served.cut_off,
            "closing connections that did not finish within {} ms",
            limits.drain_ms_max,
        );
        phase.send_replace(Phase::Closing);
        // They need a moment to see it; one that can't is dropped with the runtime.
        let _ = tokio::time::timeout(limits.linger(), places.acquire_many(all)).await;
    }
    served
}

/// The next connection. A failure is the system's or one client's, and never
/// the end of the server.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; trying again shortly");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// hyper's limits. Counts that are not set here are hyper's own: 100 header
/// fields (`431`), and a bound on streams that are opened and reset at once.
fn builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let head_bytes_max = limits.head_bytes_max.max(8 << 10);
    // Answers to pipelined requests are not gathered into one write: hyper's
    // `pipeline_flush` can close with an answer unwritten, when a body was
    // answered before all of it was read.
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(usize::try_from(head_bytes_max).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle() / 2)
        .keep_alive_timeout(limits.head())
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(head_bytes_max)
        .max_pending_accept_reset_streams(64)
        .max_local_error_reset_streams(256)
        // What a client may send before it is read: small, as it is memory
        // that no budget counts.
        .initial_stream_window_size(128 << 10)
        .initial_connection_window_size(512 << 10)
        .max_send_buf_size(256 << 10);
    builder
}
