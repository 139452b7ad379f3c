//! An entry, as a record of the log says it.

use serde::{Deserialize, Serialize};
use stead_model::{
    Address, Effect, EntityId, EntityType, Entry, Event, Item, Lifecycle, LogIndex, OutcomeItem,
    PartitionId, RequestDigest, RequestId, SequenceNumber, SnapshotItem, Term, TimestampMs,
    TypeVersion,
};

use super::{Bytes, Flaw, Wide};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntryRecord<'a> {
    partition: u16,
    term: u64,
    index: u64,
    at: u64,
    #[serde(borrow)]
    items: Vec<ItemRecord<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
enum ItemRecord<'a> {
    #[serde(borrow)]
    Outcome(OutcomeRecord<'a>),
    #[serde(borrow)]
    Snapshot(SnapshotRecord<'a>),
    #[serde(borrow)]
    Members(Bytes<'a>),
}

#[derive(Debug, Serialize, Deserialize)]
struct OutcomeRecord<'a> {
    entity_type: &'a str,
    id: &'a str,
    version: u32,
    #[serde(borrow)]
    request: RequestRecord<'a>,
    digest: Wide,
    expires: u64,
    first_sequence: u64,
    #[serde(borrow)]
    events: Vec<NamedRecord<'a>>,
    #[serde(borrow)]
    reply: Bytes<'a>,
    lifecycle: LifecycleRecord,
    #[serde(borrow)]
    effects: Vec<NamedRecord<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SnapshotRecord<'a> {
    entity_type: &'a str,
    id: &'a str,
    version: u32,
    sequence: u64,
    #[serde(borrow)]
    state: Bytes<'a>,
    drop_events_through: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
enum RequestRecord<'a> {
    Caller(&'a str),
    Minted(Wide),
}

/// An event or an effect.
#[derive(Debug, Serialize, Deserialize)]
struct NamedRecord<'a> {
    name: &'a str,
    #[serde(borrow)]
    body: Bytes<'a>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum LifecycleRecord {
    Continues,
    EndsKeepingEvents,
    EndsPurgingEvents,
}

pub(super) fn entry_record(entry: &Entry) -> EntryRecord<'_> {
    EntryRecord {
        partition: entry.partition.get(),
        term: entry.term.get(),
        index: entry.index.get(),
        at: entry.at.get(),
        items: entry.items.iter().map(item_record).collect(),
    }
}

fn item_record(item: &Item) -> ItemRecord<'_> {
    match item {
        Item::Outcome(outcome) => ItemRecord::Outcome(OutcomeRecord {
            entity_type: outcome.address.entity_type.as_str(),
            id: outcome.address.id.as_str(),
            version: outcome.version.get(),
            request: match &outcome.request {
                RequestId::Caller(key) => RequestRecord::Caller(key),
                RequestId::Minted(id) => RequestRecord::Minted((*id).into()),
            },
            digest: outcome.digest.0.into(),
            expires: outcome.expires.get(),
            first_sequence: outcome.first_sequence.get(),
            events: outcome.events.iter().map(|e| named(&e.name, &e.body)).collect(),
            reply: Bytes(&outcome.reply),
            lifecycle: match outcome.lifecycle {
                Lifecycle::Continues => LifecycleRecord::Continues,
                Lifecycle::EndsKeepingEvents => LifecycleRecord::EndsKeepingEvents,
                Lifecycle::EndsPurgingEvents => LifecycleRecord::EndsPurgingEvents,
            },
            effects: outcome.effects.iter().map(|e| named(&e.kind, &e.body)).collect(),
        }),
        Item::Snapshot(snapshot) => ItemRecord::Snapshot(SnapshotRecord {
            entity_type: snapshot.address.entity_type.as_str(),
            id: snapshot.address.id.as_str(),
            version: snapshot.version.get(),
            sequence: snapshot.sequence.get(),
            state: Bytes(&snapshot.state),
            drop_events_through: snapshot.drop_events_through.map(SequenceNumber::get),
        }),
        Item::Members(members) => ItemRecord::Members(Bytes(members)),
    }
}

fn named<'a>(name: &'a str, body: &'a [u8]) -> NamedRecord<'a> {
    NamedRecord { name, body: Bytes(body) }
}

pub(super) fn entry_of(record: EntryRecord<'_>) -> Result<Entry, Flaw> {
    Ok(Entry {
        partition: PartitionId(record.partition),
        term: Term(record.term),
        index: LogIndex(record.index),
        at: TimestampMs(record.at),
        items: record.items.into_iter().map(item_of).collect::<Result<_, _>>()?,
    })
}

fn item_of(record: ItemRecord<'_>) -> Result<Item, Flaw> {
    Ok(match record {
        ItemRecord::Outcome(outcome) => Item::Outcome(OutcomeItem {
            address: address_of(outcome.entity_type, outcome.id)?,
            version: TypeVersion(outcome.version),
            request: match outcome.request {
                RequestRecord::Caller(key) => RequestId::Caller(key.into()),
                RequestRecord::Minted(id) => RequestId::Minted(id.into()),
            },
            digest: RequestDigest(outcome.digest.into()),
            expires: TimestampMs(outcome.expires),
            first_sequence: SequenceNumber(outcome.first_sequence),
            events: outcome
                .events
                .into_iter()
                .map(|e| Event { name: e.name.to_owned(), body: e.body.0.to_vec() })
                .collect(),
            reply: outcome.reply.0.to_vec(),
            lifecycle: match outcome.lifecycle {
                LifecycleRecord::Continues => Lifecycle::Continues,
                LifecycleRecord::EndsKeepingEvents => Lifecycle::EndsKeepingEvents,
                LifecycleRecord::EndsPurgingEvents => Lifecycle::EndsPurgingEvents,
            },
            effects: outcome
                .effects
                .into_iter()
                .map(|e| Effect { kind: e.name.to_owned(), body: e.body.0.to_vec() })
                .collect(),
        }),
        ItemRecord::Snapshot(snapshot) => Item::Snapshot(SnapshotItem {
            address: address_of(snapshot.entity_type, snapshot.id)?,
            version: TypeVersion(snapshot.version),
            sequence: SequenceNumber(snapshot.sequence),
            state: snapshot.state.0.to_vec(),
            drop_events_through: snapshot.drop_events_through.map(SequenceNumber),
        }),
        ItemRecord::Members(members) => Item::Members(members.0.to_vec()),
    })
}

fn address_of(entity_type: &str, id: &str) -> Result<Address, Flaw> {
    let parts = EntityType::new(entity_type).and_then(|t| Ok(Address::new(t, EntityId::new(id)?)));
    parts.map_err(|error| Flaw::Encoding(error.to_string()))
}
