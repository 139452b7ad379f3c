//! Compilations kept on disk.

use std::{io, path::Path};

use stead_model::ComponentHash;
use wasmtime::Engine;

use crate::artifact::OwnCode;

/// The cache.
pub(crate) struct Cache {}
impl Cache {
    pub(crate) fn open(_: &Path, _: u64, _: &Engine) -> io::Result<Self> {
        Ok(Self {})
    }
    pub(crate) fn get(&self, _: ComponentHash) -> Option<OwnCode> {
        None
    }
    pub(crate) fn put(&self, _: ComponentHash, _: &OwnCode) {}
}
