//! The file `identity`: whose journal this is.

use serde::{Deserialize, Serialize};
use stead_model::{PartitionCount, TimestampMs};

use super::{Flaw, Kind, Wide, seal, unseal};
use crate::Identity;

#[derive(Debug, Serialize, Deserialize)]
struct IdentityRecord {
    cluster: Wide,
    node: Wide,
    partitions: u16,
    created_at: u64,
}

pub(crate) fn encode(identity: &Identity) -> Vec<u8> {
    let record = IdentityRecord {
        cluster: identity.cluster.into(),
        node: identity.node.into(),
        partitions: identity.partitions.get(),
        created_at: identity.created_at.get(),
    };
    seal(Kind::Identity, &[], &record)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Identity, Flaw> {
    let record: IdentityRecord = unseal(Kind::Identity, &[], bytes)?;
    Ok(Identity {
        cluster: record.cluster.into(),
        node: record.node.into(),
        partitions: PartitionCount::new(record.partitions)
            .map_err(|error| Flaw::Encoding(error.to_string()))?,
        created_at: TimestampMs(record.created_at),
    })
}
