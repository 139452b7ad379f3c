//! Takes connections in.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore, time::sleep};
use tracing::warn;

use super::connection::serve;
use crate::shared::Shared;

/// After a failed accept, most often for want of open files, how long to wait
/// for better times.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until this node stops. As many handshakes as may are under way at
/// once; further connections wait in the system's queue, so that strangers who
/// connect and say nothing cost a bounded number of sockets, each for the time
/// of a handshake.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let handshakes = Arc::new(Semaphore::new(shared.config.handshakes_max));
    let accepting = async {
        loop {
            let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, from)) => {
                    shared.tasks.spawn(serve(Arc::clone(&shared), stream, from, handshake));
                }
                Err(error) => {
                    warn!(%error, "a peer's connection could not be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    };
    shared.stopping.run_until_cancelled(accepting).await;
}
