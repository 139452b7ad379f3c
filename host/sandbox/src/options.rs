//! How a sandbox is set up.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use stead_model::{GuestLimits, TimestampMs};

use crate::compile::Compiler;

/// Tells the time that guests see.
pub type Clock = Arc<dyn Fn() -> TimestampMs + Send + Sync>;
/// Fills a slice with the randomness that guests see.
pub type Randomness = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// How a sandbox is set up.
#[derive(Clone)]
pub struct SandboxOptions {
    /// What one guest call may use.
    pub limits: GuestLimits,
    /// The most instances that may be live at once. Each is a handful of
    /// mappings of the process, of which the system allows 65,530 by default
    /// (`vm.max_map_count`); a process that runs out of them can't get memory
    /// for anything else either.
    pub instances_max: usize,
    /// What one component may be, and what compiling it may use.
    pub load: LoadLimits,
    /// Where compilations are kept; none are if it is `None`. The key that they
    /// are signed with is kept beside the directory.
    pub cache_dir: Option<PathBuf>,
    /// The most bytes of compilations that are kept.
    pub cache_bytes_max: u64,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// The kinds of effects that this host does. A component that may ask for
    /// another is refused.
    pub effects: Vec<String>,
    /// The clock; the system's unless it is a test's.
    pub clock: Clock,
    /// Secure randomness; the system's unless it is a test's.
    pub randomness: Randomness,
}

impl SandboxOptions {
    /// Defaults: no cache, and compiling in this process.
    #[must_use]
    pub fn new(limits: GuestLimits) -> Self {
        Self {
            limits,
            instances_max: 10_000,
            load: LoadLimits::default(),
            cache_dir: None,
            cache_bytes_max: 4 << 30,
            compiler: Compiler::InProcess,
            effects: Vec::new(),
            clock: Arc::new(system_time),
            randomness: Arc::new(system_randomness),
        }
    }
}

/// What one component may be, and what compiling it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadLimits {
    /// The most bytes in a component.
    pub component_bytes_max: usize,
    /// The most functions in all its modules together.
    pub functions_max: u32,
    /// The most bytes in one function's body.
    pub function_bytes_max: u32,
    /// The most modules and components in it, at all depths together.
    pub modules_max: u32,
    /// The deepest that components in it may be nested.
    pub depth_max: u32,
    /// The most items in all type, import, export, alias and instance sections together.
    pub items_max: u32,
    /// The longest that compiling may take, in milliseconds.
    pub compile_ms_max: u64,
    /// The most memory that a compiling process may have, in bytes.
    pub compile_memory_bytes_max: u64,
    /// The most bytes of machine code and data that a compilation may be.
    pub artifact_bytes_max: usize,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            component_bytes_max: 64 << 20,
            functions_max: 200_000,
            function_bytes_max: 1 << 20,
            modules_max: 1_000,
            depth_max: 16,
            items_max: 500_000,
            compile_ms_max: 120_000,
            compile_memory_bytes_max: 4 << 30,
            artifact_bytes_max: 512 << 20,
        }
    }
}

fn system_time() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    TimestampMs(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

fn system_randomness(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has randomness, or nothing here is safe");
}
