//! One connection from its first byte to its last.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::{net::TcpStream, sync::watch};

use super::{
    Handler, Phase,
    activity::{Activity, Verdict},
    answer::Answer,
    stream::WatchedStream,
};
use crate::ConnectionLimits;

/// How long a connection without a request is kept when the server stops. Over
/// HTTP/1.1 a client can't tell a request that crossed with the closing from one
/// that was cut off; so whoever is about to send is answered, and told with the
/// answer that it was the last.
const LAST_CALL: Duration = Duration::from_millis(250);

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
        let under_way = noted.begin(request.version() == Version::HTTP_2);
        let answer = Arc::clone(&handler).handle(request);
        async move {
            let mut answer = answer.await;
            if under_way.is_last() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer.map(|body| Answer::new(body, under_way)))
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut timer = std::pin::pin!(tokio::time::sleep(limits.head() / 2));
    let mut last_call = std::pin::pin!(tokio::time::sleep(LAST_CALL));
    let (mut ending, mut called) = (false, false);
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
                    ending = true;
                    activity.stop();
                    if activity.is_resting() {
                        last_call.as_mut().reset(tokio::time::Instant::now() + LAST_CALL);
                        called = true;
                    } else {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                Phase::Closing => return,
            },
            () = last_call.as_mut(), if called => {
                called = false;
                connection.as_mut().graceful_shutdown();
            }
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
