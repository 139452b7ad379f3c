//! A host for native tests: time stands still and randomness comes from a seed,
//! both as the test sets them, each thread on its own.

use std::cell::RefCell;

use crate::Level;

/// The most random bytes that the contract gives at once.
const RANDOM_BYTES_MAX: usize = 65_536;

/// What handlers find.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) now_ms: u64,
    pub(crate) random_state: u64,
    pub(crate) entity_type: String,
    /// The contract refuses time and randomness while the state is folded.
    pub(crate) folding: bool,
}

impl Default for Environment {
    fn default() -> Self {
        // A morning in November 2023, so that tests print a plausible time.
        Self {
            now_ms: 1_700_000_000_000,
            random_state: 0,
            entity_type: "test".into(),
            folding: false,
        }
    }
}

thread_local! {
    static ENVIRONMENT: RefCell<Environment> = RefCell::default();
}

/// Puts an environment in place and gives back the one before.
pub(crate) fn replace(environment: Environment) -> Environment {
    ENVIRONMENT.replace(environment)
}

fn with<T>(what: &str, ask: impl FnOnce(&mut Environment) -> T) -> T {
    ENVIRONMENT.with_borrow_mut(|environment| {
        assert!(!environment.folding, "{what} can't be asked for while events are folded");
        ask(environment)
    })
}

pub(crate) fn now_ms() -> u64 {
    with("the time", |environment| environment.now_ms)
}

pub(crate) fn random(bytes: &mut [u8]) {
    assert!(bytes.len() <= RANDOM_BYTES_MAX, "at most {RANDOM_BYTES_MAX} random bytes at once");
    with("randomness", |environment| {
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(next(&mut environment.random_state)) {
                *byte = random;
            }
        }
    });
}

pub(crate) fn entity_type() -> String {
    with("the type", |environment| environment.entity_type.clone())
}

pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// SplitMix64: every seed is a good one.
fn next(state: &mut u64) -> [u8; 8] {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)).to_le_bytes()
}
