//! What the outside world says with signals.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::failure::Failure;

/// The exit code of a process that a second signal ended, as shells have it
/// for SIGINT.
const FORCED: i32 = 130;

/// Resolves when the process was asked to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

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
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::info!(
                "stopping on {name}: accepted work is finished; another signal ends it at once"
            );
            sender.send_replace(true);
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::warn!("ended at once by {name}; nothing that was acknowledged is lost");
            std::process::exit(FORCED);
        });
        Ok(Self(receiver))
    }

    /// A stop that is asked for by sending `true`.
    pub fn when(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Waits until the stop is asked for. It is, too, when nobody is left who could.
    pub async fn asked(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|stop| *stop).await;
    }

    /// Whether it has been asked for.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
