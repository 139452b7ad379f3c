//! Clusters in one thread and in virtual time: everything that happens follows from a
//! seed.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

mod chaos;
mod detection;
mod discovery;
mod forming;
mod lives;
mod partitions;
mod pauses;
mod random;
mod world;
