//! The engine with native guests and a store in memory: each behaviour by
//! itself, and all of them together under a seeded simulation.

mod behaviour;
mod edges;
mod guests;
mod history;
mod house;
mod random;
mod simulation;
mod store;
mod storm;
