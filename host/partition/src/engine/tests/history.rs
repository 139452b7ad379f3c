//! What should be true: a model that handles the committed commands of each
//! entity one after the other, and knows nothing of batches, instances or time.

use std::collections::{BTreeMap, BTreeSet};

use stead_model::{Address, Item, Lifecycle, OutcomeItem, RequestId, SnapshotItem};

use super::guests::State;

/// One entity, by what is committed.
#[derive(Default)]
struct Life {
    state: State,
    last: u64,
    life_after: u64,
    /// Each state that it was in, by its number among the outcomes.
    shown: Vec<String>,
    /// The state after each event of this life.
    at: BTreeMap<u64, String>,
    /// Where snapshots were taken, in earlier lives too.
    snapshots: BTreeSet<u64>,
    replies: BTreeMap<RequestId, (Vec<u8>, u64)>,
}

/// All that is committed.
#[derive(Default)]
pub struct History {
    lives: BTreeMap<Address, Life>,
    pub outcomes: u64,
    pub snapshots: u64,
}

fn shown(state: &State) -> String {
    format!("{} {}", state.sum, state.last)
}

impl History {
    /// An entry is durable. The first thing that is wrong with it.
    pub fn commit(&mut self, items: &[Item]) -> Result<(), String> {
        items.iter().try_for_each(|item| match item {
            Item::Outcome(outcome) => self.outcome(outcome),
            Item::Snapshot(snapshot) => self.snapshot(snapshot),
            Item::Members(_) => Ok(()),
        })
    }

    fn outcome(&mut self, outcome: &OutcomeItem) -> Result<(), String> {
        self.outcomes += 1;
        let address = &outcome.address;
        let life = self.lives.entry(address.clone()).or_default();
        if outcome.first_sequence.get() != life.last + 1 {
            let first = outcome.first_sequence;
            return Err(format!("{address}: {first} was recorded after {}", life.last));
        }
        for event in &outcome.events {
            let text = String::from_utf8(event.body.clone()).expect("text");
            match event.name.as_str() {
                "added" => life.state.sum += text.parse::<u64>().expect("a number"),
                _ => life.state.last = text,
            }
            life.last += 1;
            life.at.insert(life.last, shown(&life.state));
        }
        let expected = shown(&life.state);
        if outcome.reply != expected.as_bytes() {
            let reply = String::from_utf8_lossy(&outcome.reply);
            return Err(format!("{address} replied {reply:?} when it was {expected:?}"));
        }
        life.shown.push(expected);
        let reply = (outcome.reply.clone(), outcome.last_sequence().get());
        if life.replies.insert(outcome.request.clone(), reply).is_some() {
            return Err(format!("{address}: {} was recorded twice", outcome.request));
        }
        if outcome.lifecycle != Lifecycle::Continues {
            life.state = State::default();
            life.life_after = life.last;
            life.at.clear();
            life.shown.push(shown(&life.state));
        }
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &SnapshotItem) -> Result<(), String> {
        self.snapshots += 1;
        let (address, sequence) = (&snapshot.address, snapshot.sequence.get());
        let life = self.lives.entry(address.clone()).or_default();
        let expected = life.at.get(&sequence);
        let found = snapshot.state.get(1..).unwrap_or_default();
        if expected.is_none_or(|expected| expected.as_bytes() != found) {
            let found = String::from_utf8_lossy(found);
            return Err(format!("{address}: a snapshot at {sequence} has {found:?}, {expected:?}"));
        }
        life.snapshots.insert(sequence);
        Ok(())
    }

    /// The reply that is recorded under a request id.
    pub fn reply(&self, address: &Address, request: &RequestId) -> Option<&(Vec<u8>, u64)> {
        self.lives.get(address)?.replies.get(request)
    }

    pub fn has_snapshot(&self, address: &Address, sequence: u64) -> bool {
        self.lives.get(address).is_some_and(|life| life.snapshots.contains(&sequence))
    }

    /// How many states of an entity are durable.
    pub fn states(&self, address: &Address) -> usize {
        self.lives.get(address).map_or(0, |life| life.shown.len())
    }

    /// The present state of an entity, and its last sequence number.
    pub fn state(&self, address: &Address) -> (String, u64) {
        let life = self.lives.get(address);
        life.map_or_else(|| ("0 ".into(), 0), |life| (shown(&life.state), life.last))
    }

    /// Whether the entity was in a state when `since` of its states were durable,
    /// or later.
    pub fn was(&self, address: &Address, state: &[u8], since: usize) -> bool {
        let shown = self.lives.get(address).map_or(&[][..], |life| &life.shown);
        (since == 0 && state == b"0 ")
            || shown.iter().skip(since.saturating_sub(1)).any(|known| known.as_bytes() == state)
    }

    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.lives.keys()
    }
}
