//! Compiled code becomes a component: the one step that wasmtime leaves to the
//! caller's word.
//!
//! `Component::deserialize` is unsafe because it maps the bytes as code and runs
//! them later: whoever chooses the bytes chooses what the process does. It is
//! sound here because of where the bytes come from, which is what [`OwnCode`]
//! stands for. There are two ways to one, and neither is open to anyone outside:
//!
//! - the compiler of this build just made them, in this process or in a child
//!   that this process started from a program of its own choosing and talked to
//!   over pipes that nobody else has;
//! - they were made so earlier, and were read back from the cache with a valid
//!   code of authenticity under this node's own key, over the bytes, the
//!   component's hash, and the compiler's identity.
//!
//! Compilations never come over the network. wasmtime checks besides that they
//! are of its own version and settings, which guards against mistakes, not malice.
#![expect(unsafe_code, reason = "argued above")]

use wasmtime::{Engine, component::Component};

/// Code of this node's own making.
#[derive(Debug)]
pub(crate) struct OwnCode(Vec<u8>);

impl OwnCode {
    /// What the compiler just made.
    pub(crate) fn compiled(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// What was read from the cache, and proven by its code of authenticity.
    pub(crate) fn authenticated(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// The bytes, for the cache.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component.
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are of this node's own compiler; see above.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
