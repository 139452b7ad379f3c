//! From an address to where the entity is.
//!
//! A map with addresses for keys would keep each address a second time, which
//! is half of what an idle entity needs. This one keeps eight bytes: a slot and
//! the half of the address's hash that tells nearly all others apart. What is
//! left to compare is in the entity itself, so whoever asks brings the comparison.

use std::hash::{BuildHasher, RandomState};

use stead_model::Address;

/// An entry that is in no use.
const VACANT: u64 = u64::MAX;
/// The fewest entries that a table has.
const ENTRIES_MIN: usize = 16;

/// Open addressing with linear probing, and never over three quarters full.
#[derive(Default)]
pub struct Index {
    /// The upper half of an address's hash, then the slot. As many as a power of
    /// two, or none.
    entries: Vec<u64>,
    used: usize,
    /// Keyed at random, so that nobody can choose ids that all meet in one place.
    /// Nothing is ever listed in the table's order, so no effect depends on it.
    hasher: RandomState,
}

impl Index {
    /// The slot under an address, among those that `is_it` says yes to.
    pub fn find(&self, address: &Address, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.position(self.tag(address), is_it).map(|(_, slot)| slot)
    }

    /// Puts a slot under an address that has none.
    pub fn insert(&mut self, address: &Address, slot: u32) {
        let entry = entry(self.tag(address), slot);
        assert!(entry != VACANT, "the last slot is never given out");
        if (self.used + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.place(entry);
        self.used += 1;
    }

    /// Takes the slot away that is under an address.
    pub fn remove(&mut self, address: &Address, slot: u32) {
        let Some((mut gap, _)) = self.position(self.tag(address), |found| found == slot) else {
            return;
        };
        self.used -= 1;
        // Those behind the gap that could have been in it are moved up, or they
        // would not be found past it.
        let mut at = gap;
        loop {
            at = self.after(at);
            let Some(&entry) = self.entries.get(at) else { return };
            if entry == VACANT {
                break;
            }
            let home = self.home(tag_of(entry));
            if self.distance(home, at) >= self.distance(gap, at) {
                self.set(gap, entry);
                gap = at;
            }
        }
        self.set(gap, VACANT);
    }

    fn position(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        let mut at = self.home(tag);
        loop {
            let entry = *self.entries.get(at)?;
            if entry == VACANT {
                return None;
            }
            if tag_of(entry) == tag && is_it(slot_of(entry)) {
                return Some((at, slot_of(entry)));
            }
            at = self.after(at);
        }
    }

    fn grow(&mut self) {
        let size = (self.entries.len() * 2).max(ENTRIES_MIN);
        let before = std::mem::replace(&mut self.entries, vec![VACANT; size]);
        for entry in before.into_iter().filter(|entry| *entry != VACANT) {
            self.place(entry);
        }
    }

    /// Puts an entry into the first vacant place from its home on. There is one.
    fn place(&mut self, entry: u64) {
        let mut at = self.home(tag_of(entry));
        while self.entries.get(at).is_some_and(|found| *found != VACANT) {
            at = self.after(at);
        }
        self.set(at, entry);
    }

    fn set(&mut self, at: usize, entry: u64) {
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
    }

    fn tag(&self, address: &Address) -> u32 {
        (self.hasher.hash_one(address) >> 32) as u32
    }

    fn home(&self, tag: u32) -> usize {
        tag as usize & self.mask()
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }

    fn mask(&self) -> usize {
        self.entries.len().saturating_sub(1)
    }
}

fn entry(tag: u32, slot: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(slot)
}

fn tag_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn slot_of(entry: u64) -> u32 {
    entry as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn address(id: u64) -> Address {
        format!("cart/{id}").parse().expect("an address")
    }

    /// The same as a map does, over any mix of insertions and removals.
    #[test]
    fn it_finds_what_a_map_finds() {
        let mut index = Index::default();
        let mut map = BTreeMap::new();
        let mut random = 7_u64;
        for step in 0..200_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = random >> 33 & if step % 50_000 < 25_000 { 4_095 } else { 63 };
            let address = address(id);
            let is_it = |slot| map.get(&id) == Some(&slot);
            assert_eq!(index.find(&address, is_it), map.get(&id).copied());
            match map.remove(&id) {
                Some(slot) => index.remove(&address, slot),
                None => {
                    index.insert(&address, step);
                    map.insert(id, step);
                }
            }
            assert_eq!(index.used, map.len());
        }
        assert!(index.entries.len() <= 8_192, "it grows with what it holds");
    }

    #[test]
    fn an_empty_one_finds_nothing() {
        let mut index = Index::default();
        assert_eq!(index.find(&address(1), |_| true), None);
        index.remove(&address(1), 0);
        assert_eq!(index.used, 0);
    }

    /// All in one place: as when hashes are the same.
    #[test]
    fn addresses_of_the_same_hash_are_kept_apart() {
        let mut index = Index::default();
        for slot in 0..8 {
            index.insert(&address(1), slot);
        }
        index.remove(&address(1), 3);
        for slot in (0..8).filter(|slot| *slot != 3) {
            assert_eq!(index.find(&address(1), |found| found == slot), Some(slot));
        }
        assert_eq!(index.find(&address(1), |found| found == 3), None);
    }
}
