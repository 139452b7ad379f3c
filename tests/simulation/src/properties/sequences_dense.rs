//! Sequence numbers are dense and never reused: each outcome's events go on where
//! the entity's last outcome ended, across deletion too, and stores have them all.

use std::collections::BTreeMap;

use stead_model::{Address, Item};

use super::{Property, Seen};

#[derive(Default)]
pub(super) struct SequencesDense {
    last: BTreeMap<Address, u64>,
}

impl Property for SequencesDense {
    fn name(&self) -> &'static str {
        "sequence numbers dense"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Decided { entry } => {
                for item in &entry.items {
                    let Item::Outcome(outcome) = item else { continue };
                    let last = self.last.entry(outcome.address.clone()).or_default();
                    if outcome.first_sequence.get() != *last + 1 {
                        return Err(format!(
                            "{}: the events of {} begin at {}, after {last}",
                            outcome.address, outcome.request, outcome.first_sequence
                        ));
                    }
                    *last = outcome.last_sequence().get();
                }
                Ok(())
            }
            Seen::Events { machine, address, between: (first, last), found } => {
                let known = self.last.get(address).copied().unwrap_or(0);
                let wanted = (last + 1).saturating_sub(*first);
                if *last == known && wanted == *found {
                    return Ok(());
                }
                Err(format!(
                    "m{machine} has {found} events of {address} from {first} to {last}, of {known}"
                ))
            }
            _ => Ok(()),
        }
    }
}
