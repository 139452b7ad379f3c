//! The task of one lane to one peer: makes the connection, keeps it, and makes
//! it again.

use std::{pin::pin, sync::Arc};

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::{
    Link, Peer,
    dial::{Dialled, dial},
    link::{Kick, Taken},
};
use crate::{
    Lane, LossKind, LossReason, PeerEvent,
    backoff::Backoff,
    liveness::{Liveness, Tick},
    shared::Shared,
    stream::{FrameReader, FrameWriter, Meter},
    wire::handshake::Purpose,
};

/// Tells the callers when the task is over, however it came to be.
struct End<'a> {
    shared: &'a Shared,
    link: &'a Link,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let forgotten = !self.shared.is_stopping();
        self.link.gone(if forgotten { &LossReason::Forgotten } else { &LossReason::Stopped });
    }
}

/// Runs until the peer is forgotten or this node stops.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<Peer>, lane: Lane) {
    let link = peer.link(lane);
    let _end = End { shared: &shared, link };
    let task = Task { shared: &shared, peer: &peer, link, lane, told: None };
    let token = peer.token.clone();
    token.run_until_cancelled(task.run()).await;
}

struct Task<'a> {
    shared: &'a Shared,
    peer: &'a Peer,
    link: &'a Link,
    lane: Lane,
    /// The loss that was told last, if the peer wasn't met since.
    told: Option<LossKind>,
}

impl Task<'_> {
    async fn run(mut self) {
        let times = self.shared.config.times;
        let mut backoff =
            Backoff::new(times.backoff_min, times.backoff_max, self.shared.next_seed());
        if self.lane != Lane::Control {
            tokio::select! {
                () = self.link.wanted() => {}
                () = self.shared.stopping.cancelled() => return,
            }
        }
        loop {
            if self.link.is_draining() {
                return;
            }
            self.link.dialling();
            let address = self.peer.address();
            let purpose = Purpose::Lane(self.lane);
            let dialled = tokio::select! {
                dialled = dial(self.shared, address, Some(self.peer.node), purpose) => dialled,
                reason = self.cut() => Err(reason),
                () = self.shared.stopping.cancelled() => return,
            };
            let hope = match dialled {
                Ok(dialled) => {
                    let started = Instant::now();
                    self.met(address, &dialled);
                    let reason = self.talk(dialled).await;
                    if reason == LossReason::Stopped {
                        return;
                    }
                    // A connection that stood for a while is worth an attempt at
                    // once, and worth waiting for, unless the network is silent.
                    let stood = started.elapsed() >= times.backoff_max;
                    let moved = matches!(reason, LossReason::Moved(_) | LossReason::Restarted(_));
                    let hope = (stood && reason.kind() != LossKind::Silent) || moved;
                    self.lost(reason, hope, true);
                    hope
                }
                Err(reason) => {
                    let moved = matches!(reason, LossReason::Moved(_));
                    self.lost(reason, moved, false);
                    moved
                }
            };
            if hope {
                backoff.reset();
                continue;
            }
            tokio::select! {
                () = sleep(backoff.failed()) => {}
                _ = self.link.kicked() => backoff.reset(),
                () = self.shared.stopping.cancelled() => return,
            }
        }
    }

    fn met(&mut self, address: std::net::SocketAddr, dialled: &Dialled) {
        let (node, lane) = (self.peer.node.short(), self.lane);
        let welcome = &dialled.welcome;
        self.link.up(welcome.epoch, dialled.payload_max as usize, dialled.window);
        if self.lane != Lane::Control {
            debug!(%node, %lane, "connected");
            return;
        }
        info!(%node, epoch = welcome.epoch, %address, "peer met");
        self.told = None;
        self.shared.events.push(PeerEvent::Met {
            node: self.peer.node,
            epoch: welcome.epoch,
            address,
            protocol: welcome.version,
        });
        self.peer.others().for_each(|link| link.kick(Kick::Nudge));
    }

    fn lost(&mut self, reason: LossReason, hope: bool, was_up: bool) {
        let (node, lane, kind) = (self.peer.node.short(), self.lane, reason.kind());
        if kind == LossKind::Garbled {
            warn!(%node, %lane, %reason, "disconnected a peer that broke the rules");
        } else if was_up {
            info!(%node, %lane, %reason, "connection lost");
        } else {
            debug!(%node, %lane, %reason, "connection not made");
        }
        self.link.down(&reason, hope);
        if self.lane != Lane::Control {
            return;
        }
        if kind == LossKind::Silent {
            // What is silent here is silent there; the other lanes would only
            // take longer to notice.
            for link in self.peer.others() {
                link.kick(Kick::Cut(reason.clone()));
            }
        }
        if self.told != Some(kind) {
            self.told = Some(kind);
            self.shared.events.push(PeerEvent::Lost { node: self.peer.node, kind, reason });
        }
    }

    /// Waits until the connection is to be let go.
    async fn cut(&self) -> LossReason {
        loop {
            match self.link.kicked().await {
                Kick::Nudge => {}
                Kick::Cut(reason) => return reason,
            }
        }
    }

    /// Carries calls and answers until the connection ends, and says why.
    async fn talk(&self, dialled: Dialled) -> LossReason {
        let times = &self.shared.config.times;
        let payload_max = self.shared.config.lanes.get(self.lane).payload_bytes_max;
        let meter = Meter::default();
        let mut reader = FrameReader::new(dialled.read, payload_max, &meter);
        let mut writer = FrameWriter::new(dialled.write, &meter);

        let write = pin!(async {
            let mut frames = Vec::new();
            loop {
                match self.link.take(&mut frames) {
                    Taken::Something => {
                        if let Err(error) = writer.write(&mut frames).await {
                            return LossReason::Failed(error.to_string());
                        }
                    }
                    Taken::Nothing => self.link.woken().await,
                    Taken::Finished => {
                        let _ = writer.shutdown().await;
                        return LossReason::Stopped;
                    }
                }
            }
        });
        let mut leaving = false;
        let read = pin!(async {
            loop {
                let frame = match reader.next().await {
                    Ok(frame) => frame,
                    Err(error) if leaving => {
                        debug!(%error, "a peer that stops is gone");
                        return LossReason::Stopping;
                    }
                    Err(error) => return error.into(),
                };
                leaving |= frame == crate::wire::frame::Frame::Goodbye;
                if let Err(reason) = self.link.received(frame) {
                    return reason;
                }
            }
        });
        let (ping, silence) = match self.lane {
            Lane::Control => (times.control_ping, times.control_silence),
            Lane::Log | Lane::Bulk | Lane::Requests => (times.ping, times.silence),
        };
        let tick = pin!(async {
            let mut liveness = Liveness::new(ping, silence, times.stall_max, Instant::now());
            loop {
                self.link.ping();
                sleep_until(liveness.due()).await;
                match liveness.tick(Instant::now(), meter.read()) {
                    Tick::Fine => {}
                    Tick::Silent(waited) => return LossReason::Silent(waited),
                    Tick::Stalled(waited) => return LossReason::Stalled(waited),
                }
            }
        });
        // Reading comes before judging silence: what was said while this node
        // stood still is heard first. A failed write says less than what the
        // peer said before it went, so reading comes before that too.
        tokio::select! {
            biased;
            reason = read => reason,
            reason = write => reason,
            reason = self.cut() => reason,
            reason = tick => reason,
        }
    }
}
