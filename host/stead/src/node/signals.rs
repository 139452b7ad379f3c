//! What the outside world says with signals.

use std::sync::Arc;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::failure::Failure;

/// The exit code of a process that a second signal ended, as shells have it
/// for SIGINT.
const FORCED: i32 = 130;

/// Tells when the process was asked to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Listens for SIGTERM and SIGINT from now on. The first asks everyone who
    /// waits to stop; the second ends the process at once.
    ///
    /// # Errors
    /// If the system doesn't let us.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("signals can't be listened to: {error}")))
        };
        let (mut terminate, mut interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let stop = Self(Arc::new(watch::Sender::new(false)));
        let heard = stop.clone();
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::info!(
                "stopping on {name}: accepted work is finished; another signal ends it at once"
            );
            heard.ask();
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::warn!("ended at once by {name}; nothing that was acknowledged is lost");
            std::process::exit(FORCED);
        });
        Ok(stop)
    }

    /// Asks to stop, as the first signal does.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it was asked to stop.
    pub async fn asked(&self) {
        // The sender lives as long as this does, so waiting can't fail.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
