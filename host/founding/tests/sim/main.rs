//! The founding of clusters under simulation: never two, and one when a majority can
//! talk. `STEAD_SEED=…` runs one seed again.
#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

mod forming;
mod safety;
mod world;

/// The seeds of a test.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("STEAD_SEED") {
        Ok(seed) => vec![seed.parse().expect("STEAD_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}
