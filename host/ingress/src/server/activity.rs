//! What a connection is doing, and since when.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::ConnectionLimits;

/// No moment.
const NEVER: u64 = 0;

/// What a connection is doing, noted by its stream and its requests, and judged
/// by its timer. All of it is advice for that timer, so the weakest ordering
/// serves: a note seen late only delays a verdict.
#[derive(Debug)]
pub struct Activity {
    epoch: Instant,
    /// Requests under way: handed over, and their answer not yet written.
    under_way: AtomicU32,
    /// Since when none is.
    idle_since: AtomicU64,
    /// Since when a request's head is coming, or [`NEVER`].
    head_since: AtomicU64,
    /// Since when the client takes nothing of what is to be written, or [`NEVER`].
    blocked_since: AtomicU64,
    /// Whether it is HTTP/2, where bytes between requests are no slow head.
    http2: AtomicBool,
    /// Over HTTP/2: since when each stream has something handed over and has
    /// not asked for more. There, a client stops an answer by its window, and
    /// nothing of it is seen on the connection.
    handed_over: Mutex<BTreeMap<u64, u64>>,
    streams: AtomicU64,
    /// Whether the server stops.
    stopping: AtomicBool,
}

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, and is looked at again after this long.
    Keep(Duration),
    /// It is idle: to be closed as soon as nothing is under way.
    Retire,
    /// It is to be closed at once, for this reason.
    Close(&'static str),
}

impl Activity {
    /// A connection that begins now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            under_way: AtomicU32::new(0),
            // Not `NEVER`: a connection that sends nothing is idle from the first.
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(NEVER),
            blocked_since: AtomicU64::new(NEVER),
            http2: AtomicBool::new(false),
            handed_over: Mutex::default(),
            streams: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        })
    }

    /// Microseconds since the connection began, never [`NEVER`].
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Bytes came from the client.
    pub fn received(&self, bytes: &[u8]) {
        if self.under_way.load(Ordering::Relaxed) > 0 || self.http2.load(Ordering::Relaxed) {
            return;
        }
        if self.head_since.load(Ordering::Relaxed) == NEVER {
            self.head_since.store(self.now(), Ordering::Relaxed);
            // No method of HTTP/1.1 begins so; HTTP/2's preface does.
            if bytes.starts_with(b"PRI * HTTP/2") {
                self.http2.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Bytes could, or could not, be written.
    pub fn written(&self, some: bool) {
        if some {
            if self.blocked_since.load(Ordering::Relaxed) != NEVER {
                self.blocked_since.store(NEVER, Ordering::Relaxed);
            }
        } else if self.blocked_since.load(Ordering::Relaxed) == NEVER {
            self.blocked_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A request's head is complete.
    pub fn begin(self: &Arc<Self>, http2: bool) -> UnderWay {
        self.head_since.store(NEVER, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let stream = http2.then(|| {
            self.http2.store(true, Ordering::Relaxed);
            self.streams.fetch_add(1, Ordering::Relaxed)
        });
        UnderWay { activity: Arc::clone(self), stream }
    }

    fn handed_over(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the client has taken nothing of what waits for it longest.
    fn stalled_since(&self) -> Option<u64> {
        let blocked = self.blocked_since.load(Ordering::Relaxed);
        let stream = match self.http2.load(Ordering::Relaxed) {
            true => self.handed_over().values().min().copied(),
            false => None,
        };
        Some(blocked).filter(|blocked| *blocked != NEVER).into_iter().chain(stream).min()
    }

    /// The server stops: requests that still come are the last.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether no request is under way on it, over HTTP/1.1.
    pub fn is_resting(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0 && !self.http2.load(Ordering::Relaxed)
    }

    /// What is to become of the connection.
    pub fn judge(&self, limits: &ConnectionLimits) -> Verdict {
        let now = self.now();
        let since = |moment: u64| Duration::from_micros(now.saturating_sub(moment));
        let look_again = limits.head() / 2;
        let stalled = self.stalled_since();
        if stalled.is_some_and(|moment| since(moment) >= limits.write_stall()) {
            return Verdict::Close("the client does not read its answers");
        }
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Verdict::Keep(look_again);
        }
        let head = self.head_since.load(Ordering::Relaxed);
        if head != NEVER {
            return match limits.head().checked_sub(since(head)) {
                Some(left) if !left.is_zero() => Verdict::Keep(left.min(look_again)),
                _ => Verdict::Close("the head of a request takes too long"),
            };
        }
        match limits.idle().checked_sub(since(self.idle_since.load(Ordering::Relaxed))) {
            Some(left) if !left.is_zero() => Verdict::Keep(left.min(look_again)),
            _ => Verdict::Retire,
        }
    }
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay {
    activity: Arc<Activity>,
    /// Which stream of its connection, if that is HTTP/2.
    stream: Option<u64>,
}

impl UnderWay {
    /// Whether it is a stream of HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether the connection ends with its answer, over HTTP/1.1: the server
    /// stops.
    pub fn is_last(&self) -> bool {
        self.stream.is_none() && self.activity.stopping.load(Ordering::Relaxed)
    }

    /// A part of the answer is handed over to be written.
    pub fn handed_over(&mut self) {
        if let Some(stream) = self.stream {
            self.activity.handed_over().insert(stream, self.activity.now());
        }
    }

    /// The part handed over last has been taken.
    pub fn taken(&mut self) {
        if let Some(stream) = self.stream {
            self.activity.handed_over().remove(&stream);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.taken();
        self.activity.idle_since.store(self.activity.now(), Ordering::Relaxed);
        self.activity.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> ConnectionLimits {
        ConnectionLimits {
            head_ms_max: 20,
            idle_ms_max: 40,
            write_stall_ms_max: 30,
            ..ConnectionLimits::default()
        }
    }

    fn wait(ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    #[test]
    fn a_silent_connection_is_retired() {
        let activity = Activity::new();
        assert!(matches!(activity.judge(&limits()), Verdict::Keep(_)));
        wait(45);
        assert_eq!(activity.judge(&limits()), Verdict::Retire);
    }

    #[test]
    fn a_slow_head_is_closed_and_a_slow_entity_is_not() {
        let activity = Activity::new();
        activity.received(b"P");
        wait(25);
        activity.received(b"O");
        assert!(matches!(activity.judge(&limits()), Verdict::Close(_)));
        let under_way = activity.begin(false);
        wait(60);
        assert!(matches!(activity.judge(&limits()), Verdict::Keep(_)));
        drop(under_way);
        assert!(matches!(activity.judge(&limits()), Verdict::Keep(_)), "idle from now on");
    }

    #[test]
    fn frames_between_requests_are_no_slow_head() {
        let activity = Activity::new();
        activity.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        drop(activity.begin(true));
        activity.received(b"ping");
        wait(25);
        assert!(matches!(activity.judge(&limits()), Verdict::Keep(_)));
    }

    #[test]
    fn an_unread_answer_is_closed_even_under_way() {
        let activity = Activity::new();
        let _under_way = activity.begin(false);
        activity.written(false);
        wait(35);
        assert!(matches!(activity.judge(&limits()), Verdict::Close(_)));
        activity.written(true);
        assert!(matches!(activity.judge(&limits()), Verdict::Keep(_)));
    }

    #[test]
    fn one_stalled_stream_closes_a_busy_connection() {
        let activity = Activity::new();
        let (mut stalled, mut busy) = (activity.begin(true), activity.begin(true));
        stalled.handed_over();
        wait(35);
        busy.handed_over();
        assert!(matches!(activity.judge(&limits()), Verdict::Close(_)));
        stalled.taken();
        assert!(matches!(activity.judge(&limits()), Verdict::Keep(_)), "an entity may be slow");
    }
}
