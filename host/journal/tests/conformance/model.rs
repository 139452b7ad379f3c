//! The journal as maps in memory: what it is to do, as plainly as it can be said.
//! What it does bit by bit (deleting dropped events, forgetting replies that
//! have expired) is done at once here.

use std::collections::BTreeMap;

use stead_journal::{EntityRecord, JournalError, RecordedReply, SnapshotView, StoredEvent};
use stead_model::{
    Address, EntityId, EntityType, Entry, Item, Lifecycle, LogIndex, OutcomeItem, PartitionId,
    RequestId, SequenceNumber, SnapshotItem, Term, TimestampMs,
};

use crate::{
    planted::Defect,
    subject::{Bounds, PARTITIONS, Reopening, Subject},
};

/// A journal in memory.
#[derive(Debug, Default, Clone)]
pub(crate) struct Model {
    partitions: BTreeMap<PartitionId, Partition>,
    /// What it does wrong, on purpose.
    pub(crate) defect: Option<Defect>,
}

#[derive(Debug, Default, Clone)]
struct Partition {
    term: Term,
    index: LogIndex,
    entities: BTreeMap<Address, Entity>,
    replies: BTreeMap<(Address, RequestId), RecordedReply>,
    /// The latest time of an entry.
    time: TimestampMs,
}

#[derive(Debug, Default, Clone)]
struct Entity {
    last: u64,
    life_begins_after: u64,
    first_stored: u64,
    events: BTreeMap<u64, StoredEvent>,
    snapshots: BTreeMap<u64, SnapshotView>,
}

impl Model {
    pub(crate) fn with(defect: Defect) -> Self {
        Self { defect: Some(defect), ..Self::default() }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(&partition)
    }

    fn of(&self, partition: PartitionId, address: &Address) -> Option<&Entity> {
        self.partition(partition)?.entities.get(address)
    }

    /// The latest time that the partition's entries tell.
    pub(crate) fn time(&self, partition: PartitionId) -> TimestampMs {
        self.partition(partition).map(|found| found.time).unwrap_or_default()
    }

    /// The numbers at which an entity has snapshots.
    pub(crate) fn snapshots(&self, partition: PartitionId, address: &Address) -> Vec<u64> {
        self.of(partition, address)
            .map(|entity| entity.snapshots.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Takes an entry in whole or not at all.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let (partition, index) = (entry.partition, entry.index);
        let inconsistent =
            |what: &str| JournalError::Inconsistent { partition, index, what: what.into() };
        if partition.get() >= PARTITIONS {
            return Err(inconsistent("no such partition"));
        }
        let defect = self.defect;
        let target = self.partitions.entry(partition).or_default();
        if index != target.index.next() && defect != Some(Defect::GapsTaken) {
            return Err(inconsistent("a gap"));
        }
        if entry.term < target.term && defect != Some(Defect::OldTermsTaken) {
            return Err(inconsistent("an old term"));
        }
        for item in &entry.items {
            match item {
                Item::Outcome(outcome) => target.outcome(entry.at, outcome, defect),
                Item::Snapshot(snapshot) => target.snapshot(entry.at, snapshot, defect),
                Item::Members(_) => {}
            }
        }
        if defect != Some(Defect::RepliesNeverExpire) {
            target.replies.retain(|_, reply| reply.expires > entry.at);
        }
        (target.term, target.index) = (entry.term, index);
        target.time = target.time.max(entry.at);
        Ok(())
    }
}

impl Partition {
    fn outcome(&mut self, at: TimestampMs, outcome: &OutcomeItem, defect: Option<Defect>) {
        let has = |wanted| defect == Some(wanted);
        let first = Entity { first_stored: 1, ..Entity::default() };
        let entity = self.entities.entry(outcome.address.clone()).or_insert(first);
        let half = has(Defect::HalfOfABatch) && outcome.events.len() > 2;
        let count = if half { outcome.events.len() - 1 } else { outcome.events.len() };
        for event in outcome.events.iter().take(count) {
            entity.last += 1;
            let stored = StoredEvent {
                sequence: SequenceNumber(entity.last),
                at: if has(Defect::TimesLost) { TimestampMs(0) } else { at },
                version: outcome.version,
                name: event.name.clone(),
                body: event.body.clone(),
            };
            entity.events.insert(entity.last, stored);
        }
        let reply = RecordedReply {
            digest: outcome.digest,
            reply: outcome.reply.clone(),
            sequence: SequenceNumber(entity.last),
            expires: outcome.expires,
        };
        let whose = if has(Defect::RequestsOfAllEntitiesAlike) {
            "any/one".parse().expect("an address")
        } else {
            outcome.address.clone()
        };
        let is_minted = matches!(outcome.request, RequestId::Minted(_));
        if !(has(Defect::EmptyRepliesNotKept) && reply.reply.is_empty()
            || has(Defect::MintedRepliesNotKept) && is_minted)
        {
            self.replies.insert((whose, outcome.request.clone()), reply);
        }
        if outcome.lifecycle.ends() {
            entity.end(outcome.lifecycle, defect);
            if has(Defect::RepliesEndWithTheLife) {
                self.replies.retain(|(address, _), _| *address != outcome.address);
            }
        }
    }

    fn snapshot(&mut self, at: TimestampMs, snapshot: &SnapshotItem, defect: Option<Defect>) {
        let has = |wanted| defect == Some(wanted);
        let Some(entity) = self.entities.get_mut(&snapshot.address) else { return };
        let sequence = snapshot.sequence.get();
        let stale = sequence <= entity.life_begins_after && !has(Defect::OldLivesSnapshotsTaken);
        let ahead = sequence > entity.last && !has(Defect::SnapshotsAheadTaken);
        if stale || ahead {
            return;
        }
        let view = SnapshotView {
            sequence: snapshot.sequence,
            at,
            version: snapshot.version,
            state: snapshot.state.clone(),
        };
        if has(Defect::SnapshotsNotOverwritten) {
            entity.snapshots.entry(sequence).or_insert(view);
        } else {
            entity.snapshots.insert(sequence, view);
        }
        let kept = match defect {
            Some(Defect::OneSnapshotKept) => 1,
            Some(Defect::ThreeSnapshotsKept) => 3,
            _ => 2,
        };
        while entity.snapshots.len() > kept {
            entity.snapshots.pop_first();
        }
        if let Some(through) = snapshot.drop_events_through {
            let capped = if has(Defect::DropsPastTheSnapshot) { entity.last } else { sequence };
            entity.drop_through(through.get().min(capped), defect);
        }
    }
}

impl Entity {
    fn end(&mut self, lifecycle: Lifecycle, defect: Option<Defect>) {
        if defect != Some(Defect::SnapshotsOutliveTheLife) {
            self.snapshots.clear();
        }
        self.life_begins_after = self.last;
        if lifecycle == Lifecycle::EndsPurgingEvents {
            self.drop_through(self.last, defect);
            if defect == Some(Defect::NumbersRestart) {
                *self = Self { first_stored: 1, ..Self::default() };
            }
        } else if defect == Some(Defect::EveryEndPurges) {
            self.drop_through(self.last, defect);
        }
    }

    fn drop_through(&mut self, through: u64, defect: Option<Defect>) {
        if defect == Some(Defect::DroppedStayVisible) || through < self.first_stored {
            return;
        }
        self.first_stored = through + 1;
        self.events = self.events.split_off(&self.first_stored);
    }
}

impl Subject for Model {
    fn append(&mut self, entry: Entry) -> Result<(), JournalError> {
        self.apply(&entry)
    }

    fn append_all(&mut self, entries: Vec<Entry>) -> Vec<Result<(), JournalError>> {
        entries.iter().map(|entry| self.apply(entry)).collect()
    }

    fn append_and_reopen(&mut self, entries: Vec<Entry>, how: Reopening) {
        self.append_all(entries);
        self.reopen(how);
    }

    fn head(&self, partition: PartitionId) -> (Term, LogIndex) {
        self.partition(partition).map(|found| (found.term, found.index)).unwrap_or_default()
    }

    fn reopen(&mut self, how: Reopening) {
        if self.has(Defect::RepliesLostByReopening) {
            self.partitions.values_mut().for_each(|partition| partition.replies.clear());
        }
        if self.has(Defect::EmptyCommandsLostByKill) && how == Reopening::Killed {
            let partitions = self.partitions.values_mut();
            partitions.for_each(|found| found.entities.retain(|_, entity| entity.last > 0));
        }
    }

    fn entity(&self, partition: PartitionId, address: &Address) -> Option<EntityRecord> {
        let entity = self.of(partition, address)?;
        Some(EntityRecord {
            last_sequence: SequenceNumber(entity.last),
            life_begins_after: SequenceNumber(entity.life_begins_after),
            first_stored: SequenceNumber(entity.first_stored),
        })
    }

    fn snapshot(
        &self,
        partition: PartitionId,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Option<SnapshotView> {
        let snapshots = &self.of(partition, address)?.snapshots;
        let below = snapshots.range(..=at_most.get());
        if self.has(Defect::SnapshotBoundIgnored) {
            return snapshots.values().next_back().cloned();
        }
        let mut below = below.map(|(_, view)| view.clone());
        if self.has(Defect::OldestSnapshotFirst) { below.next() } else { below.next_back() }
    }

    fn events(
        &self,
        partition: PartitionId,
        address: &Address,
        bounds: Bounds,
    ) -> Vec<StoredEvent> {
        let Some(entity) = self.of(partition, address) else { return Vec::new() };
        let above = u64::from(self.has(Defect::LowerBoundExcluded));
        let below = u64::from(self.has(Defect::UpperBoundExcluded));
        let from = bounds.from.saturating_add(above);
        let to = bounds.to.saturating_sub(below);
        if from > to {
            return Vec::new();
        }
        let count_max = match self.defect {
            Some(Defect::CountIgnored) => usize::MAX,
            _ => bounds.count_max,
        };
        let mut bytes = 0_usize;
        let mut found: Vec<StoredEvent> = Vec::new();
        for event in entity.events.range(from..=to).map(|(_, event)| event).take(count_max) {
            bytes = bytes.saturating_add(event.name.len() + event.body.len());
            let first = found.is_empty() && !self.has(Defect::FirstEventMustFit);
            if bytes > bounds.bytes_max && !first && !self.has(Defect::BytesIgnored) {
                break;
            }
            found.push(event.clone());
        }
        found
    }

    fn reply(
        &self,
        partition: PartitionId,
        address: &Address,
        request: &RequestId,
    ) -> Option<RecordedReply> {
        let whose = if self.has(Defect::RequestsOfAllEntitiesAlike) {
            "any/one".parse().expect("an address")
        } else {
            address.clone()
        };
        self.partition(partition)?.replies.get(&(whose, request.clone())).cloned()
    }

    fn entities(
        &self,
        partition: PartitionId,
        entity_type: &EntityType,
        after: Option<&EntityId>,
        count_max: usize,
    ) -> Vec<EntityId> {
        let Some(found) = self.partition(partition) else { return Vec::new() };
        let ids = found.entities.keys().filter(|address| {
            let alike = if self.has(Defect::TypesByPrefix) {
                address.entity_type.as_str().starts_with(entity_type.as_str())
            } else {
                address.entity_type == *entity_type
            };
            let behind = after.is_none_or(|after| match self.defect {
                Some(Defect::PagesOverlap) => address.id >= *after,
                Some(Defect::PagesSkipPrefixed) => {
                    address.id > *after && !address.id.as_str().starts_with(after.as_str())
                }
                _ => address.id > *after,
            });
            alike && behind
        });
        ids.take(count_max).map(|address| address.id.clone()).collect()
    }

    fn counts(&self, partition: PartitionId) -> (u64, u64) {
        let Some(found) = self.partition(partition) else { return (0, 0) };
        let events: usize = found.entities.values().map(|entity| entity.events.len()).sum();
        (found.entities.len() as u64, events as u64)
    }
}
