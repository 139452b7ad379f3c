//! A call that is under way, as its caller holds it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::{sync::oneshot, time::timeout_at};

use super::{Peer, calls::Withdrawn};
use crate::{CallError, Lane, LossReason};

/// Letting it go withdraws the call if it wasn't sent yet.
pub(crate) struct Ticket {
    peer: Arc<Peer>,
    lane: Lane,
    id: u64,
    result: oneshot::Receiver<Result<Bytes, CallError>>,
    deadline: Instant,
    done: bool,
}

impl Ticket {
    pub(crate) fn start(
        peer: Arc<Peer>,
        lane: Lane,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<Self, CallError> {
        if deadline <= Instant::now() {
            return Err(CallError::NotSentInTime { node: peer.node, lane });
        }
        let (caller, result) = oneshot::channel();
        let id = peer.enqueue(lane, payload, Some(caller))?;
        Ok(Self { peer, lane, id, result, deadline, done: false })
    }

    pub(crate) async fn result(mut self) -> Result<Bytes, CallError> {
        let waited = timeout_at(self.deadline.into(), &mut self.result).await;
        self.done = true;
        let (node, lane) = (self.peer.node, self.lane);
        // The sender goes without a word only with the link itself.
        let lost = || CallError::Broken { node, lane, reason: LossReason::Stopped };
        match waited {
            Ok(result) => result.unwrap_or_else(|_| Err(lost())),
            Err(_) => match self.peer.link(lane).withdraw(self.id) {
                Withdrawn::Unsent => Err(CallError::NotSentInTime { node, lane }),
                Withdrawn::Sent => Err(CallError::NoAnswerInTime { node, lane }),
                // The result crossed with the deadline.
                Withdrawn::Done => (&mut self.result).await.unwrap_or_else(|_| Err(lost())),
            },
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done {
            self.peer.link(self.lane).withdraw(self.id);
        }
    }
}
