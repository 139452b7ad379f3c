//! The command line as a program: what it sends, prints and exits with, against
//! a server that answers as a node would.

mod calls;
mod clusters;
mod deploys;
mod fake;
mod listings;
mod streams;
mod words;
