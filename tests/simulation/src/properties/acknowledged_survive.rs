//! Acknowledged outcomes survive: what a caller was told of is committed, and is in
//! every store when all is at rest.

use std::collections::BTreeMap;

use stead_model::{Address, Item, RequestId};

use super::{Property, Seen};

#[derive(Default)]
pub(super) struct AcknowledgedSurvive {
    decided: BTreeMap<(Address, RequestId), Vec<u8>>,
}

impl Property for AcknowledgedSurvive {
    fn name(&self) -> &'static str {
        "acknowledged outcomes survive"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Decided { entry } => {
                for item in &entry.items {
                    let Item::Outcome(outcome) = item else { continue };
                    let (address, request) = (outcome.address.clone(), outcome.request.clone());
                    let before = self
                        .decided
                        .insert((address.clone(), request.clone()), outcome.reply.clone());
                    if before.is_some() {
                        return Err(format!(
                            "{address}: the outcome of {request} is committed twice"
                        ));
                    }
                }
                Ok(())
            }
            Seen::Answered { operation, answer } => {
                let Some(reply) = answer.recorded() else { return Ok(()) };
                let Some(request) = &operation.request else { return Ok(()) };
                match self.decided.get(&(operation.address.clone(), request.clone())) {
                    Some(decided) if decided == reply => Ok(()),
                    Some(decided) => Err(format!(
                        "{operation:?} was answered {:?}, and {:?} is committed",
                        String::from_utf8_lossy(reply),
                        String::from_utf8_lossy(decided)
                    )),
                    None => Err(format!("{operation:?} was answered, and is not committed")),
                }
            }
            Seen::Recorded { machine, operation, reply } => {
                let Some(request) = &operation.request else { return Ok(()) };
                let decided = self.decided.get(&(operation.address.clone(), request.clone()));
                if decided.map(Vec::as_slice) == *reply {
                    return Ok(());
                }
                Err(format!(
                    "{operation:?} was acknowledged, and the store of m{machine} has {reply:?}"
                ))
            }
            _ => Ok(()),
        }
    }
}
