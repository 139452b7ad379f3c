//! How a cluster comes about: where other nodes may be found, and who founds it.
//!
//! - [`Seed`] is where others may be found, as people write it: an address, a name, or
//!   a service in DNS. [`Names`] looks up what seeds stand for now.
//! - [`Founding`] is the protocol by which nodes that are in no cluster agree on the one
//!   that is to be, and on who founds it. It is pure: what happens and the time go in,
//!   what to keep and to say comes out, so that it runs under simulation.
//!
//! It knows neither gossip, which carries its words, nor what founding does.

#![forbid(unsafe_code)]

mod names;
mod protocol;
mod seed;
mod word;

pub use names::{ADDRESSES_MAX, Names, Resolved};
pub use protocol::{Effect, Founding, Input, Kept, Settings, Waits};
pub use seed::{SEEDS_MAX, Seed, SeedError};
pub use word::{Bid, Choice, Letter, WORD_BYTES_MAX, Word};
