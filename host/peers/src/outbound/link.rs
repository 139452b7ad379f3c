//! One lane to one peer, as its callers and its task share it. It outlives the
//! connections that it is made of.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_model::NodeId;
use tokio::sync::{Notify, oneshot};

use super::calls::{Calls, Left, Room, Withdrawn};
use crate::{
    CallError, Lane, LaneLimits, LossReason, NoAnswer,
    sync::locked,
    wire::{
        HEADER_BYTES,
        frame::{Failure, Frame},
    },
};

/// Who waits for the answer to a call.
pub(crate) type Caller = oneshot::Sender<Result<Bytes, CallError>>;

/// How much is written at once, about. More waits for its turn, so that a ping
/// is never behind more than this.
const BATCH_BYTES: usize = 256 << 10;

/// Where a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has wanted it yet.
    Idle,
    /// It is being made, and there is reason to hope: calls wait.
    Dialling,
    /// It is there.
    Up,
    /// The peer said that it stops: what was sent is still answered.
    Leaving,
    /// It could not be made, or broke; calls fail at once until it is there again.
    Down(LossReason),
    /// It is never made again.
    Gone(LossReason),
}

/// What the link's task is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kick {
    /// Try again now.
    Nudge,
    /// Let go of this connection, for this reason, and try again.
    Cut(LossReason),
}

#[derive(Debug)]
struct State {
    phase: Phase,
    calls: Calls<Caller>,
    ping: Option<u64>,
    pinged: Option<(u64, Instant)>,
    round_trip: Option<Duration>,
    goodbye: bool,
    /// The start of the peer that the connection leads to.
    epoch: Option<u64>,
    payload_max: usize,
    kick: Option<Kick>,
    draining: bool,
}

/// What a link's numbers are at the moment.
pub(crate) struct LinkFigures {
    pub(crate) phase: Phase,
    pub(crate) in_flight: u64,
    pub(crate) waiting: usize,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) epoch: Option<u64>,
}

/// What the connection's writer finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Nothing,
    Something,
    /// This node stops and all is answered: the connection can be closed.
    Finished,
}

#[derive(Debug)]
pub(crate) struct Link {
    node: NodeId,
    pub(crate) lane: Lane,
    limits: LaneLimits,
    state: Mutex<State>,
    /// There is something to write.
    wake: Notify,
    /// The link's task has something to attend to besides.
    kicked: Notify,
}

impl Link {
    pub(crate) fn new(node: NodeId, lane: Lane, limits: LaneLimits) -> Self {
        let state = State {
            phase: Phase::Idle,
            calls: Calls::new(&limits),
            ping: None,
            pinged: None,
            round_trip: None,
            goodbye: false,
            epoch: None,
            payload_max: limits.payload_bytes_max as usize,
            kick: None,
            draining: false,
        };
        Self {
            node,
            lane,
            limits,
            state: Mutex::new(state),
            wake: Notify::new(),
            kicked: Notify::new(),
        }
    }

    // What callers do.

    /// Takes in a call, or a message if nobody waits for an answer; its number.
    /// `outage` is why the peer can't be reached, as far as another lane knows;
    /// it is asked only if this one doesn't stand.
    pub(crate) fn enqueue(
        &self,
        payload: Bytes,
        caller: Option<Caller>,
        outage: impl FnOnce() -> Option<LossReason>,
    ) -> Result<u64, CallError> {
        let (node, lane) = (self.node, self.lane);
        let unreachable = |reason| CallError::Unreachable { node, lane, reason };
        let mut state = locked(&self.state);
        let was_idle = match &state.phase {
            Phase::Up => false,
            Phase::Idle | Phase::Dialling => match outage() {
                Some(reason) => return Err(unreachable(reason)),
                None => state.phase == Phase::Idle,
            },
            Phase::Leaving => return Err(unreachable(LossReason::Stopping)),
            Phase::Down(reason) => return Err(unreachable(reason.clone())),
            Phase::Gone(LossReason::Forgotten) => return Err(CallError::UnknownPeer(node)),
            Phase::Gone(_) => return Err(CallError::Stopped),
        };
        if state.draining {
            return Err(CallError::Stopped);
        }
        if payload.len() > state.payload_max {
            return Err(self.too_large(payload.len(), state.payload_max));
        }
        let id = state.calls.push(payload, caller).ok_or(CallError::Busy { node, lane })?;
        if was_idle {
            state.phase = Phase::Dialling;
        }
        drop(state);
        if was_idle {
            self.kicked.notify_one();
        } else {
            self.wake.notify_one();
        }
        Ok(id)
    }

    pub(crate) fn withdraw(&self, id: u64) -> Withdrawn {
        let mut state = locked(&self.state);
        let withdrawn = state.calls.withdraw(id);
        // What was behind it may fit where it didn't.
        let wake = withdrawn == Withdrawn::Unsent && state.calls.has_waiting();
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        withdrawn
    }

    fn too_large(&self, bytes: usize, max: usize) -> CallError {
        CallError::TooLarge { lane: self.lane, bytes, max }
    }

    // What other parts of this node do.

    pub(crate) fn kick(&self, kick: Kick) {
        let mut state = locked(&self.state);
        // A cut is never overtaken by a mere nudge.
        if !matches!((&state.kick, &kick), (Some(Kick::Cut(_)), Kick::Nudge)) {
            state.kick = Some(kick);
        }
        drop(state);
        self.kicked.notify_one();
    }

    /// Don't wait before the next attempt.
    pub(crate) fn nudge(&self) {
        self.kick(Kick::Nudge);
    }

    /// Another start of the peer than this one is there: a connection to an
    /// earlier one leads nowhere.
    pub(crate) fn heard_of(&self, epoch: u64) {
        let (earlier, waiting) = {
            let state = locked(&self.state);
            let earlier = state.epoch.is_some_and(|known| known < epoch);
            (earlier, matches!(state.phase, Phase::Down(_)))
        };
        if earlier {
            self.kick(Kick::Cut(LossReason::Restarted(epoch)));
        } else if waiting {
            self.kick(Kick::Nudge);
        }
    }

    /// Lets what was sent be answered, and nothing more be sent.
    pub(crate) fn drain(&self) {
        let unsent = {
            let mut state = locked(&self.state);
            state.draining = true;
            if state.phase == Phase::Up { Vec::new() } else { state.calls.unsent() }
        };
        for caller in unsent {
            let _ = caller.send(Err(CallError::Stopped));
        }
        self.wake.notify_one();
        self.kicked.notify_one();
    }

    /// Why the peer can't be reached, if it is known not to be.
    pub(crate) fn outage(&self) -> Option<LossReason> {
        match &locked(&self.state).phase {
            Phase::Down(reason) => Some(reason.clone()),
            Phase::Leaving => Some(LossReason::Stopping),
            Phase::Idle | Phase::Dialling | Phase::Up | Phase::Gone(_) => None,
        }
    }

    pub(crate) fn figures(&self) -> LinkFigures {
        let state = locked(&self.state);
        LinkFigures {
            phase: state.phase.clone(),
            in_flight: state.calls.in_flight(),
            waiting: state.calls.waiting(),
            round_trip: state.round_trip,
            epoch: state.epoch,
        }
    }

    // What the link's task does.

    /// Waits until the link is wanted.
    pub(crate) async fn wanted(&self) {
        while locked(&self.state).phase == Phase::Idle {
            self.kicked.notified().await;
        }
    }

    pub(crate) async fn kicked(&self) -> Kick {
        loop {
            if let Some(kick) = locked(&self.state).kick.take() {
                return kick;
            }
            self.kicked.notified().await;
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        locked(&self.state).draining
    }

    /// Begins to make the connection. What was to be attended to is: the attempt
    /// looks at everything anew.
    pub(crate) fn dialling(&self) {
        let mut state = locked(&self.state);
        state.kick = None;
        if state.phase == Phase::Idle {
            state.phase = Phase::Dialling;
        }
    }

    pub(crate) fn up(&self, epoch: u64, payload_max: usize, window: Room) {
        let large = {
            let mut state = locked(&self.state);
            state.phase = Phase::Up;
            state.epoch = Some(epoch);
            state.payload_max = payload_max;
            state.calls.set_window(window);
            (state.ping, state.pinged, state.goodbye) = (None, None, false);
            state.calls.too_large(payload_max)
        };
        for (caller, bytes) in large {
            let _ = caller.send(Err(self.too_large(bytes, payload_max)));
        }
    }

    /// The connection broke, or could not be made. With `hope`, calls wait for
    /// the next attempt; otherwise they fail until one succeeds.
    pub(crate) fn down(&self, reason: &LossReason, hope: bool) {
        self.let_go(if hope { Phase::Dialling } else { Phase::Down(reason.clone()) }, reason);
    }

    /// The link's task is over.
    pub(crate) fn gone(&self, reason: &LossReason) {
        self.let_go(Phase::Gone(reason.clone()), reason);
    }

    fn let_go(&self, phase: Phase, reason: &LossReason) {
        let (node, lane) = (self.node, self.lane);
        let Left { unsent, sent } = {
            let mut state = locked(&self.state);
            state.phase = phase;
            state.epoch = None;
            state.round_trip = None;
            // The next start of the peer may take more than this one did.
            state.payload_max = self.limits.payload_bytes_max as usize;
            state.calls.end()
        };
        for caller in sent {
            let _ = caller.send(Err(CallError::Broken { node, lane, reason: reason.clone() }));
        }
        for caller in unsent {
            let error = match reason {
                LossReason::Stopped => CallError::Stopped,
                LossReason::Forgotten => CallError::UnknownPeer(node),
                reason => CallError::Unreachable { node, lane, reason: reason.clone() },
            };
            let _ = caller.send(Err(error));
        }
    }

    // What the connection does.

    /// Waits until there may be something to write.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes what is to be written next: all that is there, up to a batch.
    pub(crate) fn take(&self, frames: &mut Vec<Frame>) -> Taken {
        let mut state = locked(&self.state);
        if let Some(nonce) = state.ping.take() {
            state.pinged = Some((nonce, Instant::now()));
            frames.push(Frame::Ping { nonce });
        }
        if std::mem::take(&mut state.goodbye) {
            frames.push(Frame::Goodbye);
        }
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some(frame) = state.calls.take() else { break };
            if let Frame::Call { payload, .. } | Frame::Send { payload } = &frame {
                bytes += payload.len() + HEADER_BYTES;
            }
            frames.push(frame);
        }
        if !frames.is_empty() {
            Taken::Something
        } else if state.draining && state.calls.is_quiet() {
            Taken::Finished
        } else {
            Taken::Nothing
        }
    }

    pub(crate) fn ping(&self) {
        let mut state = locked(&self.state);
        // Each ping has a number of its own, one higher than the last.
        let last = state.pinged.map_or(0, |(nonce, _)| nonce);
        state.ping = Some(last + 1);
        drop(state);
        self.wake.notify_one();
    }

    /// Attends to what the peer said.
    pub(crate) fn received(&self, frame: Frame) -> Result<(), LossReason> {
        match frame {
            Frame::Answer { id, payload } => self.answered(id, Ok(payload)),
            Frame::Failed { id, failure } => {
                let (node, lane) = (self.node, self.lane);
                let unanswered = |reason| CallError::Unanswered { node, lane, reason };
                let error = match failure {
                    Failure::Dropped => unanswered(NoAnswer::Dropped),
                    Failure::TooLarge => unanswered(NoAnswer::TooLarge),
                    Failure::Overflow => unanswered(NoAnswer::Overflow),
                    Failure::Stopping => CallError::Declined(node),
                };
                self.answered(id, Err(error))
            }
            Frame::Room { messages, bytes } => {
                let mut state = locked(&self.state);
                let given = state.calls.messages_done(Room { calls: messages, bytes });
                drop(state);
                self.wake.notify_one();
                let flaw = || LossReason::Garbled("it is done with more than was sent".to_owned());
                given.then_some(()).ok_or_else(flaw)
            }
            Frame::Pong { nonce } => {
                let mut state = locked(&self.state);
                if let Some((pinged, at)) = state.pinged
                    && pinged == nonce
                {
                    state.round_trip = Some(at.elapsed());
                }
                Ok(())
            }
            Frame::Goodbye => {
                let unsent = {
                    let mut state = locked(&self.state);
                    state.phase = Phase::Leaving;
                    state.goodbye = true;
                    state.calls.unsent()
                };
                let (node, lane) = (self.node, self.lane);
                for caller in unsent {
                    let reason = LossReason::Stopping;
                    let _ = caller.send(Err(CallError::Unreachable { node, lane, reason }));
                }
                self.wake.notify_one();
                Ok(())
            }
            Frame::Call { .. } | Frame::Send { .. } | Frame::Ping { .. } => {
                Err(LossReason::Garbled("it asked on a connection that it only answers".to_owned()))
            }
        }
    }

    fn answered(&self, id: u64, result: Result<Bytes, CallError>) -> Result<(), LossReason> {
        let (caller, wake) = {
            let mut state = locked(&self.state);
            let caller = state.calls.done(id).ok_or_else(|| {
                LossReason::Garbled(format!("it answered call {id}, which was not asked"))
            })?;
            (caller, state.draining || state.calls.has_waiting())
        };
        // A caller that has given up isn't there to hear it.
        let _ = caller.send(result);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }
}
