//! What happened in a run, in order: a hash of all of it, the last lines for
//! whoever looks for a cause, and all lines if they are wanted.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many lines are kept for a report.
const RECENT: usize = 400;

/// The trace of a run. Clones are the same trace.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<State>>);

struct State {
    now: u64,
    lines: u64,
    hash: u64,
    recent: VecDeque<String>,
    all: Option<Vec<String>>,
    line: String,
}

impl Trace {
    /// An empty trace, which keeps all its lines or the last ones.
    pub fn new(keep_all: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: 0,
            lines: 0,
            hash: 0xCBF2_9CE4_8422_2325,
            recent: VecDeque::new(),
            all: keep_all.then(Vec::new),
            line: String::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is so many milliseconds since the run began.
    pub fn set_now(&self, now: u64) {
        self.state().now = now;
    }

    /// Notes that something happened.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let mut state = self.state();
        let mut line = std::mem::take(&mut state.line);
        line.clear();
        // Writing to a string doesn't fail.
        let _ = write!(line, "{:>8} {what}", state.now);
        state.hash = hash(state.hash, line.as_bytes());
        state.lines += 1;
        if let Some(all) = &mut state.all {
            all.push(line.clone());
        }
        let old = if state.recent.len() >= RECENT { state.recent.pop_front() } else { None };
        state.recent.push_back(line);
        state.line = old.unwrap_or_default();
    }

    /// Notes numbers that say what happened, without a line for people, unless all
    /// lines are kept.
    pub fn mix(&self, what: &'static str, numbers: &[u64]) {
        let mut state = self.state();
        state.lines += 1;
        state.hash = hash(state.hash, what.as_bytes());
        for number in numbers {
            state.hash = hash(state.hash, &number.to_le_bytes());
        }
        let now = state.now;
        if let Some(all) = &mut state.all {
            all.push(format!("{now:>8} {what} {numbers:?}"));
        }
    }

    /// Whether all lines are kept.
    pub fn keeps_all(&self) -> bool {
        self.state().all.is_some()
    }

    /// A hash of all that was noted.
    pub fn hash(&self) -> u64 {
        self.state().hash
    }

    /// How much was noted.
    pub fn lines(&self) -> u64 {
        self.state().lines
    }

    /// The last lines.
    pub fn recent(&self) -> Vec<String> {
        self.state().recent.iter().cloned().collect()
    }

    /// All lines, if they were kept.
    pub fn all(&self) -> Vec<String> {
        self.state().all.clone().unwrap_or_default()
    }
}

/// FNV-1a (Fowler, Noll, Vo), in steps.
pub fn hash(mut hash: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash
}
