//! What is to be said on a connection that another made: answers above all, put
//! there by whoever has them.

use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    LaneLimits,
    outbound::Room,
    sync::locked,
    wire::frame::{Failure, Frame},
};

#[derive(Debug, Default)]
struct State {
    queue: Vec<(Frame, Room)>,
    queue_bytes: u64,
    /// Calls and messages that were taken in and whose end wasn't sent yet.
    held: Room,
    /// Messages that are done with, of which the other wasn't told.
    owed: Room,
    /// The last ping, if it wasn't answered. One answer serves for many: the
    /// other can't make this node hold more by asking faster.
    pong: Option<u64>,
    goodbye: bool,
    /// The other says nothing more.
    leaving: bool,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Answers {
    state: Mutex<State>,
    /// There is something to write.
    wake: Notify,
    /// There is room for another call.
    room: Notify,
    window: Room,
    payload_max: usize,
    queue_bytes_max: u64,
}

/// What the connection's writer finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Nothing,
    Something,
    /// Both sides said goodbye and all is answered.
    Finished,
}

impl Answers {
    /// For a lane with these limits, to a node that takes answers so large.
    pub(crate) fn new(limits: &LaneLimits, payload_max: u32) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            room: Notify::new(),
            window: Room { calls: limits.window_calls.into(), bytes: limits.window_bytes },
            payload_max: payload_max.min(limits.payload_bytes_max) as usize,
            queue_bytes_max: limits.answer_bytes_max,
        }
    }

    // What replies do.

    pub(crate) fn is_open(&self) -> bool {
        !locked(&self.state).closed
    }

    pub(crate) fn answer(&self, id: u64, room: Room, payload: Bytes) {
        let bytes = payload.len() as u64;
        let frame = if payload.len() > self.payload_max {
            Frame::Failed { id, failure: Failure::TooLarge }
        } else {
            Frame::Answer { id, payload }
        };
        let state = locked(&self.state);
        // One answer always has room, whatever the limit.
        let full = !state.queue.is_empty() && state.queue_bytes + bytes > self.queue_bytes_max;
        let frame = match frame {
            Frame::Answer { id, .. } if full => Frame::Failed { id, failure: Failure::Overflow },
            frame => frame,
        };
        self.push(state, room, frame);
    }

    pub(crate) fn put(&self, room: Room, frame: Frame) {
        self.push(locked(&self.state), room, frame);
    }

    fn push(&self, mut state: std::sync::MutexGuard<'_, State>, room: Room, frame: Frame) {
        if state.closed {
            return;
        }
        state.queue_bytes += payload_bytes(&frame);
        state.queue.push((frame, room));
        drop(state);
        self.wake.notify_one();
    }

    pub(crate) fn message_done(&self, room: Room) {
        let mut state = locked(&self.state);
        state.held.sub(room);
        state.owed.add(room);
        drop(state);
        self.wake.notify_one();
        self.room.notify_one();
    }

    // What the connection does.

    /// A call or a message was taken in.
    pub(crate) fn hold(&self, room: Room) {
        locked(&self.state).held.add(room);
    }

    /// Waits until another call may be taken in. A node that keeps to the window
    /// that it was granted never waits here.
    pub(crate) async fn room(&self) {
        while self.is_full() {
            self.room.notified().await;
        }
    }

    fn is_full(&self) -> bool {
        let held = locked(&self.state).held;
        held.calls >= self.window.calls || held.bytes >= self.window.bytes
    }

    pub(crate) fn pong(&self, nonce: u64) {
        locked(&self.state).pong = Some(nonce);
        self.wake.notify_one();
    }

    /// Tells the other that this node stops.
    pub(crate) fn say_goodbye(&self) {
        locked(&self.state).goodbye = true;
        self.wake.notify_one();
    }

    /// The other has said that nothing more comes.
    pub(crate) fn heard_goodbye(&self) {
        locked(&self.state).leaving = true;
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes what is to be written next: all that is there.
    pub(crate) fn take(&self, frames: &mut Vec<Frame>) -> Taken {
        let mut state = locked(&self.state);
        if let Some(nonce) = state.pong.take() {
            frames.push(Frame::Pong { nonce });
        }
        if std::mem::take(&mut state.goodbye) {
            frames.push(Frame::Goodbye);
        }
        let owed = std::mem::take(&mut state.owed);
        if owed.calls > 0 {
            frames.push(Frame::Room { messages: owed.calls, bytes: owed.bytes });
        }
        let queue = std::mem::take(&mut state.queue);
        state.queue_bytes = 0;
        let any = !queue.is_empty();
        for (frame, room) in queue {
            state.held.sub(room);
            frames.push(frame);
        }
        let finished = state.leaving && state.held.calls == 0;
        drop(state);
        if any {
            self.room.notify_one();
        }
        if !frames.is_empty() {
            Taken::Something
        } else if finished {
            Taken::Finished
        } else {
            Taken::Nothing
        }
    }

    /// The connection is gone: answers that come later are thrown away.
    pub(crate) fn close(&self) {
        let mut state = locked(&self.state);
        state.closed = true;
        state.queue = Vec::new();
    }
}

fn payload_bytes(frame: &Frame) -> u64 {
    match frame {
        Frame::Answer { payload, .. } => payload.len() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lane;

    fn answers() -> Answers {
        let limits = LaneLimits { answer_bytes_max: 100, ..LaneLimits::of(Lane::Bulk) };
        Answers::new(&limits, 80)
    }

    fn taken(answers: &Answers) -> Vec<Frame> {
        let mut frames = Vec::new();
        answers.take(&mut frames);
        frames
    }

    #[test]
    fn answers_that_nobody_takes_are_bounded() {
        let answers = answers();
        let room = Room { calls: 1, bytes: 30 };
        for id in 0..3 {
            answers.hold(room);
            answers.answer(id, room, vec![0; 60].into());
        }
        let payload = Bytes::from(vec![0; 60]);
        let failed = |id| Frame::Failed { id, failure: Failure::Overflow };
        assert_eq!(taken(&answers), [Frame::Answer { id: 0, payload }, failed(1), failed(2)]);
    }

    #[test]
    fn an_answer_too_large_for_the_caller_is_told_as_such() {
        let answers = answers();
        answers.hold(Room { calls: 1, bytes: 30 });
        answers.answer(1, Room { calls: 1, bytes: 30 }, vec![0; 81].into());
        assert_eq!(taken(&answers), [Frame::Failed { id: 1, failure: Failure::TooLarge }]);
    }

    #[test]
    fn pings_and_messages_are_answered_in_one_for_many() {
        let answers = answers();
        for nonce in 0..1_000 {
            answers.pong(nonce);
            answers.hold(Room { calls: 1, bytes: 24 });
            answers.message_done(Room { calls: 1, bytes: 24 });
        }
        let room = Frame::Room { messages: 1_000, bytes: 24_000 };
        assert_eq!(taken(&answers), [Frame::Pong { nonce: 999 }, room]);
        assert_eq!(taken(&answers), []);
    }
}
