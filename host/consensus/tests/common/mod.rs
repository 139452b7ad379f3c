//! What is proposed in the tests of groups.

use stead_model::{
    Address, Event, Item, Lifecycle, OutcomeItem, PartitionId, RequestDigest, RequestId,
    SequenceNumber, TimestampMs, TypeVersion,
};

/// A partition's one entity.
pub(crate) fn address(partition: PartitionId) -> Address {
    format!("thing/{partition}").parse().expect("an address")
}

/// The nth outcome of a partition's one entity.
pub(crate) fn outcome(partition: PartitionId, nth: u64) -> Item {
    Item::Outcome(OutcomeItem {
        address: address(partition),
        version: TypeVersion(1),
        request: RequestId::Minted(u128::from(nth) << 80),
        digest: RequestDigest(u128::from(nth)),
        expires: TimestampMs(1_000_000),
        first_sequence: SequenceNumber(nth),
        events: vec![Event {
            name: "happened".into(),
            body: format!("{nth} {}", "x".repeat(200)).into_bytes(),
        }],
        reply: nth.to_string().into_bytes(),
        lifecycle: Lifecycle::Continues,
        effects: vec![],
    })
}
