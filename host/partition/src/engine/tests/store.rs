//! A store in memory, which checks what it is given to apply.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use stead_model::{Address, Event, Item, Lifecycle, RequestId, SequenceNumber};

use crate::ports::{EntityRecord, RecordedReply, StoreFault, StoreReader, StoredSnapshot};

#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub events: BTreeMap<u64, Event>,
    pub last: u64,
    pub life_after: u64,
    pub first: u64,
    pub snapshots: BTreeMap<u64, StoredSnapshot>,
    pub replies: BTreeMap<RequestId, RecordedReply>,
}

#[derive(Clone, Default)]
pub struct Memory {
    pub entities: Rc<RefCell<BTreeMap<Address, Stored>>>,
    pub damaged: Rc<RefCell<bool>>,
}

impl Memory {
    pub fn apply(&self, items: &[Item]) {
        for item in items {
            let address = match item {
                Item::Outcome(outcome) => &outcome.address,
                Item::Snapshot(snapshot) => &snapshot.address,
                Item::Members(_) => continue,
            };
            let mut entities = self.entities.borrow_mut();
            let stored = entities.entry(address.clone()).or_default();
            stored.first = stored.first.max(1);
            match item {
                Item::Outcome(outcome) => {
                    assert_eq!(outcome.first_sequence.get(), stored.last + 1, "dense");
                    for event in &outcome.events {
                        stored.last += 1;
                        stored.events.insert(stored.last, event.clone());
                    }
                    let reply = RecordedReply {
                        digest: outcome.digest,
                        reply: outcome.reply.clone(),
                        sequence: outcome.last_sequence(),
                        expires: outcome.expires,
                    };
                    stored.replies.insert(outcome.request.clone(), reply);
                    match outcome.lifecycle {
                        Lifecycle::Continues => {}
                        Lifecycle::EndsKeepingEvents => {
                            stored.life_after = stored.last;
                            stored.snapshots.clear();
                        }
                        Lifecycle::EndsPurgingEvents => {
                            stored.life_after = stored.last;
                            stored.snapshots.clear();
                            stored.events.clear();
                            stored.first = stored.last + 1;
                        }
                    }
                }
                Item::Snapshot(snapshot) => {
                    assert!(snapshot.sequence.get() > stored.life_after, "of the present life");
                    assert!(snapshot.sequence.get() <= stored.last, "of what is there");
                    let view = StoredSnapshot {
                        sequence: snapshot.sequence,
                        version: snapshot.version,
                        state: snapshot.state.clone(),
                    };
                    stored.snapshots.insert(snapshot.sequence.get(), view);
                    while stored.snapshots.len() > 2 {
                        stored.snapshots.pop_first();
                    }
                    if let Some(through) = snapshot.drop_events_through {
                        stored.events.retain(|sequence, _| *sequence > through.get());
                        stored.first = stored.first.max(through.get() + 1);
                    }
                }
                Item::Members(_) => {}
            }
        }
    }

    pub fn get(&self, address: &Address) -> Stored {
        self.entities.borrow().get(address).cloned().unwrap_or_default()
    }

    fn sound(&self) -> Result<(), StoreFault> {
        if *self.damaged.borrow() { Err(StoreFault("damaged: 0007.redb".into())) } else { Ok(()) }
    }
}

impl StoreReader for Memory {
    fn entity(&self, address: &Address) -> Result<Option<EntityRecord>, StoreFault> {
        self.sound()?;
        Ok(self.entities.borrow().get(address).map(|stored| EntityRecord {
            last_sequence: SequenceNumber(stored.last),
            life_begins_after: SequenceNumber(stored.life_after),
            first_stored: SequenceNumber(stored.first),
        }))
    }

    fn snapshot(
        &self,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Result<Option<StoredSnapshot>, StoreFault> {
        self.sound()?;
        let entities = self.entities.borrow();
        let Some(stored) = entities.get(address) else { return Ok(None) };
        Ok(stored.snapshots.range(..=at_most.get()).next_back().map(|(_, view)| view.clone()))
    }

    fn events(
        &self,
        address: &Address,
        from: SequenceNumber,
        to: SequenceNumber,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Event>, StoreFault> {
        self.sound()?;
        let entities = self.entities.borrow();
        let Some(stored) = entities.get(address) else { return Ok(vec![]) };
        if from <= to && !stored.events.contains_key(&from.get()) {
            return Err(StoreFault(format!("event {from} is missing")));
        }
        let mut bytes = 0;
        let range = stored.events.range(from.get()..=to.get()).take(count_max);
        let fitting = range.take_while(|(sequence, event)| {
            bytes += event.size();
            **sequence == from.get() || bytes <= bytes_max
        });
        Ok(fitting.map(|(_, event)| event.clone()).collect())
    }

    fn reply(
        &self,
        address: &Address,
        request: &RequestId,
    ) -> Result<Option<RecordedReply>, StoreFault> {
        self.sound()?;
        let entities = self.entities.borrow();
        let reply = entities.get(address).and_then(|stored| stored.replies.get(request));
        Ok(reply.cloned())
    }
}
