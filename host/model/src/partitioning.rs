//! Which partition an entity is in.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{Address, PartitionId};

/// How many partitions the cluster has; fixed when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct PartitionCount(NonZeroU16);

/// A partition count out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the partition count is from 1 to {max}; this is {0}", max = PartitionCount::MAX)]
pub struct PartitionCountError(u16);

impl PartitionCount {
    /// The most partitions that a cluster may have.
    pub const MAX: u16 = 4096;

    /// Checks a count.
    ///
    /// # Errors
    /// If it is 0 or over [`Self::MAX`].
    pub fn new(count: u16) -> Result<Self, PartitionCountError> {
        match NonZeroU16::new(count) {
            Some(nonzero) if count <= Self::MAX => Ok(Self(nonzero)),
            _ => Err(PartitionCountError(count)),
        }
    }

    /// The count.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// All partitions, in order.
    pub fn all(self) -> impl Iterator<Item = PartitionId> {
        (0..self.get()).map(PartitionId)
    }

    /// What the cluster keeps of itself: a partition behind those of entities.
    #[must_use]
    pub fn system(self) -> PartitionId {
        PartitionId(self.get())
    }

    /// All partitions, in order, and the cluster's own.
    pub fn all_and_system(self) -> impl Iterator<Item = PartitionId> {
        (0..=self.get()).map(PartitionId)
    }

    /// The partition of an entity: XXH3 (64 bits, seed 0) of `type`, a zero
    /// byte and `id`, modulo the count. It decides where stored data is looked
    /// for, so it never changes.
    #[must_use]
    pub fn partition_of(self, address: &Address) -> PartitionId {
        let mut hasher = Xxh3::new();
        hasher.update(address.entity_type.as_str().as_bytes());
        hasher.update(&[0]);
        hasher.update(address.id.as_str().as_bytes());
        let partition = hasher.digest() % u64::from(self.get());
        PartitionId(u16::try_from(partition).expect("a remainder of a u16 is one"))
    }
}

impl Default for PartitionCount {
    /// 64.
    fn default() -> Self {
        Self(const { NonZeroU16::new(64).unwrap() })
    }
}

impl TryFrom<u16> for PartitionCount {
    type Error = PartitionCountError;

    fn try_from(count: u16) -> Result<Self, PartitionCountError> {
        Self::new(count)
    }
}

impl From<PartitionCount> for u16 {
    fn from(count: PartitionCount) -> u16 {
        count.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored data is found by this mapping: if this test fails, entities of
    /// every existing cluster have been lost from sight.
    #[test]
    fn the_mapping_never_changes() {
        let partition = |text: &str| {
            let address = text.parse().expect("an address");
            PartitionCount::default().partition_of(&address).get()
        };
        let found = ["cart/42", "cart/43", "account/alice", "sensor/é 漢/🛒"].map(partition);
        assert_eq!(found, GOLDEN);
    }

    const GOLDEN: [u16; 4] = [9, 39, 39, 27];

    #[test]
    fn entities_spread_evenly() {
        let count = PartitionCount::default();
        let mut sizes = vec![0_u32; usize::from(count.get())];
        for id in 0..64_000 {
            let address = format!("cart/{id}").parse().expect("an address");
            sizes[usize::from(count.partition_of(&address).get())] += 1;
        }
        assert!(sizes.iter().all(|&size| (850..1150).contains(&size)), "{sizes:?}");
    }
}
