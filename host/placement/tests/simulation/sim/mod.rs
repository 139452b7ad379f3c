//! A cluster that carries out plans: with delays, lost steps, nodes that die,
//! return, come and go. Everything that is random comes from one seed.

mod checker;
mod cluster;
mod random;

pub use checker::check;
pub use cluster::Cluster;
pub use random::Random;
