//! Memory: what an instance has, what it may have, and what it was denied.

use wasmtime::{Error, ResourceLimiter, Result};

/// The most elements that all tables of an instance may have together: a word
/// of host memory each.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// The most core instances in a store. A Python component has a few dozen.
const CORE_INSTANCES_MAX: usize = 1_000;
/// The most tables in a store.
const TABLES_MAX: usize = 1_000;
/// The most memories in a store: each is several mappings of the process.
const MEMORIES_MAX: usize = 16;

/// Counts an instance's memory and says no at its limits.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    /// What the memory may be by the end of the present call.
    call_bytes_max: usize,
    denied: Option<Denied>,
}

/// The first denial of a call.
#[derive(Debug, Clone)]
enum Denied {
    Instance { had: usize, wanted: usize },
    Call { had: usize, wanted: usize, share: usize },
    Table { wanted: usize },
    Unavailable { had: usize, reason: String },
}

impl Limiter {
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        Self {
            memory_bytes: 0,
            memory_bytes_max,
            table_elements: 0,
            call_bytes_max: memory_bytes_max,
            denied: None,
        }
    }

    /// Begins a call in which the memory may grow by `growth_bytes_max`.
    pub(crate) fn begin(&mut self, growth_bytes_max: usize) {
        self.call_bytes_max = self.memory_bytes.saturating_add(growth_bytes_max);
        self.denied = None;
    }

    /// The linear memory that the instance has, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What was denied in this call, in a sentence.
    pub(crate) fn denied(&self) -> Option<String> {
        let max = self.memory_bytes_max;
        Some(match self.denied.clone()? {
            Denied::Instance { had, wanted } => {
                format!("the instance has {had} bytes, wanted {wanted} more, and may have {max}")
            }
            Denied::Call { had, wanted, share } => format!(
                "the instance has {had} bytes and wanted {wanted} more, but may grow by only {share} in one call"
            ),
            Denied::Table { wanted } => {
                format!("its tables wanted {wanted} elements and may have {TABLE_ELEMENTS_MAX}")
            }
            Denied::Unavailable { had, reason } => {
                format!("the instance has {had} bytes and could not have more: {reason}")
            }
        })
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let wanted = desired.saturating_sub(current);
        let had = self.memory_bytes;
        let total = had.saturating_add(wanted);
        let denied = if total > self.memory_bytes_max {
            Denied::Instance { had, wanted }
        } else if total > self.call_bytes_max {
            // The share is what was allowed at the beginning of the call.
            Denied::Call { had, wanted, share: self.call_bytes_max.saturating_sub(had) }
        } else {
            self.memory_bytes = total;
            return Ok(true);
        };
        self.denied.get_or_insert(denied);
        Ok(false)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        // The component's own maximum was reached, or the system had no more.
        // What was granted for it stays counted: an instance that is short of
        // memory is about to be discarded.
        let reason = format!("{:#}", error.root_cause());
        self.denied.get_or_insert(Denied::Unavailable { had: self.memory_bytes, reason });
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS_MAX {
            self.denied.get_or_insert(Denied::Table { wanted: total });
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
