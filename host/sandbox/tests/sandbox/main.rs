//! The sandbox against guests made to hurt.

mod bombs;
mod cache;
mod calls;
mod faults;
mod house;
mod load;
mod logs;
mod refusals;
