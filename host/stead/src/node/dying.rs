//! Ending with the process that started this one.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::failure::Failure;

/// Has the system kill this process when its parent ends, which must be that one.
///
/// # Errors
/// If it has ended already, or the system doesn't let us.
pub fn die_with(parent: u32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| {
        Failure::failed(format!("the system won't end this node with its parent: {error}"))
    })?;
    // It may have ended before that was said.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get());
    match now.is_some_and(|now| u32::try_from(now) == Ok(parent)) {
        true => Ok(()),
        false => Err(Failure::failed("the process that started this node has ended")),
    }
}
