//! One connection that another node made: its calls go to the service, and the
//! answers back.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use super::{
    accept::Handshake,
    answers::{Answers, Taken},
    greet::{GreetError, Greeted, greet},
};
use crate::{
    LossKind, LossReason, RefusalReason, Reply,
    liveness::{Liveness, Tick},
    outbound::Room,
    shared::Shared,
    stream::{FrameReader, FrameWriter, Meter},
    wire::frame::{Failure, Frame},
};

/// Serves a connection from its first byte to its last.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    handshake: Handshake,
) {
    let connection = async {
        let greeting = timeout(shared.config.times.handshake_max, greet(&shared, stream, address));
        let greeted = handshake.given_up.run_until_cancelled(greeting).await;
        drop(handshake);
        let Some(greeted) = greeted else {
            return turned_away(&shared, address, "too many others connect and say nothing");
        };
        match greeted {
            Ok(Ok(Some(greeted))) => Connection::new(&shared, greeted).run().await,
            Ok(Ok(None)) => debug!(%address, "told who is here"),
            Ok(Err(GreetError::Refused(refusal))) if is_ordinary(refusal.reason) => {
                debug!(%address, %refusal, "refused a connection");
            }
            Ok(Err(reason)) => turned_away(&shared, address, &reason.to_string()),
            Err(_) => turned_away(&shared, address, "it was too slow to say hello"),
        }
    };
    shared.ending.run_until_cancelled(connection).await;
}

fn turned_away(shared: &Shared, address: SocketAddr, reason: &str) {
    match shared.strangers.may_tell(std::time::Instant::now()) {
        Some(0) => warn!(%address, %reason, "turned a connection away"),
        Some(others) => {
            warn!(%address, %reason, others, "turned a connection away, and others since the last");
        }
        None => debug!(%address, %reason, "turned a connection away"),
    }
}

/// Refusals that happen when all is well.
fn is_ordinary(reason: RefusalReason) -> bool {
    use RefusalReason::{Itself, OtherNode, Outdated, Stopping};
    // Another node may have been at this address before.
    matches!(reason, Stopping | Outdated | Itself | OtherNode)
}

struct Connection<'a> {
    shared: &'a Shared,
    greeted: Greeted,
    answers: Arc<Answers>,
}

/// Whatever ends the connection, replies that are still held find it closed.
struct Close(Arc<Answers>);

impl Drop for Close {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Shared, greeted: Greeted) -> Self {
        let limits = shared.config.lanes.get(greeted.lane);
        let answers = Arc::new(Answers::new(limits, greeted.payload_max));
        Self { shared, greeted, answers }
    }

    async fn run(self) {
        let _close = Close(Arc::clone(&self.answers));
        let from = self.greeted.from;
        let (node, lane) = (from.node.short(), self.greeted.lane);
        debug!(%node, epoch = from.epoch, %lane, address = %from.address, "a peer connected");
        // Whoever dials this node is there: connections to an earlier start of it
        // are of no use, and attempts to reach it needn't wait.
        if let Some(peer) = self.shared.peer(from.node) {
            peer.links().for_each(|link| link.heard_of(from.epoch));
        }
        let reason = self.talk().await;
        match reason.kind() {
            LossKind::Garbled => warn!(%node, %lane, %reason, "disconnected a peer"),
            LossKind::Silent => info!(%node, %lane, %reason, "disconnected a peer"),
            LossKind::Closed | LossKind::Reset | LossKind::Refused => {
                debug!(%node, %lane, %reason, "a peer disconnected");
            }
        }
    }

    async fn talk(self) -> LossReason {
        let Self { shared, greeted, answers } = self;
        let Greeted { read, write, from, lane, place, .. } = greeted;
        let config = &shared.config;
        let meter = Meter::default();
        let payload_max = config.lanes.get(lane).payload_bytes_max;
        let mut reader = FrameReader::new(read, payload_max, &meter);
        let mut writer = FrameWriter::new(write, &meter);

        let write = pin!(async {
            let mut frames = Vec::new();
            loop {
                match answers.take(&mut frames) {
                    Taken::Something => {
                        if let Err(error) = writer.write(&mut frames).await {
                            return LossReason::Failed(error.to_string());
                        }
                    }
                    Taken::Nothing => answers.woken().await,
                    Taken::Finished => {
                        let _ = writer.shutdown().await;
                        return LossReason::Stopped;
                    }
                }
            }
        });
        let read = pin!(async {
            let mut last_call = 0;
            loop {
                answers.room().await;
                let (id, payload) = match reader.next().await {
                    Ok(Frame::Call { id, payload }) if id > last_call => {
                        last_call = id;
                        (Some(id), payload)
                    }
                    Ok(Frame::Call { id, .. }) => {
                        let flaw = format!("call {id} came after call {last_call}");
                        return LossReason::Garbled(flaw);
                    }
                    Ok(Frame::Send { payload }) => (None, payload),
                    Ok(Frame::Ping { nonce }) => {
                        answers.pong(nonce);
                        continue;
                    }
                    Ok(Frame::Goodbye) => {
                        answers.heard_goodbye();
                        continue;
                    }
                    Ok(
                        Frame::Answer { .. }
                        | Frame::Failed { .. }
                        | Frame::Room { .. }
                        | Frame::Pong { .. },
                    ) => {
                        let flaw = "it answered on a connection that it only asks on";
                        return LossReason::Garbled(flaw.to_owned());
                    }
                    Err(error) => return error.into(),
                };
                let room = Room::of(&payload);
                answers.hold(room);
                if shared.is_stopping()
                    && let Some(id) = id
                {
                    answers.put(room, Frame::Failed { id, failure: Failure::Stopping });
                    continue;
                }
                let reply = Reply { answers: Arc::clone(&answers), id, room, done: false };
                shared.service.serve(&from, lane, payload, reply);
            }
        });
        let tick = pin!(async {
            let silence = config.times.inbound_silence;
            let mut liveness =
                Liveness::new(silence / 4, silence, config.times.stall_max, Instant::now());
            loop {
                sleep_until(liveness.due()).await;
                match liveness.tick(Instant::now(), meter.read()) {
                    Tick::Fine => {}
                    Tick::Silent(waited) => return LossReason::Silent(waited),
                    Tick::Stalled(waited) => return LossReason::Stalled(waited),
                }
            }
        });
        let stop = pin!(async {
            shared.stopping.cancelled().await;
            answers.say_goodbye();
            std::future::pending::<LossReason>().await
        });
        tokio::select! {
            biased;
            reason = read => reason,
            reason = write => reason,
            () = place.taken.cancelled() => LossReason::Closed,
            reason = stop => reason,
            reason = tick => reason,
        }
    }
}
