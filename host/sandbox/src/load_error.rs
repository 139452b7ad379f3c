//! Why a component could not be loaded.

use crate::{contract::SERVED, fault::SandboxFault};

/// Why a component could not be loaded. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is larger than components may be.
    #[error("the component has {bytes} bytes; at most {max} are taken")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is taken.
        max: usize,
    },
    /// It is no WebAssembly at all.
    #[error("this is no WebAssembly component: {0}")]
    NotWasm(String),
    /// It is a core module.
    #[error(
        "this is a core module, and Stead runs components; build one with \
         `cargo build --target wasm32-wasip2`, `cargo component build`, or `wasm-tools component new`"
    )]
    CoreModule,
    /// It is WebAssembly, and broken.
    #[error("the component is damaged or invalid: {0}")]
    Invalid(String),
    /// It has more of something than components may.
    #[error("the component is more than is compiled here: {0}")]
    TooComplex(String),
    /// It keeps another version of the contract.
    #[error(
        "the component speaks {found}; this host serves {SERVED}. Build it with an SDK for that version"
    )]
    OtherVersion {
        /// What it speaks.
        found: String,
    },
    /// It keeps another contract.
    #[error(
        "the component is no entity: it does not export the interface `guest` of {SERVED}, but {exports}"
    )]
    OtherWorld {
        /// What it exports, in words.
        exports: String,
    },
    /// It wants what this host does not offer.
    #[error(
        "the component imports {0}, which this host does not offer; it offers {SERVED} and WASI 0.2"
    )]
    UnknownImports(String),
    /// Its imports or exports have the right names and other types.
    #[error("the component does not fit {SERVED}: {0}")]
    Mismatch(String),
    /// Compiling it took too long.
    #[error("compiling the component took over {0} ms, which is all that is given to it")]
    CompileDeadline(u64),
    /// Compiling it took too much memory.
    #[error("compiling the component takes more memory than is given to it: {0}")]
    CompileMemory(String),
    /// Another component was being compiled all the time.
    #[error("another component is being compiled; try again")]
    CompileBusy,
    /// Its `describe` faulted.
    #[error("the component could not describe itself: {0}")]
    DescribeFault(SandboxFault),
    /// Its `describe` says something else each time.
    #[error("the component describes itself differently each time; `describe` must be constant")]
    DescribeChanges,
    /// What it describes breaks the contract.
    #[error("the component's description is not valid: {0}")]
    DescriptionInvalid(String),
    /// It may ask for effects that this host does not do.
    #[error("the component may ask for the effects {wanted}; this host does {served}")]
    UnservedEffects {
        /// Those that it names and that are not served, in words.
        wanted: String,
        /// Those that are, in words.
        served: String,
    },
    /// The host could not do its part.
    #[error("the component could not be loaded: {0}")]
    Host(String),
}

impl LoadError {
    /// Whether the host is at fault, or busy, and not the component.
    #[must_use]
    pub fn is_hosts(&self) -> bool {
        matches!(self, Self::Host(_) | Self::CompileBusy)
    }
}
