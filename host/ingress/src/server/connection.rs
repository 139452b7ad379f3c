//! One connection from its first byte to its last.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::{net::TcpStream, sync::watch};

use super::{
    Handler, Phase,
    activity::{Activity, UnderWay, Verdict},
    stream::WatchedStream,
};
use crate::ConnectionLimits;

/// Serves one connection until it ends, is told to, or takes too long.
pub async fn drive<H: Handler>(
    stream: TcpStream,
    builder: &Builder<TokioExecutor>,
    limits: &ConnectionLimits,
    handler: Arc<H>,
    mut phase: watch::Receiver<Phase>,
) {
    // Answers are small and written whole: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let activity = Activity::new();
    let io = WatchedStream::new(stream, Arc::clone(&activity), limits.linger());
    let noted = Arc::clone(&activity);
    let service = service_fn(move |request: Request<Incoming>| {
        let under_way = noted.begin();
        let answer = Arc::clone(&handler).handle(request);
        async move {
            let answer = answer.await;
            Ok::<_, Infallible>(answer.map(|body| Tracked { body, _under_way: under_way }))
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut timer = std::pin::pin!(tokio::time::sleep(limits.head() / 2));
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            now = next_phase(&mut phase, ending) => match now {
                Phase::Serving => {}
                Phase::Draining => {
                    connection.as_mut().graceful_shutdown();
                    ending = true;
                }
                Phase::Closing => return,
            },
            () = timer.as_mut() => match activity.judge(limits) {
                Verdict::Keep(look_again) => {
                    timer.as_mut().reset(tokio::time::Instant::now() + look_again);
                }
                Verdict::Retire => {
                    connection.as_mut().graceful_shutdown();
                    timer.as_mut().reset(tokio::time::Instant::now() + limits.head());
                    if ending {
                        return;
                    }
                    ending = true;
                }
                Verdict::Close(reason) => {
                    tracing::debug!(reason, "closing a connection");
                    return;
                }
            },
        }
    }
}

/// The server's next phase; a connection that ends already waits for the last only.
async fn next_phase(phase: &mut watch::Receiver<Phase>, ending: bool) -> Phase {
    let next = phase.wait_for(|phase| match phase {
        Phase::Serving => false,
        Phase::Draining => !ending,
        Phase::Closing => true,
    });
    // An error says that the server is gone.
    next.await.map_or(Phase::Closing, |phase| *phase)
}

/// An answer's body, which keeps its request under way until it is written.
struct Tracked<B> {
    body: B,
    _under_way: UnderWay,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
