//! Why a guest call did not return, and how that is read off wasmtime's error.

use wasmtime::{Error, Trap, WasmBacktrace};

use crate::{lines::printable, state::GuestState};

/// The most bytes in the text of a fault: it goes to logs.
const FAULT_TEXT_BYTES_MAX: usize = 4 << 10;

/// The most functions that it names.
const PLACE_FRAMES_MAX: usize = 6;

/// Why a guest call did not return. After any of these but `Refused` the
/// instance, with every entity in it, is to be discarded; it refuses every
/// later call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxFault {
    /// It trapped: a panic, an exception, an instruction that can't go on, or
    /// a request that the host refuses at this point.
    #[error("the entity's code trapped: {0}")]
    Trap(String),
    /// It ran past its deadline, in milliseconds.
    #[error("the entity's code ran for over {0} ms")]
    Deadline(u64),
    /// It wanted more memory than it may have.
    #[error("the entity's code ran out of the memory that it may use: {0}")]
    Memory(String),
    /// It ran out of stack.
    #[error("the entity's code ran out of stack")]
    Stack,
    /// It gave back what it may not: over a limit, or not described. The
    /// instance is sound, but this entity's state is not to be trusted.
    #[error("the entity's code gave back what it may not: {0}")]
    Refused(String),
    /// The host could not do its part, or was asked for what can't be.
    #[error("the host could not run the entity's code: {0}")]
    Host(String),
}

/// What a host function traps with when it refuses: the text is for the
/// component's author.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    /// An error that traps the guest.
    pub(crate) fn trap(text: impl Into<String>) -> Error {
        Error::new(Self(text.into()))
    }
}

impl SandboxFault {
    /// Reads a fault off the error of a call, and off what the store noted
    /// while it ran.
    pub(crate) fn of(error: &Error, state: &GuestState) -> Self {
        let trap = error.downcast_ref::<Trap>();
        match trap {
            Some(Trap::Interrupt) => return Self::Deadline(state.deadline_ms()),
            Some(Trap::StackOverflow) => return Self::Stack,
            _ => {}
        }
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Self::Trap(bounded(refusal.0.clone()));
        }
        // A guest that is denied memory can only give up, so whatever trap
        // follows a denial is the denial's doing.
        if let Some(denied) = state.limiter.denied() {
            return Self::Memory(denied);
        }
        if is_fuel(error) {
            return Self::Trap(format!(
                "what it handed over in one go is over the {} bytes that are taken",
                state.handover_bytes_max()
            ));
        }
        let what = match trap {
            Some(trap) => trap.to_string(),
            None => format!("{:#}", error.root_cause()),
        };
        let said = state.last_words();
        Self::Trap(bounded(match (said.is_empty(), place(error)) {
            (false, _) => format!("{said} ({what})"),
            (true, Some(place)) => format!("{what}, {place}"),
            (true, None) => what,
        }))
    }
}

/// Where it was, if the component still has its functions' names: for those
/// whose language says nothing itself.
fn place(error: &Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let names: Vec<&str> = backtrace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name())
        .take(PLACE_FRAMES_MAX)
        .collect();
    if names.is_empty() { None } else { Some(printable(&format!("in {}", names.join(" < ")))) }
}

/// Whether the guest handed over more than hostcall fuel allows. wasmtime's
/// type for it is private, so it is known by its words.
fn is_fuel(error: &Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls")
}

/// Cuts a text to what logs take, at a character's border.
fn bounded(mut text: String) -> String {
    if text.len() > FAULT_TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(FAULT_TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}
