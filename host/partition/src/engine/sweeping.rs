//! Keeping memory within its bounds: entities that are idle go, and the least
//! used when there are too many or they take too much.
//!
//! A hand goes round over all entities, as a clock's does. Whoever was used since
//! it last came by is let off once; so what is in use stays, and an idle entity
//! costs nothing until the hand is there.

use stead_model::TimestampMs;

use super::{
    Engine, Ports,
    entities::{Phase, Slot},
};
use crate::ports::{Guests, StoreReader};

/// How many entities are looked at in one sweep when there is room for all.
const SWEPT_AT_ONCE: usize = 512;
/// How many entities are looked at for each one that is too many: the hand may
/// have to come by twice, and some can't go yet.
const SWEPT_FOR_EACH_TOO_MANY: usize = 4;
/// The most entities that are looked at in one sweep.
const SWEPT_AT_ONCE_MAX: usize = 16_384;
/// The least time between two sweeps, in milliseconds, when there is room for all.
const SWEEP_EVERY_MS: u64 = 10;
/// The least time between two looks at the memory of instances, in milliseconds.
const MEMORY_LOOK_EVERY_MS: u64 = 1_000;
/// However little memory there is, so many entities may be live.
const LIVE_MIN: usize = 16;

/// Where the hand is, and how much there may be.
#[derive(Default)]
pub struct Sweeping {
    hand: usize,
    swept_at: TimestampMs,
    memory_looked_at: TimestampMs,
    /// How many entities the memory has shown to have room for, if that is
    /// fewer than may be live in any case.
    room_for: Option<usize>,
    /// Bytes to be got back from instances that an entity has to itself.
    excess_bytes: usize,
}

impl<G: Guests> Engine<G> {
    /// Looks at some of the entities, and lets those go that are not needed.
    pub(super) fn sweep<S: StoreReader>(&mut self, now: TimestampMs, ports: &mut Ports<'_, G, S>) {
        let too_many = self.live.saturating_sub(self.live_max());
        if too_many == 0 && now.get().abs_diff(self.sweeping.swept_at.get()) < SWEEP_EVERY_MS {
            return;
        }
        self.sweeping.swept_at = now;
        self.instances.release_quarantined(now);
        self.look_at_memory(now, ports);
        let wanted = (too_many * SWEPT_FOR_EACH_TOO_MANY).clamp(SWEPT_AT_ONCE, SWEPT_AT_ONCE_MAX);
        let slots = self.entities.slots();
        for _ in 0..wanted.min(slots * 2) {
            let hand = self.sweeping.hand + 1;
            self.sweeping.hand = if hand < slots { hand } else { 0 };
            if let Some(slot) = self.entities.slot_at(self.sweeping.hand) {
                self.look_at(slot, now, ports);
            }
        }
    }

    /// How many entities may be live now.
    fn live_max(&self) -> usize {
        let live_max = self.config.live_max;
        self.sweeping.room_for.map_or(live_max, |room_for| room_for.min(live_max))
    }

    fn look_at<S: StoreReader>(
        &mut self,
        slot: Slot,
        now: TimestampMs,
        ports: &mut Ports<'_, G, S>,
    ) {
        let crowded = self.live > self.live_max();
        let Some(entity) = self.entities.get_mut(slot) else { return };
        if entity.waiting.is_some() || !self.batches.is_applied(entity.touched) {
            return;
        }
        let gone = match &entity.phase {
            Phase::Queued | Phase::Replaying(_) => false,
            Phase::Down | Phase::Empty => true,
            Phase::Unreadable(why) => now >= why.until,
            Phase::Live { instance, .. } => {
                let idle = now.get().saturating_sub(entity.used.get()) > self.config.idle_ms_max;
                let own = self.sweeping.excess_bytes > 0 && self.instances.is_own(*instance);
                let unused = (crowded || own) && !std::mem::take(&mut entity.recently_used);
                if own && unused {
                    let bytes = self.instances.memory_bytes_of(*instance, ports.guests);
                    self.sweeping.excess_bytes = self.sweeping.excess_bytes.saturating_sub(bytes);
                }
                idle || unused || !self.instances.exists(*instance)
            }
        };
        if gone {
            if let Phase::Live { .. } = entity.phase {
                self.counters.passivations += 1;
            }
            self.let_go(slot, ports);
            self.entities.remove(slot);
        }
    }

    /// Linear memory only grows, so what entities that are gone have left behind
    /// is got back by discarding whole instances. If that were all, those in use
    /// would soon be back and fill it again: so fewer may be live from then on,
    /// until there has been room for a while.
    fn look_at_memory<S: StoreReader>(&mut self, now: TimestampMs, ports: &mut Ports<'_, G, S>) {
        if now.get().abs_diff(self.sweeping.memory_looked_at.get()) < MEMORY_LOOK_EVERY_MS {
            return;
        }
        self.sweeping.memory_looked_at = now;
        let (bytes, bytes_max) =
            (self.instances.memory_bytes(ports.guests), self.config.memory_bytes_max);
        self.sweeping.excess_bytes = bytes.saturating_sub(bytes_max);
        if bytes <= bytes_max {
            let more = |room_for: usize| room_for + room_for / 16 + 1;
            let room_for = self.sweeping.room_for.map(more);
            self.sweeping.room_for = room_for.filter(|room| *room < self.config.live_max);
            return;
        }
        let shared = self.instances.shared_memory_bytes(ports.guests);
        if shared < bytes - shared {
            // Most of it is in instances of single entities, and the hand lets
            // the least used of those go.
            return;
        }
        self.instances.discard_largest_shared(ports.guests);
        let room_for = (self.live.min(self.live_max()) / 4 * 3).max(LIVE_MIN);
        self.sweeping.room_for = Some(room_for);
        tracing::info!(
            bytes,
            bytes_max,
            room_for,
            "an instance was discarded for its memory; its entities are replayed when needed"
        );
    }
}
