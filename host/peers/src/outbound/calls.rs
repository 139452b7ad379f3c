//! The calls of one connection: waiting, sent, answered. Pure.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::{
    LaneLimits,
    wire::{HEADER_BYTES, frame::Frame},
};

/// Calls and their bytes, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
}

impl Room {
    /// The room that one payload takes: its header counts, so that empty ones
    /// aren't free.
    pub(crate) fn of(payload: &Bytes) -> Self {
        Self { calls: 1, bytes: (payload.len() + HEADER_BYTES) as u64 }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.bytes += other.bytes;
    }

    pub(crate) fn sub(&mut self, other: Self) {
        assert!(self.calls >= other.calls && self.bytes >= other.bytes, "room is given back once");
        self.calls -= other.calls;
        self.bytes -= other.bytes;
    }
}

#[derive(Debug)]
struct Waiting<T> {
    id: u64,
    payload: Bytes,
    /// Who waits for the answer; nobody if it is a message.
    answer: Option<T>,
}

/// What became of a call that its caller gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withdrawn {
    /// It was not sent, and won't be.
    Unsent,
    /// It was sent; an answer may come and will be thrown away.
    Sent,
    /// It has had its result.
    Done,
}

/// The calls of a connection that came to its end.
#[derive(Debug)]
pub(crate) struct Left<T> {
    pub(crate) unsent: Vec<T>,
    pub(crate) sent: Vec<T>,
}

/// Ids only grow, so what comes later in a queue has a higher one. A call keeps
/// its room until the other side is done with it, also when its caller has given
/// up: the other side still holds it.
#[derive(Debug)]
pub(crate) struct Calls<T> {
    last: u64,
    waiting: VecDeque<Waiting<T>>,
    waiting_bytes: u64,
    waiting_max: Room,
    sent: BTreeMap<u64, (T, Room)>,
    used: Room,
    /// The part of what is used that messages use.
    messages: Room,
    window: Room,
}

impl<T> Calls<T> {
    pub(crate) fn new(limits: &LaneLimits) -> Self {
        Self {
            last: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_max: Room {
                calls: limits.waiting_calls_max as u64,
                bytes: limits.waiting_bytes_max,
            },
            sent: BTreeMap::new(),
            used: Room::default(),
            messages: Room::default(),
            window: Room { calls: limits.window_calls.into(), bytes: limits.window_bytes },
        }
    }

    /// How much both sides let be sent and unanswered.
    pub(crate) fn set_window(&mut self, window: Room) {
        self.window = window;
    }

    /// Takes a call in, if there is room for it to wait; its id. Free room in the
    /// window counts: what is about to be sent isn't really waiting.
    pub(crate) fn push(&mut self, payload: Bytes, answer: Option<T>) -> Option<u64> {
        let free_calls = self.window.calls.saturating_sub(self.used.calls);
        let free_bytes = self.window.bytes.saturating_sub(self.used.bytes);
        let bytes = Room::of(&payload).bytes;
        if self.waiting.len() as u64 >= self.waiting_max.calls + free_calls
            || self.waiting_bytes + bytes > self.waiting_max.bytes + free_bytes
        {
            return None;
        }
        self.last += 1;
        self.waiting_bytes += bytes;
        self.waiting.push_back(Waiting { id: self.last, payload, answer });
        Some(self.last)
    }

    /// The next call to send, if the window has room for it. From here on it
    /// counts as sent.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        let room = Room::of(&self.waiting.front()?.payload);
        if self.used.calls + room.calls > self.window.calls
            || self.used.bytes + room.bytes > self.window.bytes
        {
            return None;
        }
        let Waiting { id, payload, answer } = self.waiting.pop_front()?;
        self.waiting_bytes -= room.bytes;
        self.used.add(room);
        Some(match answer {
            Some(answer) => {
                self.sent.insert(id, (answer, room));
                Frame::Call { id, payload }
            }
            None => {
                self.messages.add(room);
                Frame::Send { payload }
            }
        })
    }

    /// The other side is done with a call: who waits for it. Nobody, if there is
    /// no such call.
    pub(crate) fn done(&mut self, id: u64) -> Option<T> {
        let (answer, room) = self.sent.remove(&id)?;
        self.used.sub(room);
        Some(answer)
    }

    /// The other side is done with so many messages. False if there weren't as
    /// many.
    #[must_use]
    pub(crate) fn messages_done(&mut self, room: Room) -> bool {
        if room.calls > self.messages.calls || room.bytes > self.messages.bytes {
            return false;
        }
        self.messages.sub(room);
        self.used.sub(room);
        true
    }

    /// A caller doesn't wait any longer.
    pub(crate) fn withdraw(&mut self, id: u64) -> Withdrawn {
        if self.sent.contains_key(&id) {
            return Withdrawn::Sent;
        }
        let Ok(at) = self.waiting.binary_search_by_key(&id, |waiting| waiting.id) else {
            return Withdrawn::Done;
        };
        if let Some(waiting) = self.waiting.remove(at) {
            self.waiting_bytes -= Room::of(&waiting.payload).bytes;
        }
        Withdrawn::Unsent
    }

    /// Takes out what waits and is larger than this, with its size.
    pub(crate) fn too_large(&mut self, payload_max: usize) -> Vec<(T, usize)> {
        let mut out = Vec::new();
        let (keep, large): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|waiting| waiting.payload.len() <= payload_max);
        self.waiting = keep;
        for waiting in large {
            self.waiting_bytes -= Room::of(&waiting.payload).bytes;
            out.extend(waiting.answer.map(|answer| (answer, waiting.payload.len())));
        }
        out
    }

    /// Takes out all that wait.
    pub(crate) fn unsent(&mut self) -> Vec<T> {
        self.waiting_bytes = 0;
        self.waiting.drain(..).filter_map(|waiting| waiting.answer).collect()
    }

    /// The connection came to its end: everything is let go, in order.
    pub(crate) fn end(&mut self) -> Left<T> {
        let sent = std::mem::take(&mut self.sent).into_values().map(|(answer, _)| answer);
        self.used = Room::default();
        self.messages = Room::default();
        Left { sent: sent.collect(), unsent: self.unsent() }
    }

    /// Whether something waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nothing waits and nothing is unanswered. Messages that were sent
    /// don't count: nobody waits for them.
    pub(crate) fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    /// How many calls and messages were sent and aren't done with.
    pub(crate) fn in_flight(&self) -> u64 {
        self.used.calls
    }

    /// How many wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls<u32> {
        Calls::new(&LaneLimits {
            payload_bytes_max: 1_000,
            window_calls: 4,
            window_bytes: 2_000,
            waiting_calls_max: 2,
            waiting_bytes_max: 1_500,
            answer_bytes_max: 0,
        })
    }

    fn payload(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn the_window_bounds_calls_and_the_queue_what_waits() {
        let mut calls = calls();
        for answer in 0..6 {
            assert!(calls.push(payload(1), Some(answer)).is_some());
        }
        assert_eq!(calls.push(payload(1), Some(6)), None);
        let taken = std::iter::from_fn(|| calls.take()).count();
        assert_eq!((taken, calls.in_flight(), calls.waiting()), (4, 4, 2));
        assert_eq!(calls.push(payload(1), Some(7)), None);
        assert_eq!(calls.done(2), Some(1));
        assert_eq!(calls.done(2), None);
        assert!(matches!(calls.take(), Some(Frame::Call { id: 5, .. })));
        assert_eq!(calls.take(), None);
    }

    #[test]
    fn the_window_bounds_bytes() {
        let mut calls = calls();
        for answer in 0..3 {
            assert!(calls.push(payload(900), Some(answer)).is_some());
        }
        assert_eq!(calls.push(payload(900), Some(4)), None);
        assert_eq!(std::iter::from_fn(|| calls.take()).count(), 2);
        assert_eq!(calls.done(1), Some(0));
        assert!(calls.take().is_some());
    }

    #[test]
    fn a_call_given_up_before_it_was_sent_never_is_and_one_sent_keeps_its_room() {
        let mut calls = calls();
        for answer in 0..6 {
            calls.push(payload(1), Some(answer));
        }
        assert!(calls.take().is_some());
        assert_eq!(calls.withdraw(1), Withdrawn::Sent);
        assert_eq!(calls.withdraw(3), Withdrawn::Unsent);
        assert_eq!(calls.withdraw(3), Withdrawn::Done);
        assert_eq!((calls.in_flight(), calls.waiting()), (1, 4));
        let ids: Vec<_> = std::iter::from_fn(|| calls.take())
            .map(|frame| match frame {
                Frame::Call { id, .. } => id,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids, [2, 4, 5]);
        assert_eq!(calls.done(1), Some(0));
        assert_eq!(calls.withdraw(1), Withdrawn::Done);
    }

    #[test]
    fn messages_take_room_until_the_other_side_is_done_with_them() {
        let mut calls = calls();
        for _ in 0..5 {
            assert!(calls.push(payload(10), None).is_some());
        }
        assert_eq!(std::iter::from_fn(|| calls.take()).count(), 4);
        assert!(calls.messages_done(Room { calls: 1, bytes: 34 }));
        assert_eq!(calls.take(), Some(Frame::Send { payload: payload(10) }));
        assert!(!calls.messages_done(Room { calls: 5, bytes: 34 }));
        assert!(!calls.messages_done(Room { calls: 1, bytes: 1_000 }));
    }

    #[test]
    fn the_end_of_a_connection_lets_everything_go() {
        let mut calls = calls();
        for answer in 0..6 {
            calls.push(payload(1), Some(answer));
        }
        calls.take();
        calls.take();
        let left = calls.end();
        assert_eq!((left.sent, left.unsent), (vec![0, 1], vec![2, 3, 4, 5]));
        assert_eq!((calls.in_flight(), calls.waiting()), (0, 0));
        assert!(calls.is_quiet());
        assert_eq!(calls.push(payload(1), Some(9)), Some(7));
    }

    #[test]
    fn what_the_peer_would_not_take_is_taken_out() {
        let mut calls = calls();
        calls.push(payload(10), Some(1));
        calls.push(payload(500), Some(2));
        calls.push(payload(11), Some(3));
        assert_eq!(calls.too_large(100), [(2, 500)]);
        assert_eq!(std::iter::from_fn(|| calls.take()).count(), 2);
        assert_eq!(calls.waiting_bytes, 0);
    }
}
