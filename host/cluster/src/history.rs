//! Reading what the journal holds of an entity.

use std::ops::RangeInclusive;

use stead_journal::{EntityRecord, JournalError, StoreReader};
use stead_model::{Address, EntityId, EntityType, SequenceNumber};

use crate::{
    api::{CallError, EventPage, SnapshotView, StoredEvent},
    calls::unavailable,
};

/// The most bytes of events in one page; at least one event is always given.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// Reads on a thread that may block.
pub async fn read<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, CallError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(unavailable(error.to_string())),
        Err(error) => Err(unavailable(format!("the reading was broken off: {error}"))),
    }
}

/// A part of an entity's history.
pub fn page(
    reader: &StoreReader,
    address: &Address,
    range: &RangeInclusive<u64>,
    count_max: usize,
) -> Result<EventPage, JournalError> {
    let Some(record) = reader.entity(address)? else { return Ok(EventPage::default()) };
    let from = SequenceNumber((*range.start()).max(record.first_stored.get()));
    let to = SequenceNumber((*range.end()).min(record.last_sequence.get()));
    let events = if from > to || count_max == 0 {
        Vec::new()
    } else {
        reader.events(address, from, to, count_max, PAGE_BYTES_MAX)?
    };
    let events = events.into_iter().map(|event| StoredEvent {
        sequence: event.sequence,
        name: event.name,
        at: event.at,
        version: event.version,
        body: event.body,
    });
    Ok(EventPage {
        events: events.collect(),
        last_sequence: record.last_sequence,
        first_stored: record.first_stored,
        life_begins_after: record.life_begins_after,
    })
}

/// The newest snapshot of an entity's present life.
pub fn newest_snapshot(
    reader: &StoreReader,
    address: &Address,
) -> Result<Option<SnapshotView>, JournalError> {
    let snapshot = reader.snapshot(address, SequenceNumber(u64::MAX))?;
    Ok(snapshot.map(|snapshot| SnapshotView {
        sequence: snapshot.sequence,
        version: snapshot.version,
        at: snapshot.at,
        state: snapshot.state,
    }))
}

/// What the store knows of an entity, and the number of its newest snapshot.
pub fn standing(
    reader: &StoreReader,
    address: &Address,
) -> Result<(Option<EntityRecord>, Option<SequenceNumber>), JournalError> {
    let snapshot = reader.snapshot(address, SequenceNumber(u64::MAX))?;
    Ok((reader.entity(address)?, snapshot.map(|snapshot| snapshot.sequence)))
}

/// Entities of a type over all partitions, in order of their ids.
pub fn entities(
    readers: &[StoreReader],
    entity_type: &EntityType,
    after: Option<&EntityId>,
    count_max: usize,
) -> Result<Vec<EntityId>, JournalError> {
    let mut ids = Vec::new();
    for reader in readers {
        ids.extend(reader.entities(entity_type, after, count_max)?);
    }
    ids.sort_unstable();
    ids.truncate(count_max);
    Ok(ids)
}
