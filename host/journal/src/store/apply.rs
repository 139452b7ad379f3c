//! Applying entries. Deterministic: what it does depends on the entries and the
//! rows alone, so that replicas stay equal.

use std::collections::HashMap;

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};
use stead_model::{
    Address, Entry, Item, Lifecycle, LogIndex, LogPosition, OutcomeItem, RequestId, SequenceNumber,
    SnapshotItem, TimestampMs,
};

use super::{StoredMembers, Trouble, tables};
use crate::format::{
    Bytes, Kind, seal,
    store::{EntityRow, EventRow, PurgeRow, ReplyRow, SnapshotRow, StateRow},
    unseal,
};

/// Snapshots that are kept of an entity's life.
const SNAPSHOTS_KEPT: usize = 2;
/// Expired replies that are forgotten with each item of an entry, at most.
const EXPIRED_PER_ITEM: usize = 4;
/// How far the time in a minted id may be from that of the entry. What is
/// farther off was not minted for it, and would lie in the way of those that
/// are forgotten in the order of their ids; it is kept as a caller's own key.
const MINTED_SKEW_MS: u64 = 60_000;
/// How many of the newest replies under minted ids are kept though they have expired.
/// A leader whose clock is ahead of the last one's by more than the retention may
/// otherwise forget a reply while the node that took the command still asks for it, and
/// have it done again.
pub const MINTED_KEPT: u64 = 256;
/// How much longer, for the same reason, replies are kept under ids that were minted far
/// off in time; in milliseconds.
pub const FAR_OFF_KEPT_MS: u64 = 60 * 60 * 1_000;
/// Dropped events that are deleted with each item of an entry, at most.
const PURGED_PER_ITEM: u64 = 64;

/// An entity's row, and its last sequence number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    row: EntityRow,
    last: u64,
}

/// The tables of one transaction.
pub(super) struct Applier<'t> {
    state: StateRow,
    standings: &'t mut HashMap<Address, Standing>,
    state_table: Table<'t, (), &'static [u8]>,
    entities: Table<'t, &'static [u8], &'static [u8]>,
    events: Table<'t, (u64, u64), &'static [u8]>,
    snapshots: Table<'t, (u64, u64), &'static [u8]>,
    caller_replies: Table<'t, (u64, &'static str), &'static [u8]>,
    minted_replies: Table<'t, (u128, u64), &'static [u8]>,
    expiry: Table<'t, (u64, u64, &'static str), ()>,
    purges: Table<'t, u64, &'static [u8]>,
    bytes: u64,
    /// The last members that an entry named.
    members: Option<StoredMembers>,
}

impl<'t> Applier<'t> {
    pub(super) fn open(
        write: &'t WriteTransaction,
        state: StateRow,
        standings: &'t mut HashMap<Address, Standing>,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            state,
            standings,
            state_table: write.open_table(tables::STATE)?,
            entities: write.open_table(tables::ENTITIES)?,
            events: write.open_table(tables::EVENTS)?,
            snapshots: write.open_table(tables::SNAPSHOTS)?,
            caller_replies: write.open_table(tables::CALLER_REPLIES)?,
            minted_replies: write.open_table(tables::MINTED_REPLIES)?,
            expiry: write.open_table(tables::EXPIRY)?,
            purges: write.open_table(tables::PURGES)?,
            bytes: 0,
            members: None,
        })
    }

    /// Writes how far it came; the new state, about how much was written, and the
    /// members that are still to be.
    pub(super) fn finish(mut self) -> Result<(StateRow, u64, Option<StoredMembers>), Trouble> {
        let row = seal(Kind::StoreState, &[], &self.state);
        self.state_table.insert((), row.as_slice())?;
        Ok((self.state, self.bytes, self.members))
    }

    pub(super) fn apply(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let index = entry.index;
        if index.get() <= self.state.index {
            return Ok(());
        }
        if index.get() != self.state.index + 1 || entry.term.get() < self.state.term {
            let what = format!("the store is at entry {}", self.state.index);
            return Err(Trouble::Inconsistent { index, what });
        }
        for item in &entry.items {
            match item {
                Item::Outcome(outcome) => self.outcome(index, entry.at, outcome)?,
                Item::Snapshot(snapshot) => self.snapshot(entry.at, snapshot)?,
                Item::Members(members) => {
                    let position = LogPosition { term: entry.term, index };
                    self.members = Some(StoredMembers { position, members: members.clone() });
                }
            }
        }
        self.forget_expired(entry.at, entry.items.len() * EXPIRED_PER_ITEM)?;
        self.purge(entry.items.len() as u64 * PURGED_PER_ITEM)?;
        self.state.index = index.get();
        self.state.term = entry.term.get();
        Ok(())
    }

    fn standing(&mut self, address: &Address) -> Result<Option<Standing>, Trouble> {
        if let Some(standing) = self.standings.get(address) {
            return Ok(Some(*standing));
        }
        let key = tables::entity_key(address);
        let Some(row) = self.entities.get(key.as_slice())? else { return Ok(None) };
        let row: EntityRow = unseal(Kind::Entity, &key, row.value())
            .map_err(|flaw| Trouble::Flaw { table: "entities", key: address.to_string(), flaw })?;
        let last = last_sequence(&self.events, &row)?;
        let standing = Standing { row, last };
        self.standings.insert(address.clone(), standing);
        Ok(Some(standing))
    }

    fn put_entity(&mut self, address: &Address, standing: Standing) -> Result<(), Trouble> {
        let key = tables::entity_key(address);
        let row = EntityRow { last_sequence: standing.last, ..standing.row };
        let sealed = seal(Kind::Entity, &key, &row);
        self.entities.insert(key.as_slice(), sealed.as_slice())?;
        self.standings.insert(address.clone(), Standing { row, last: standing.last });
        Ok(())
    }

    fn outcome(
        &mut self,
        index: LogIndex,
        at: TimestampMs,
        outcome: &OutcomeItem,
    ) -> Result<(), Trouble> {
        let address = &outcome.address;
        let known = self.standing(address)?;
        let mut standing = match known {
            Some(standing) => standing,
            None => {
                let ordinal = self.state.next_ordinal;
                self.state.next_ordinal += 1;
                let row =
                    EntityRow { ordinal, last_sequence: 0, life_begins_after: 0, first_stored: 1 };
                Standing { row, last: 0 }
            }
        };
        if outcome.first_sequence.get() != standing.last + 1 {
            let what = format!(
                "the events of {address} go on at {}, not at {}",
                standing.last + 1,
                outcome.first_sequence
            );
            return Err(Trouble::Inconsistent { index, what });
        }
        let ordinal = standing.row.ordinal;
        for event in &outcome.events {
            standing.last += 1;
            let row = EventRow {
                at: at.get(),
                version: outcome.version.get(),
                name: &event.name,
                body: Bytes(&event.body),
            };
            let sealed = seal(Kind::Event, &tables::pair(ordinal, standing.last), &row);
            self.bytes += sealed.len() as u64 + 16;
            self.events.insert((ordinal, standing.last), sealed.as_slice())?;
        }
        self.keep_reply(at, ordinal, standing.last, outcome)?;
        if outcome.lifecycle.ends() {
            self.end_life(&mut standing, outcome.lifecycle)?;
        }
        if known.is_none() || outcome.lifecycle.ends() {
            self.put_entity(address, standing)
        } else {
            self.standings.insert(address.clone(), standing);
            Ok(())
        }
    }

    fn keep_reply(
        &mut self,
        at: TimestampMs,
        ordinal: u64,
        sequence: u64,
        outcome: &OutcomeItem,
    ) -> Result<(), Trouble> {
        let row = ReplyRow {
            ordinal,
            digest: outcome.digest.0.into(),
            sequence,
            expires: outcome.expires.get(),
            reply: Bytes(&outcome.reply),
        };
        match &outcome.request {
            RequestId::Caller(key) => self.keep_under_key(ordinal, key, &row, row.expires)?,
            RequestId::Minted(id) if minted_at(*id).abs_diff(at.get()) > MINTED_SKEW_MS => {
                let until = row.expires.saturating_add(FAR_OFF_KEPT_MS);
                self.keep_under_key(ordinal, &outcome.request.to_string(), &row, until)?;
            }
            RequestId::Minted(id) => {
                let sealed = seal(Kind::MintedReply, &tables::minted_key(*id, ordinal), &row);
                self.bytes += sealed.len() as u64 + 32;
                self.minted_replies.insert((*id, ordinal), sealed.as_slice())?;
            }
        }
        Ok(())
    }

    fn keep_under_key(
        &mut self,
        ordinal: u64,
        key: &str,
        row: &ReplyRow<'_>,
        until: u64,
    ) -> Result<(), Trouble> {
        let sealed = seal(Kind::CallerReply, &tables::caller_key(ordinal, key), row);
        self.bytes += sealed.len() as u64 + 64;
        self.caller_replies.insert((ordinal, key), sealed.as_slice())?;
        self.expiry.insert((until, ordinal, key), ())?;
        Ok(())
    }

    fn end_life(&mut self, standing: &mut Standing, lifecycle: Lifecycle) -> Result<(), Trouble> {
        let ordinal = standing.row.ordinal;
        standing.row.life_begins_after = standing.last;
        let snapshots: Vec<u64> = self.snapshots_of(ordinal)?;
        for sequence in snapshots {
            self.snapshots.remove((ordinal, sequence))?;
        }
        if lifecycle == Lifecycle::EndsPurgingEvents {
            self.drop_events(standing, standing.last)?;
        }
        Ok(())
    }

    fn snapshots_of(&self, ordinal: u64) -> Result<Vec<u64>, Trouble> {
        let range = self.snapshots.range((ordinal, 0)..=(ordinal, u64::MAX))?;
        let sequences = range.map(|row| Ok(row?.0.value().1));
        sequences.collect::<Result<_, redb::StorageError>>().map_err(Trouble::from)
    }

    fn snapshot(&mut self, at: TimestampMs, snapshot: &SnapshotItem) -> Result<(), Trouble> {
        let Some(mut standing) = self.standing(&snapshot.address)? else { return Ok(()) };
        let sequence = snapshot.sequence.get();
        // Of an earlier life, or of more than there is: there is nothing to keep.
        if sequence <= standing.row.life_begins_after || sequence > standing.last {
            return Ok(());
        }
        let ordinal = standing.row.ordinal;
        let row = SnapshotRow {
            at: at.get(),
            version: snapshot.version.get(),
            state: Bytes(&snapshot.state),
        };
        let sealed = seal(Kind::Snapshot, &tables::pair(ordinal, sequence), &row);
        self.bytes += sealed.len() as u64 + 16;
        self.snapshots.insert((ordinal, sequence), sealed.as_slice())?;
        let kept = self.snapshots_of(ordinal)?;
        for old in kept.iter().rev().skip(SNAPSHOTS_KEPT) {
            self.snapshots.remove((ordinal, *old))?;
        }
        if let Some(through) = snapshot.drop_events_through {
            // Never what the snapshot itself doesn't hold.
            let through = through.get().min(sequence);
            if through >= standing.row.first_stored {
                self.drop_events(&mut standing, through)?;
                self.put_entity(&snapshot.address, standing)?;
            }
        }
        Ok(())
    }

    /// Hides events at once; they are deleted bit by bit.
    fn drop_events(&mut self, standing: &mut Standing, through: u64) -> Result<(), Trouble> {
        let from = standing.row.first_stored;
        if from > through {
            return Ok(());
        }
        standing.row.first_stored = through + 1;
        let row = PurgeRow { ordinal: standing.row.ordinal, from, through };
        let number = self.state.next_purge;
        self.state.next_purge += 1;
        let sealed = seal(Kind::Purge, &number.to_be_bytes(), &row);
        self.purges.insert(number, sealed.as_slice())?;
        Ok(())
    }

    fn purge(&mut self, mut left: u64) -> Result<(), Trouble> {
        while left > 0 {
            let first = match self.purges.first()? {
                Some((number, row)) => (number.value(), row.value().to_vec()),
                None => return Ok(()),
            };
            let (number, sealed) = first;
            let mut row: PurgeRow = unseal(Kind::Purge, &number.to_be_bytes(), &sealed)
                .map_err(|flaw| Trouble::Flaw { table: "purges", key: number.to_string(), flaw })?;
            while left > 0 && row.from <= row.through {
                self.events.remove((row.ordinal, row.from))?;
                row.from += 1;
                left -= 1;
            }
            if row.from > row.through {
                self.purges.remove(number)?;
            } else {
                let sealed = seal(Kind::Purge, &number.to_be_bytes(), &row);
                self.purges.insert(number, sealed.as_slice())?;
            }
        }
        Ok(())
    }

    fn forget_expired(&mut self, now: TimestampMs, most: usize) -> Result<(), Trouble> {
        for _ in 0..most {
            let first = match self.expiry.first()? {
                Some((key, _)) => {
                    let (expires, ordinal, key) = key.value();
                    (expires, ordinal, key.to_owned())
                }
                None => break,
            };
            if first.0 > now.get() {
                break;
            }
            self.expiry.remove((first.0, first.1, first.2.as_str()))?;
            // The key may have been used again since; that reply expires later.
            let sealed_key = tables::caller_key(first.1, &first.2);
            let expired = match self.caller_replies.get((first.1, first.2.as_str()))? {
                Some(row) => {
                    reply(Kind::CallerReply, &sealed_key, row.value())?.expires <= now.get()
                }
                None => false,
            };
            if expired {
                self.caller_replies.remove((first.1, first.2.as_str()))?;
            }
        }
        let surplus = self.minted_replies.len()?.saturating_sub(MINTED_KEPT);
        for _ in 0..most.min(usize::try_from(surplus).unwrap_or(usize::MAX)) {
            let first = match self.minted_replies.first()? {
                Some((key, row)) => {
                    let key = key.value();
                    let sealed_key = tables::minted_key(key.0, key.1);
                    let row = reply(Kind::MintedReply, &sealed_key, row.value())?;
                    (row.expires <= now.get()).then_some(key)
                }
                None => None,
            };
            let Some(key) = first else { break };
            self.minted_replies.remove(key)?;
        }
        Ok(())
    }
}

fn reply<'a>(kind: Kind, key: &[u8], row: &'a [u8]) -> Result<ReplyRow<'a>, Trouble> {
    unseal(kind, key, row).map_err(|flaw| Trouble::Flaw {
        table: "replies",
        key: String::from_utf8_lossy(key).into_owned(),
        flaw,
    })
}

/// The time in a minted id, in milliseconds.
fn minted_at(id: u128) -> u64 {
    (id >> 80) as u64
}

/// An entity's last number: that of its last stored event, or what its row says
/// if that is higher, as it is when its events were dropped.
pub(super) fn last_sequence(
    events: &impl ReadableTable<(u64, u64), &'static [u8]>,
    row: &EntityRow,
) -> Result<u64, Trouble> {
    let mut range = events.range((row.ordinal, 0)..=(row.ordinal, u64::MAX))?;
    let last = match range.next_back() {
        Some(found) => found?.0.value().1,
        None => 0,
    };
    Ok(SequenceNumber(last.max(row.last_sequence)).get())
}
