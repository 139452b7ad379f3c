//! No group, store or task of a node fails by itself: only a disk that did gives it
//! a reason to.

use super::{Property, Seen};

pub(super) struct NoGroupFails;

impl Property for NoGroupFails {
    fn name(&self) -> &'static str {
        "no group fails by itself"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Trouble { machine, what } => Err(format!("m{machine}: {what}")),
            _ => Ok(()),
        }
    }
}
