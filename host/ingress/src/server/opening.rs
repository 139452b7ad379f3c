//! The time before there is a house to answer: connections are taken, and told
//! to come again.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::watch};

use super::{Handler, Phase, Served, serve};
use crate::{ConnectionLimits, problem::Problem};

/// After how long to ask again, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// What a server without a house answers.
pub(crate) type Meanwhile<B> = fn(&Request<Incoming>) -> Option<Response<B>>;

/// Passes requests on to a handler, as soon as there is one.
struct Opening<H: Handler> {
    handler: OnceLock<Arc<H>>,
    meanwhile: Meanwhile<H::Body>,
}

impl<H: Handler<Body: From<Bytes>>> Handler for Opening<H> {
    type Body = H::Body;

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<H::Body> {
        if let Some(handler) = self.handler.get() {
            return Arc::clone(handler).handle(request).await;
        }
        (self.meanwhile)(&request).unwrap_or_else(|| {
            starting().into_response_with(|json| H::Body::from(Bytes::from(json)))
        })
    }
}

/// The answer to whatever can't be answered yet.
fn starting() -> Problem {
    let detail = "the node is starting: it is reading its journal; nothing was recorded";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        .retry_after_ms(RETRY_AFTER_MS)
}

/// Serves as [`serve`] does, from the first moment on: what comes before
/// `handler` resolves is answered by `meanwhile`, or told to come again.
pub(crate) async fn serve_once_open<H: Handler<Body: From<Bytes>>>(
    listener: TcpListener,
    limits: &ConnectionLimits,
    handler: impl Future<Output = Arc<H>> + Send,
    meanwhile: Meanwhile<H::Body>,
    phase: watch::Sender<Phase>,
    shutdown: impl Future<Output = ()> + Send,
) -> Served {
    let opening = Arc::new(Opening { handler: OnceLock::new(), meanwhile });
    let mut served = std::pin::pin!(serve(listener, limits, Arc::clone(&opening), phase, shutdown));
    tokio::select! {
        served = &mut served => return served,
        handler = handler => {
            opening.handler.get_or_init(|| handler);
        }
    }
    served.await
}
