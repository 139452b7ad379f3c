//! What a store knows beside the guest: the present call, its limits, and
//! what the guest said.

use std::sync::Arc;

use stead_model::{EntityId, EntityType, GuestLimits};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{filesystem::WasiFilesystemCtx, sockets::WasiSocketsCtx};

use crate::{
    fault::Refusal,
    limiter::Limiter,
    lines::{Lines, cut, printable},
    options::{Clock, Randomness},
    phase::Phase,
};

/// The most bytes of a call's standard error that are kept for the text of a
/// fault: a panic's message is there.
const LAST_WORDS_BYTES_MAX: usize = 2 << 10;
/// The most host resources that WASI may hold for a guest. There is nothing to
/// open, so it is all but unused.
const WASI_RESOURCES_MAX: usize = 64;

/// What all stores of a sandbox share.
pub(crate) struct Shared {
    pub(crate) limits: GuestLimits,
    pub(crate) clock: Clock,
    pub(crate) randomness: Randomness,
}

/// A stream that a guest writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The data of a store.
pub(crate) struct GuestState {
    shared: Arc<Shared>,
    entity_type: EntityType,
    pub(crate) limiter: Limiter,
    /// Nothing is in them, so nothing of the host's can be reached.
    pub(crate) files: WasiFilesystemCtx,
    pub(crate) sockets: WasiSocketsCtx,
    pub(crate) table: ResourceTable,

    // The present call.
    phase: Phase,
    entity: Option<EntityId>,
    now_ms: Option<u64>,
    lines_logged: u32,
    lines_dropped: u64,
    last_words: Vec<u8>,

    // The instance's whole life.
    stdout: Lines,
    stderr: Lines,
    monotonic_ns: u64,
    /// See [`crate::wasi`] on randomness.
    pub(crate) may_seed_while_folding: bool,
}

impl GuestState {
    pub(crate) fn new(
        shared: Arc<Shared>,
        entity_type: EntityType,
        may_seed_while_folding: bool,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(WASI_RESOURCES_MAX);
        Self {
            limiter: Limiter::new(shared.limits.instance_memory_bytes_max),
            shared,
            entity_type,
            files: WasiFilesystemCtx::default(),
            sockets: WasiSocketsCtx::default(),
            table,
            phase: Phase::Start,
            entity: None,
            now_ms: None,
            lines_logged: 0,
            lines_dropped: 0,
            last_words: Vec::new(),
            stdout: Lines::default(),
            stderr: Lines::default(),
            monotonic_ns: 0,
            may_seed_while_folding,
        }
    }

    pub(crate) fn limits(&self) -> &GuestLimits {
        &self.shared.limits
    }

    pub(crate) fn entity_type(&self) -> &EntityType {
        &self.entity_type
    }

    /// Begins a call.
    pub(crate) fn begin(&mut self, phase: Phase, entity: Option<&EntityId>) {
        self.phase = phase;
        if self.entity.as_ref() != entity {
            self.entity = entity.cloned();
        }
        self.now_ms = None;
        self.lines_logged = 0;
        self.last_words.clear();
        let growth_bytes_max = if phase.is_of_an_entity() {
            self.shared.limits.entity_memory_bytes_max
        } else {
            usize::MAX
        };
        self.limiter.begin(growth_bytes_max);
    }

    /// Ends a call: what was written without a line's end is a line too.
    pub(crate) fn end(&mut self) {
        self.flush(Stream::Stdout);
        self.flush(Stream::Stderr);
        if self.lines_dropped > 0 {
            tracing::warn!(
                target: "stead::guest",
                entity_type = %self.entity_type,
                id = self.entity.as_ref().map(EntityId::as_str),
                dropped = self.lines_dropped,
                "it said more in one call than is logged"
            );
            self.lines_dropped = 0;
        }
    }

    /// The deadline of the present call.
    pub(crate) fn deadline_ms(&self) -> u64 {
        let limits = &self.shared.limits;
        if self.phase.is_replay() { limits.replay_ms_max } else { limits.call_ms_max }
    }

    /// The most bytes that a guest may hand to the host in one crossing. What
    /// is over the exact limits but under this one is taken and refused with
    /// the exact figure; what is over this one is not even copied.
    pub(crate) fn handover_bytes_max(&self) -> usize {
        handover_bytes_max(&self.shared.limits)
    }

    /// The time, the same throughout a call.
    pub(crate) fn now_ms(&mut self) -> u64 {
        *self.now_ms.get_or_insert_with(|| (self.shared.clock)().get())
    }

    /// The same as a clock that never goes back during the instance's life.
    pub(crate) fn monotonic_ns(&mut self) -> u64 {
        let now_ns = self.now_ms().saturating_mul(1_000_000);
        self.monotonic_ns = self.monotonic_ns.max(now_ns);
        self.monotonic_ns
    }

    /// Random bytes.
    pub(crate) fn random(&mut self, length: u64, max: u64) -> wasmtime::Result<Vec<u8>> {
        if length > max {
            return Err(Refusal::trap(format!(
                "it asked for {length} random bytes; at most {max} are given at a time"
            )));
        }
        let mut bytes = vec![0; usize::try_from(length)?];
        (self.shared.randomness)(&mut bytes);
        Ok(bytes)
    }

    /// Traps unless a command or a query is being handled. `what` ends the
    /// sentence "it asked for …", and `instead` is what its author can do.
    pub(crate) fn may_ask(&self, what: &str, instead: &str) -> wasmtime::Result<()> {
        if self.phase.may_ask() {
            return Ok(());
        }
        let phase = self.phase;
        Err(Refusal::trap(format!("it asked for {what} while {phase}; {instead}")))
    }

    /// The phase of the present call.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// What the guest wrote to its standard error in this call, in the end.
    pub(crate) fn last_words(&self) -> String {
        String::from_utf8_lossy(&self.last_words).trim().to_owned()
    }

    /// Takes what the guest writes to a stream.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr {
            let (_, tail) = bytes.split_at(bytes.len().saturating_sub(LAST_WORDS_BYTES_MAX));
            self.last_words.extend_from_slice(tail);
            let excess = self.last_words.len().saturating_sub(LAST_WORDS_BYTES_MAX);
            self.last_words.drain(..excess);
        }
        self.with_lines(stream, |lines, bytes_max, emit| lines.push(bytes, bytes_max, emit));
    }

    fn flush(&mut self, stream: Stream) {
        self.with_lines(stream, |lines, _, emit| lines.end(emit));
    }

    fn with_lines(
        &mut self,
        stream: Stream,
        act: impl FnOnce(&mut Lines, usize, &mut dyn FnMut(&str)),
    ) {
        let (own, name) = match stream {
            Stream::Stdout => (&mut self.stdout, "stdout"),
            Stream::Stderr => (&mut self.stderr, "stderr"),
        };
        let mut lines = std::mem::take(own);
        let bytes_max = self.shared.limits.log_line_bytes_max;
        act(&mut lines, bytes_max, &mut |line| {
            self.emit(tracing::Level::INFO, name, line);
        });
        match stream {
            Stream::Stdout => self.stdout = lines,
            Stream::Stderr => self.stderr = lines,
        }
    }

    /// Takes a line that the guest logs.
    pub(crate) fn log(&mut self, level: tracing::Level, message: &str) {
        let line = printable(&cut(message, self.shared.limits.log_line_bytes_max));
        self.emit(level, "log", &line);
    }

    /// Writes a line to the node's log, if it is one of those that are.
    fn emit(&mut self, level: tracing::Level, stream: &'static str, line: &str) {
        // What is said while events are folded was said when they were recorded.
        if !self.phase.may_ask() {
            return;
        }
        if self.lines_logged >= self.shared.limits.log_lines_max {
            self.lines_dropped += 1;
            return;
        }
        self.lines_logged += 1;
        let entity_type = self.entity_type.as_str();
        let id = self.entity.as_ref().map(EntityId::as_str);
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(target: "stead::guest", tracing::Level::$level, entity_type, id, stream, "{line}")
            };
        }
        match level {
            tracing::Level::TRACE => line!(TRACE),
            tracing::Level::DEBUG => line!(DEBUG),
            tracing::Level::INFO => line!(INFO),
            tracing::Level::WARN => line!(WARN),
            tracing::Level::ERROR => line!(ERROR),
        }
    }
}

/// See [`GuestState::handover_bytes_max`]. Twice the largest answer, and room
/// for the list of events itself.
pub(crate) fn handover_bytes_max(limits: &GuestLimits) -> usize {
    let largest =
        limits.outcome_bytes_max.max(limits.reply_bytes_max).max(limits.snapshot_bytes_max);
    largest
        .saturating_mul(2)
        .saturating_add(limits.outcome_events_max.saturating_mul(128))
        .saturating_add(1 << 20)
}
