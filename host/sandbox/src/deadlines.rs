//! The thread that makes deadlines pass: it advances the engine's epoch while guests
//! are called, and sleeps while none is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Thread,
    time::Duration,
};

use wasmtime::EngineWeak;

/// How often deadlines are looked at. A call is interrupted at most two of
/// these late, and never early.
const TICK_MS: u64 = 10;
/// After how many ticks without a call the thread sleeps. To wake it costs a call some
/// microseconds, so it is not done between calls that come one after the other.
const IDLE_TICKS: u32 = 100;

/// Advances an engine's epoch until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    /// How many calls have begun, and how many of them have ended.
    begun: AtomicU64,
    ended: AtomicU64,
    sleeps: AtomicBool,
    stops: AtomicBool,
}

impl Shared {
    /// How many calls have begun, and whether all have ended.
    fn calls(&self) -> (u64, bool) {
        // In this order: one that begins in between then counts as under way.
        let ended = self.ended.load(Ordering::SeqCst);
        let begun = self.begun.load(Ordering::SeqCst);
        (begun, begun == ended)
    }
}

impl Ticker {
    /// Starts the thread.
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let ticked = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("guest-deadlines".into())
            .spawn(move || run(&ticked, &engine))?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Has time pass until what is returned is dropped.
    pub(crate) fn call(&self) -> Call<'_> {
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        if self.shared.sleeps.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Call(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A call that is under way.
pub(crate) struct Call<'t>(&'t Shared);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

fn run(shared: &Shared, engine: &EngineWeak) {
    let mut seen = 0;
    let mut idle = 0;
    while !shared.stops.load(Ordering::SeqCst) {
        let (begun, all_ended) = shared.calls();
        idle = if all_ended && begun == seen { idle + 1 } else { 0 };
        seen = begun;
        if idle >= IDLE_TICKS {
            shared.sleeps.store(true, Ordering::SeqCst);
            // Whoever begins a call after this sees that it sleeps, and wakes it.
            while shared.calls() == (seen, true) && !shared.stops.load(Ordering::SeqCst) {
                std::thread::park();
            }
            shared.sleeps.store(false, Ordering::SeqCst);
            idle = 0;
        }
        std::thread::sleep(Duration::from_millis(TICK_MS));
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}

/// How many ticks make a deadline: as many as fit, and one for the tick that
/// is under way.
pub(crate) fn ticks(deadline_ms: u64) -> u64 {
    deadline_ms.div_ceil(TICK_MS).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use stead_model::GuestLimits;

    use super::*;
    use crate::engine::Tuning;

    #[test]
    fn a_deadline_is_never_early() {
        for deadline_ms in [0, 1, 9, 10, 11, 1_000] {
            // The tick under way may end at once.
            assert!((ticks(deadline_ms) - 1) * TICK_MS >= deadline_ms);
        }
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn it_sleeps_between_calls_and_wakes_for_one_and_ends_with_its_owner() {
        let engine = Tuning::of(&GuestLimits::default()).engine().expect("an engine");
        let ticker = Ticker::start(engine.weak()).expect("a thread");
        let shared = Arc::clone(&ticker.shared);
        for _ in 0..2 {
            until("it falls asleep", || shared.sleeps.load(Ordering::SeqCst));
            let call = ticker.call();
            until("it wakes", || !shared.sleeps.load(Ordering::SeqCst));
            // It stays awake for as long as the call lasts.
            std::thread::sleep(Duration::from_millis(TICK_MS * u64::from(IDLE_TICKS) * 3 / 2));
            assert!(!shared.sleeps.load(Ordering::SeqCst));
            drop(call);
        }
        until("it falls asleep", || shared.sleeps.load(Ordering::SeqCst));
        drop(ticker);
        until("its thread ends", || Arc::strong_count(&shared) == 1);
    }
}
