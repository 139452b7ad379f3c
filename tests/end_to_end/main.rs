//! Whole nodes, as real processes, seen from outside: over HTTP and by the
//! command line.

mod support;

mod command_line;
mod damage;
mod dev;
mod disk_full;
mod hurtful;
mod lifecycle;
mod refused;
mod requests;
mod restart;
mod samples;
mod versions;
