//! The engine with native guests and a store in memory: each behaviour by
//! itself, and all of them together under a seeded simulation.

mod behaviour;
mod edges;
mod guests;
mod house;
mod simulation;
mod store;
