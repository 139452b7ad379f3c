//! Replies match a single-threaded model: each entity's committed outcomes are what
//! the model does, one command after the other; and every answer, also to a query,
//! a rejection and a retry, is of a state that the entity was in between when it was
//! asked for and when it was answered.

use std::collections::BTreeMap;

use stead_model::{Address, Item, OutcomeItem, RequestDigest, RequestId};

use super::{Property, Seen};
use crate::{
    clients::{Answered, Operation},
    model::State,
};

/// An entity, as the model has it.
#[derive(Default)]
struct Life {
    state: State,
    /// What it showed after so many outcomes.
    shown: Vec<String>,
    /// Which outcome each request came to.
    outcomes: BTreeMap<RequestId, usize>,
    /// The latest state that somebody has seen.
    seen: usize,
}

#[derive(Default)]
pub(super) struct Linearizable {
    lives: BTreeMap<Address, Life>,
    /// What was asked, by its digest; the bodies all differ.
    asked: BTreeMap<(Address, u128), (String, String)>,
    /// What had been seen when each operation began.
    began: BTreeMap<u64, usize>,
}

impl Life {
    fn shown(&self, at: usize) -> String {
        match at.checked_sub(1) {
            None => State::default().shown(),
            Some(before) => self.shown.get(before).cloned().unwrap_or_default(),
        }
    }
}

impl Linearizable {
    fn decide(&mut self, outcome: &OutcomeItem) -> Result<(), String> {
        let address = &outcome.address;
        let asked = (address.clone(), outcome.digest.0);
        let Some((name, body)) = self.asked.get(&asked) else {
            return Err(format!("{address}: nobody asked for {}", outcome.request));
        };
        let life = self.lives.entry(address.clone()).or_default();
        let Ok(expected) = life.state.handle(name, body) else {
            return Err(format!("{address}: {name} is refused, and was recorded"));
        };
        if (&expected.events, &expected.reply, expected.lifecycle)
            != (&outcome.events, &outcome.reply, outcome.lifecycle)
        {
            return Err(format!(
                "{address}: {name} {body} came to {:?}, and should have to {:?}",
                String::from_utf8_lossy(&outcome.reply),
                String::from_utf8_lossy(&expected.reply),
            ));
        }
        if outcome.lifecycle.ends() {
            life.state = State::default();
        }
        life.shown.push(life.state.shown());
        life.outcomes.insert(outcome.request.clone(), life.shown.len());
        Ok(())
    }

    fn answered(&mut self, operation: &Operation, answer: &Answered) -> Result<(), String> {
        let since = self.began.remove(&operation.id).unwrap_or(0);
        let life = self.lives.entry(operation.address.clone()).or_default();
        if answer.recorded().is_some() {
            let Some(request) = &operation.request else { return Ok(()) };
            let Some(at) = life.outcomes.get(request).copied() else {
                return Err(format!("{operation:?} was answered, and is not committed"));
            };
            if at <= since {
                return Err(format!(
                    "{operation:?} came to outcome {at}, and {since} had been seen before it \
                     was asked for"
                ));
            }
            life.seen = life.seen.max(at);
            return Ok(());
        }
        let Some(shown) = answer.shown() else { return Ok(()) };
        let at = (since..=life.shown.len()).find(|at| life.shown(*at) == shown);
        let Some(at) = at else {
            return Err(format!(
                "{operation:?} was answered {shown:?}, and since then the entity was only in \
                 {:?}",
                (since..=life.shown.len()).map(|at| life.shown(at)).collect::<Vec<_>>()
            ));
        };
        life.seen = life.seen.max(at);
        Ok(())
    }
}

impl Property for Linearizable {
    fn name(&self) -> &'static str {
        "replies match a single-threaded model"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Invoked { operation } => {
                let digest = RequestDigest::of(&operation.name, operation.body.as_bytes());
                self.asked.insert(
                    (operation.address.clone(), digest.0),
                    (operation.name.to_string(), operation.body.clone()),
                );
                let life = self.lives.get(&operation.address);
                self.began.insert(operation.id, life.map_or(0, |life| life.seen));
                Ok(())
            }
            Seen::Decided { entry } => entry.items.iter().try_for_each(|item| match item {
                Item::Outcome(outcome) => self.decide(outcome),
                Item::Snapshot(_) | Item::Members(_) => Ok(()),
            }),
            Seen::Answered { operation, answer } => self.answered(operation, answer),
            _ => Ok(()),
        }
    }
}
