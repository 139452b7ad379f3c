//! The tables of a store.

use redb::{TableDefinition, WriteTransaction};

use super::Trouble;

pub(super) const STATE: TableDefinition<(), &[u8]> = TableDefinition::new("state");
pub(super) const ENTITIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entities");
pub(super) const EVENTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("events");
pub(super) const SNAPSHOTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("snapshots");
pub(super) const CALLER_REPLIES: TableDefinition<(u64, &str), &[u8]> =
    TableDefinition::new("caller-replies");
pub(super) const MINTED_REPLIES: TableDefinition<(u128, u64), &[u8]> =
    TableDefinition::new("minted-replies");
pub(super) const EXPIRY: TableDefinition<(u64, u64, &str), ()> = TableDefinition::new("expiry");
pub(super) const PURGES: TableDefinition<u64, &[u8]> = TableDefinition::new("purges");

/// It is there once the partition has members.
pub(super) const MEMBERS: TableDefinition<(), &[u8]> = TableDefinition::new("members");

/// Makes all other tables, so that reading never finds one missing.
pub(super) fn create_all(write: &WriteTransaction) -> Result<(), Trouble> {
    write.open_table(STATE)?;
    write.open_table(ENTITIES)?;
    write.open_table(EVENTS)?;
    write.open_table(SNAPSHOTS)?;
    write.open_table(CALLER_REPLIES)?;
    write.open_table(MINTED_REPLIES)?;
    write.open_table(EXPIRY)?;
    write.open_table(PURGES)?;
    Ok(())
}

/// The key of an entity: its type, a zero byte, its id.
pub(super) fn entity_key(address: &stead_model::Address) -> Vec<u8> {
    let (entity_type, id) = (address.entity_type.as_str(), address.id.as_str());
    let mut key = Vec::with_capacity(entity_type.len() + 1 + id.len());
    key.extend_from_slice(entity_type.as_bytes());
    key.push(0);
    key.extend_from_slice(id.as_bytes());
    key
}

/// What the seal of a row under two numbers covers of its key.
pub(super) fn pair(a: u64, b: u64) -> [u8; 16] {
    ((u128::from(a) << 64) | u128::from(b)).to_be_bytes()
}

/// What the seal of a caller's reply covers of its key.
pub(super) fn caller_key(ordinal: u64, key: &str) -> Vec<u8> {
    let mut bytes = ordinal.to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// What the seal of a minted reply covers of its key.
pub(super) fn minted_key(id: u128, ordinal: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    let (front, back) = bytes.split_at_mut(16);
    front.copy_from_slice(&id.to_be_bytes());
    back.copy_from_slice(&ordinal.to_be_bytes());
    bytes
}
