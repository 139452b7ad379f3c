//! The entities that the engine has something to do with: those in memory, and
//! those that requests wait for.
//!
//! There may be a million on a node, so an idle one is small: a slot in a slab,
//! and an index from its address. What only a few have at a time is boxed.

use std::{collections::VecDeque, sync::Arc};

use stead_model::{Address, SequenceNumber, TimestampMs, TypeVersion};

use super::{index::Index, instances::InstanceId, replay::Replay, work::Work};
use crate::{
    ports::GuestFault,
    vocabulary::{Answer, BatchNumber, Incident},
};

/// Where an entity is in the slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

/// One entity.
pub struct Entity<E> {
    pub address: Address,
    pub phase: Phase<E>,
    /// Its last event's number, uncommitted ones included. Meant only when the
    /// phase is `Live` or `Empty`.
    pub last_sequence: SequenceNumber,
    /// The last number of its earlier lives, uncommitted ends included.
    pub life_begins_after: SequenceNumber,
    /// Where its newest snapshot is, or its life began.
    pub snapshot_sequence: SequenceNumber,
    /// The last batch that says something of it; it can be read from the store
    /// when that is applied.
    pub touched: BatchNumber,
    /// When it was last asked something.
    pub used: TimestampMs,
    /// The version of its type that it runs under.
    pub version: TypeVersion,
    /// Bytes of events since its snapshot, those of before its activation not counted.
    pub bytes_since_snapshot: u32,
    /// How many events its activation replayed.
    pub replayed_events: u32,
    /// How long that took, in microseconds.
    pub replayed_us: u32,
    /// It was used since the clock hand last came by.
    pub recently_used: bool,
    /// It is in the queue of those that can go on.
    pub runnable: bool,
    /// Requests that wait for it, in the order in which they came.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in each of a million idle entities, not 32"
    )]
    pub waiting: Option<Box<VecDeque<Work>>>,
}

/// How far an entity is from handling a command.
pub enum Phase<E> {
    /// Not in memory. It is brought back when somebody asks and the store shows
    /// all batches that touched it.
    Down,
    /// It has no events, or its earlier life ended in a batch that may not be
    /// applied yet: it begins anew, and the store needn't be asked.
    Empty,
    /// Wanted, and waiting for its turn to be replayed.
    Queued,
    /// Being replayed.
    Replaying(Box<Replay<E>>),
    /// In memory.
    Live {
        /// Its instance; if that is gone, so is the activation.
        instance: InstanceId,
        /// Its handle there.
        entity: E,
    },
    /// It could not be brought back.
    Unreadable(Box<Unreadable>),
}

/// Why an entity could not be brought back, and when it is tried again.
#[derive(Debug, Clone)]
pub struct Unreadable {
    pub reason: Arc<str>,
    pub until: TimestampMs,
    /// The incident, if it was the guest that failed.
    pub fault: Option<(Incident, GuestFault)>,
}

impl Unreadable {
    /// What those who ask for the entity are told.
    pub fn answer(&self) -> Answer {
        match &self.fault {
            Some((incident, fault)) => Answer::Fault { incident: *incident, fault: fault.clone() },
            None => Answer::Unreadable(self.reason.as_ref().to_owned()),
        }
    }
}

impl<E> Entity<E> {
    fn new(address: Address) -> Self {
        Self {
            address,
            phase: Phase::Down,
            last_sequence: SequenceNumber::default(),
            life_begins_after: SequenceNumber::default(),
            snapshot_sequence: SequenceNumber::default(),
            touched: BatchNumber::default(),
            used: TimestampMs::default(),
            version: TypeVersion::default(),
            bytes_since_snapshot: 0,
            replayed_events: 0,
            replayed_us: 0,
            recently_used: true,
            runnable: false,
            waiting: None,
        }
    }

    /// How many requests wait for it.
    pub fn waiting_len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.len())
    }

    /// Puts a request at the end of those that wait.
    pub fn wait(&mut self, work: Work) {
        self.waiting.get_or_insert_default().push_back(work);
    }

    /// The request that has waited longest.
    pub fn next_waiting(&mut self) -> Option<Work> {
        let waiting = self.waiting.as_mut()?;
        let work = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting = None;
        }
        work
    }
}

/// How many slots are added at a time. One vector of all would be copied when it
/// grows, and be half empty afterwards.
const CHUNK: usize = 256;

/// All of them.
pub struct Entities<E> {
    chunks: Vec<Box<[Option<Entity<E>>]>>,
    free: Vec<Slot>,
    index: Index,
}

impl<E> Default for Entities<E> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), index: Index::default() }
    }
}

impl<E> Entities<E> {
    /// The number of slots, those in use and those not.
    pub fn slots(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    pub fn slot_at(&self, at: usize) -> Option<Slot> {
        let slot = Slot(u32::try_from(at).ok()?);
        self.get(slot).map(|_| slot)
    }

    pub fn find(&self, address: &Address) -> Option<Slot> {
        let is_it = |slot| self.get(Slot(slot)).is_some_and(|entity| entity.address == *address);
        self.index.find(address, is_it).map(Slot)
    }

    /// The entity's slot; a new one, `Down`, if it had none.
    pub fn find_or_add(&mut self, address: &Address) -> Slot {
        if let Some(slot) = self.find(address) {
            return slot;
        }
        let slot = self.vacant();
        self.index.insert(address, slot.0);
        let place = self.place(slot).expect("a free slot is one of those there are");
        assert!(place.is_none(), "a free slot is vacant");
        *place = Some(Entity::new(address.clone()));
        slot
    }

    pub fn get(&self, slot: Slot) -> Option<&Entity<E>> {
        let at = slot.0 as usize;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Entity<E>> {
        self.place(slot)?.as_mut()
    }

    pub fn remove(&mut self, slot: Slot) -> Option<Entity<E>> {
        let entity = self.place(slot)?.take()?;
        self.index.remove(&entity.address, slot.0);
        self.free.push(slot);
        Some(entity)
    }

    /// All of them, by slot.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut Entity<E>)> {
        let places = self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut());
        (0..).zip(places).filter_map(|(at, place)| Some((Slot(at), place.as_mut()?)))
    }

    fn place(&mut self, slot: Slot) -> Option<&mut Option<Entity<E>>> {
        let at = slot.0 as usize;
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    fn vacant(&mut self) -> Slot {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let first = u32::try_from(self.slots()).expect("memory ends before the slots do");
        self.chunks.push((0..CHUNK).map(|_| None).collect());
        // Those with low numbers are given out first.
        self.free.extend((first..first + CHUNK as u32).rev().map(Slot));
        self.free.pop().expect("slots were just added")
    }
}
