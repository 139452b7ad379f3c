//! Randomness for handlers, and a fixed seed for hash maps.

use wasmtime::Result;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::state::GuestState;

/// What an author is told who wants randomness while folding.
pub(crate) const RANDOM_INSTEAD: &str =
    "draw it in a command and record it in an event, so that replay sees the same";
/// The most random bytes in one request.
pub(crate) const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The seed of hash maps: the digits of pi, and no secret.
const SEED: (u64, u64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
/// How much the standard library asks for to seed its hash maps.
const SEED_BYTES: u64 = 16;

impl random::Host for GuestState {
    fn get_random_bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        let may_seed = std::mem::take(&mut self.may_seed_while_folding);
        if may_seed && length == SEED_BYTES && !self.phase().may_ask() {
            return Ok([SEED.0.to_le_bytes(), SEED.1.to_le_bytes()].concat());
        }
        self.may_ask("randomness (wasi:random/random)", RANDOM_INSTEAD)?;
        self.random(length, RANDOM_BYTES_MAX)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        self.may_ask("randomness (wasi:random/random)", RANDOM_INSTEAD)?;
        draw(self)
    }
}

impl insecure::Host for GuestState {
    fn get_insecure_random_bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        self.may_ask("randomness (wasi:random/insecure)", RANDOM_INSTEAD)?;
        self.random(length, RANDOM_BYTES_MAX)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        self.may_ask("randomness (wasi:random/insecure)", RANDOM_INSTEAD)?;
        draw(self)
    }
}

impl insecure_seed::Host for GuestState {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok(SEED)
    }
}

fn draw(state: &mut GuestState) -> Result<u64> {
    let bytes = state.random(8, RANDOM_BYTES_MAX)?;
    Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}
