//! What is counted of a connection, so that its tick can tell whether it moves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::liveness::Traffic;

#[derive(Debug, Default)]
pub(crate) struct Meter {
    heard: AtomicU64,
    written: AtomicU64,
    writing: AtomicBool,
}

impl Meter {
    pub(crate) fn heard(&self, bytes: usize) {
        self.heard.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn writing(&self, writing: bool) {
        self.writing.store(writing, Relaxed);
    }

    pub(crate) fn read(&self) -> Traffic {
        Traffic {
            heard: self.heard.load(Relaxed),
            written: self.written.load(Relaxed),
            writing: self.writing.load(Relaxed),
        }
    }
}
