//! A house that does as the test says, servers over it, and a client that sends
//! exactly the bytes it is given.

mod house;
mod server;
mod wire;

pub use house::{House, cart, deployed, echo, operation};
pub use server::Server;
pub use wire::{Reply, Wire, get, post, send};
