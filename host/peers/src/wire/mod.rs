//! What is on the wire, in types of its own, so that a change elsewhere can't
//! change it by accident; golden bytes under `tests/golden/` hold it fixed.

pub(crate) mod frame;
#[cfg(test)]
mod golden;
pub(crate) mod handshake;

pub(crate) use frame::HEADER_BYTES;
