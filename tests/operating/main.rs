//! Operating a cluster: emptying nodes, giving up what is lost, running one on this
//! machine.

mod cli;
mod drain;
mod recover;
mod steady;
mod up;
