//! What the operator wants.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use stead_model::PartitionCount;

/// How many replicas of each partition are wanted. Odd: a fourth replica survives
/// no more than three do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Replicas {
    /// One: nothing survives the loss of its disk.
    One,
    /// Three: one may be lost.
    #[default]
    Three,
    /// Five: two may be lost.
    Five,
}

/// A number of replicas that isn't offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a partition has 1, 3 or 5 replicas; this is {0}")]
pub struct ReplicasError(u8);

impl Replicas {
    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Five => 5,
        }
    }
}

impl TryFrom<u8> for Replicas {
    type Error = ReplicasError;

    fn try_from(count: u8) -> Result<Self, ReplicasError> {
        match count {
            1 => Ok(Self::One),
            3 => Ok(Self::Three),
            5 => Ok(Self::Five),
            other => Err(ReplicasError(other)),
        }
    }
}

impl From<Replicas> for u8 {
    fn from(replicas: Replicas) -> u8 {
        match replicas {
            Replicas::One => 1,
            Replicas::Three => 3,
            Replicas::Five => 5,
        }
    }
}

/// What the operator wants of placement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How many replicas of each partition.
    pub replicas: Replicas,
    /// How many partitions the cluster has.
    pub partitions: PartitionCount,
    /// How long a node may be gone before its replicas are made again elsewhere,
    /// in milliseconds.
    pub grace_ms: u64,
    /// How many replicas may be on their way at once in the whole cluster.
    pub moves_max: NonZeroU16,
    /// How many replicas may be on their way to one node at once.
    pub moves_per_node_max: NonZeroU16,
    /// How many leaders one plan may move for balance. Leaders on nodes that are
    /// leaving are not counted: they all go at once.
    pub leader_moves_max: NonZeroU16,
    /// How many entries a replica may lack and still count as caught up. A busy
    /// partition's replicas always lack a few.
    pub lag_entries_max: u64,
}

impl Default for Settings {
    /// Three replicas of 64 partitions, 10 s of grace, 4 moves at once and 2 to one
    /// node, 8 leaders a plan, 1,000 entries.
    fn default() -> Self {
        Self {
            replicas: Replicas::default(),
            partitions: PartitionCount::default(),
            grace_ms: 10_000,
            moves_max: const { NonZeroU16::new(4).unwrap() },
            moves_per_node_max: const { NonZeroU16::new(2).unwrap() },
            leader_moves_max: const { NonZeroU16::new(8).unwrap() },
            lag_entries_max: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_odd_numbers_of_replicas_are_offered() {
        for count in 0..=u8::MAX {
            match Replicas::try_from(count) {
                Ok(replicas) => {
                    assert_eq!(u8::from(replicas), count);
                    assert_eq!(replicas.get(), usize::from(count));
                }
                Err(error) => assert!(![1, 3, 5].contains(&count), "{error}"),
            }
        }
    }
}
