//! Reading a store. Readers see what is applied, and never wait for the writer.

use std::sync::Arc;

use redb::{ReadableDatabase, ReadableTableMetadata};
use stead_model::{
    Address, EntityId, EntityType, Event, RequestDigest, RequestId, SequenceNumber, TimestampMs,
    TypeVersion,
};

use super::{Store, Trouble, apply::last_sequence, tables};
use crate::{
    JournalError,
    format::{
        Kind,
        store::{EntityRow, EventRow, ReplyRow, SnapshotRow},
        unseal,
    },
};

/// What the store knows of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityRecord {
    /// Its last event's number.
    pub last_sequence: SequenceNumber,
    /// The last number of its earlier lives.
    pub life_begins_after: SequenceNumber,
    /// The lowest number still stored.
    pub first_stored: SequenceNumber,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub sequence: SequenceNumber,
    /// When it was recorded.
    pub at: TimestampMs,
    /// The version of the type that recorded it.
    pub version: TypeVersion,
    /// Its kind.
    pub name: String,
    /// Its data.
    pub body: Vec<u8>,
}

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotView {
    /// The last event that it holds.
    pub sequence: SequenceNumber,
    /// When it was taken.
    pub at: TimestampMs,
    /// The version of the type that made it.
    pub version: TypeVersion,
    /// The state.
    pub state: Vec<u8>,
}

/// A reply that is kept for retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReply {
    /// What the request was.
    pub digest: RequestDigest,
    /// The reply.
    pub reply: Vec<u8>,
    /// The entity's last number after it.
    pub sequence: SequenceNumber,
    /// Until when it is kept.
    pub expires: TimestampMs,
}

/// Reads one partition's store. Cheap to clone.
#[derive(Clone)]
pub struct StoreReader(pub(crate) Arc<Store>);

impl StoreReader {
    fn read<T>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, Trouble>,
    ) -> Result<T, JournalError> {
        let open = self.0.opened()?;
        self.0.guarded(|| work(&open.database().begin_read()?))
    }

    /// What is known of an entity; `None` if it never recorded anything.
    ///
    /// # Errors
    /// If the store is damaged or has failed.
    pub fn entity(&self, address: &Address) -> Result<Option<EntityRecord>, JournalError> {
        self.read(|read| {
            let Some(row) = entity(read, address)? else { return Ok(None) };
            let last = last_sequence(&read.open_table(tables::EVENTS)?, &row)?;
            Ok(Some(EntityRecord {
                last_sequence: SequenceNumber(last),
                life_begins_after: SequenceNumber(row.life_begins_after),
                first_stored: SequenceNumber(row.first_stored),
            }))
        })
    }

    /// The newest snapshot of an entity's present life at or below a number.
    ///
    /// # Errors
    /// As [`Self::entity`].
    pub fn snapshot(
        &self,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Result<Option<SnapshotView>, JournalError> {
        self.read(|read| {
            let Some(row) = entity(read, address)? else { return Ok(None) };
            let table = read.open_table(tables::SNAPSHOTS)?;
            let from = (row.ordinal, row.life_begins_after + 1);
            let to = (row.ordinal, at_most.get());
            if from > to {
                return Ok(None);
            }
            let Some(found) = table.range(from..=to)?.next_back() else { return Ok(None) };
            let (key, value) = found?;
            let (ordinal, sequence) = key.value();
            let sealed_key = tables::pair(ordinal, sequence);
            let row: SnapshotRow<'_> =
                unseal(Kind::Snapshot, &sealed_key, value.value()).map_err(|flaw| {
                    Trouble::Flaw {
                        table: "snapshots",
                        key: format!("{address} at {sequence}"),
                        flaw,
                    }
                })?;
            Ok(Some(SnapshotView {
                sequence: SequenceNumber(sequence),
                at: TimestampMs(row.at),
                version: TypeVersion(row.version),
                state: row.state.0.to_vec(),
            }))
        })
    }

    /// Events from `from` to `to`, both included: as many as fit in both bounds,
    /// and at least one if there is one and the count allows it.
    ///
    /// # Errors
    /// As [`Self::entity`]; also if an event between two others is missing.
    pub fn events(
        &self,
        address: &Address,
        from: SequenceNumber,
        to: SequenceNumber,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredEvent>, JournalError> {
        let mut events = Vec::new();
        self.each_event(address, from, to, count_max, bytes_max, |sequence, row| {
            events.push(StoredEvent {
                sequence: SequenceNumber(sequence),
                at: TimestampMs(row.at),
                version: TypeVersion(row.version),
                name: row.name.to_owned(),
                body: row.body.0.to_vec(),
            });
        })?;
        Ok(events)
    }

    /// The same as the entity's code folds them.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn replay(
        &self,
        address: &Address,
        from: SequenceNumber,
        to: SequenceNumber,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Event>, JournalError> {
        let mut events = Vec::new();
        self.each_event(address, from, to, count_max, bytes_max, |_, row| {
            events.push(Event { name: row.name.to_owned(), body: row.body.0.to_vec() });
        })?;
        Ok(events)
    }

    fn each_event(
        &self,
        address: &Address,
        from: SequenceNumber,
        to: SequenceNumber,
        count_max: usize,
        bytes_max: usize,
        mut each: impl FnMut(u64, EventRow<'_>),
    ) -> Result<(), JournalError> {
        self.read(|read| {
            let Some(entity) = entity(read, address)? else { return Ok(()) };
            let from = from.get().max(entity.first_stored);
            if from > to.get() || count_max == 0 {
                return Ok(());
            }
            let table = read.open_table(tables::EVENTS)?;
            let range = table.range((entity.ordinal, from)..=(entity.ordinal, to.get()))?;
            let mut bytes = 0;
            for (expected, found) in (from..=to.get()).zip(range.take(count_max)) {
                let (key, value) = found?;
                let (ordinal, sequence) = key.value();
                if sequence != expected {
                    return Err(Trouble::Damage {
                        place: "table events".into(),
                        what: format!("event {expected} of {address} is missing"),
                    });
                }
                let sealed_key = tables::pair(ordinal, sequence);
                let row: EventRow<'_> =
                    unseal(Kind::Event, &sealed_key, value.value()).map_err(|flaw| {
                        Trouble::Flaw {
                            table: "events",
                            key: format!("{address} at {sequence}"),
                            flaw,
                        }
                    })?;
                bytes += row.name.len() + row.body.0.len();
                if bytes > bytes_max && expected > from {
                    break;
                }
                each(sequence, row);
            }
            Ok(())
        })
    }

    /// The reply that is kept under a request id.
    ///
    /// It is surely there until an entry's time has reached its `expires`, and
    /// is forgotten bit by bit by entries after that: in a partition where
    /// nothing happens it stays, and so do the newest under minted ids. Replicas must forget alike, so no clock is
    /// asked here. Whoever has one, and must not serve what has expired, looks
    /// at [`RecordedReply::expires`]; to serve it is harmless but for a key used
    /// again with another request.
    ///
    /// # Errors
    /// As [`Self::entity`].
    pub fn reply(
        &self,
        address: &Address,
        request: &RequestId,
    ) -> Result<Option<RecordedReply>, JournalError> {
        self.read(|read| {
            let Some(entity) = entity(read, address)? else { return Ok(None) };
            let ordinal = entity.ordinal;
            let flaw = |flaw| Trouble::Flaw {
                table: "replies",
                key: format!("{address} {request}"),
                flaw,
            };
            let under_key = |key: &str| -> Result<Option<RecordedReply>, Trouble> {
                let table = read.open_table(tables::CALLER_REPLIES)?;
                let Some(row) = table.get((ordinal, key))? else { return Ok(None) };
                let sealed_key = tables::caller_key(ordinal, key);
                let row = unseal(Kind::CallerReply, &sealed_key, row.value()).map_err(flaw)?;
                Ok(Some(record(row)))
            };
            let id = match request {
                RequestId::Caller(key) => return under_key(key),
                RequestId::Minted(id) => *id,
            };
            let table = read.open_table(tables::MINTED_REPLIES)?;
            let minted = match table.get((id, ordinal))? {
                Some(row) => {
                    let sealed_key = tables::minted_key(id, ordinal);
                    let row = unseal(Kind::MintedReply, &sealed_key, row.value()).map_err(flaw)?;
                    Some(record(row))
                }
                None => None,
            };
            // One that came long after it was minted is kept under its text.
            let late = under_key(&request.to_string())?;
            Ok(minted.into_iter().chain(late).max_by_key(|reply| reply.expires))
        })
    }

    /// Entities of a type, after an id, in the order of their ids.
    ///
    /// # Errors
    /// As [`Self::entity`].
    pub fn entities(
        &self,
        entity_type: &EntityType,
        after: Option<&EntityId>,
        count_max: usize,
    ) -> Result<Vec<EntityId>, JournalError> {
        let mut from = entity_type.as_str().as_bytes().to_vec();
        from.push(0);
        let prefix = from.len();
        let mut end = from.clone();
        if let Some(last) = end.last_mut() {
            *last = 1;
        }
        if let Some(after) = after {
            // An id has no control characters, so this is right behind it.
            from.extend_from_slice(after.as_str().as_bytes());
            from.push(0);
        }
        self.read(|read| {
            let table = read.open_table(tables::ENTITIES)?;
            let mut ids = Vec::new();
            for row in table.range(from.as_slice()..end.as_slice())?.take(count_max) {
                let key = row?.0;
                let id = key.value().get(prefix..).and_then(|id| std::str::from_utf8(id).ok());
                let id = id.and_then(|id| EntityId::new(id).ok());
                ids.push(id.ok_or_else(|| Trouble::Damage {
                    place: "table entities".into(),
                    what: "a key is no address".into(),
                })?);
            }
            Ok(ids)
        })
    }

    /// How many entities and events there are.
    ///
    /// # Errors
    /// As [`Self::entity`].
    pub fn counts(&self) -> Result<(u64, u64), JournalError> {
        self.read(|read| {
            let entities = read.open_table(tables::ENTITIES)?.len()?;
            let events = read.open_table(tables::EVENTS)?.len()?;
            Ok((entities, events))
        })
    }
}

fn record(row: ReplyRow<'_>) -> RecordedReply {
    RecordedReply {
        digest: RequestDigest(row.digest.into()),
        reply: row.reply.0.to_vec(),
        sequence: SequenceNumber(row.sequence),
        expires: TimestampMs(row.expires),
    }
}

fn entity(read: &redb::ReadTransaction, address: &Address) -> Result<Option<EntityRow>, Trouble> {
    let key = tables::entity_key(address);
    let table = read.open_table(tables::ENTITIES)?;
    let Some(row) = table.get(key.as_slice())? else { return Ok(None) };
    unseal(Kind::Entity, &key, row.value()).map(Some).map_err(|flaw| Trouble::Flaw {
        table: "entities",
        key: address.to_string(),
        flaw,
    })
}
