//! Simulated clusters: what they live through, how much moves, and whether the
//! checker of their plans finds mistakes.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

mod faults;
mod mistakes;
mod movement;
mod sim;
