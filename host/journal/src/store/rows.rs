//! A store's rows on their way to another node: each with its table and the
//! bytes of its key. What they say is sealed with the key, as it is stored.

use std::ops::Bound;

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{Trouble, tables};
use crate::format::Bytes;

/// A row.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row<'a> {
    pub(super) table: u8,
    #[serde(borrow)]
    pub(super) key: Bytes<'a>,
    #[serde(borrow)]
    pub(super) value: Bytes<'a>,
}

/// A row that is read from a store.
pub(super) type OwnedRow = (u8, Vec<u8>, Vec<u8>);

/// The table of the store's state.
pub(super) const STATE: u8 = 0;
/// One more than the last table's number. Never change or reuse a number.
pub(super) const TABLES: u8 = 9;

/// What a key can't be read from.
fn misread(table: &'static str) -> Trouble {
    Trouble::Damage { place: format!("table {table}"), what: "a key makes no sense".into() }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn wide(bytes: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_be_bytes(bytes.get(at..at + 16)?.try_into().ok()?))
}

fn text(bytes: &[u8], at: usize) -> Option<&str> {
    std::str::from_utf8(bytes.get(at..)?).ok()
}

/// Reads rows of a table behind a key, until there are so many bytes; whether
/// there are more.
pub(super) fn read(
    transaction: &ReadTransaction,
    table: u8,
    after: Option<&[u8]>,
    bytes_max: usize,
    rows: &mut Vec<OwnedRow>,
) -> Result<bool, Trouble> {
    let mut bytes = 0;
    macro_rules! read {
        ($definition:expr, $key:ty, $encode:expr, $decode:expr, $value:expr) => {{
            let opened = match transaction.open_table($definition) {
                Ok(opened) => opened,
                // It is made when there is something to put in.
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let start = match after {
                Some(key) => {
                    Bound::Excluded($decode(key).ok_or_else(|| misread(stringify!($definition)))?)
                }
                None => Bound::Unbounded,
            };
            for row in opened.range::<$key>((start, Bound::Unbounded))? {
                let (key, value) = row?;
                let (key, value): (Vec<u8>, Vec<u8>) =
                    ($encode(key.value()), $value(value.value()));
                bytes += key.len() + value.len() + 8;
                rows.push((table, key, value));
                if bytes >= bytes_max {
                    return Ok(true);
                }
            }
            Ok(false)
        }};
    }
    let whole = |value: &[u8]| value.to_vec();
    match table {
        STATE => read!(tables::STATE, (), |()| Vec::new(), |_: &[u8]| Some(()), whole),
        1 => read!(tables::MEMBERS, (), |()| Vec::new(), |_: &[u8]| Some(()), whole),
        2 => read!(tables::ENTITIES, &[u8], |key: &[u8]| key.to_vec(), Some, whole),
        3 => read!(tables::EVENTS, (u64, u64), pair_bytes, pair, whole),
        4 => read!(tables::SNAPSHOTS, (u64, u64), pair_bytes, pair, whole),
        5 => read!(
            tables::CALLER_REPLIES,
            (u64, &str),
            |(ordinal, key)| tables::caller_key(ordinal, key),
            |bytes| Some((number(bytes, 0)?, text(bytes, 8)?)),
            whole
        ),
        6 => read!(
            tables::MINTED_REPLIES,
            (u128, u64),
            |(id, ordinal)| tables::minted_key(id, ordinal).to_vec(),
            |bytes| Some((wide(bytes, 0)?, number(bytes, 16)?)),
            whole
        ),
        7 => read!(
            tables::EXPIRY,
            (u64, u64, &str),
            |(at, ordinal, key): (u64, u64, &str)| {
                [&at.to_be_bytes()[..], &ordinal.to_be_bytes()[..], key.as_bytes()].concat()
            },
            |bytes| Some((number(bytes, 0)?, number(bytes, 8)?, text(bytes, 16)?)),
            |()| Vec::new()
        ),
        8 => read!(
            tables::PURGES,
            u64,
            |key: u64| key.to_be_bytes().to_vec(),
            |bytes| number(bytes, 0),
            whole
        ),
        _ => Ok(false),
    }
}

fn pair_bytes((a, b): (u64, u64)) -> Vec<u8> {
    tables::pair(a, b).to_vec()
}

fn pair(bytes: &[u8]) -> Option<(u64, u64)> {
    Some((number(bytes, 0)?, number(bytes, 8)?))
}

/// Writes a row.
pub(super) fn write(transaction: &WriteTransaction, row: &Row<'_>) -> Result<(), Trouble> {
    let (key, value) = (row.key.0, row.value.0);
    macro_rules! write {
        ($definition:expr, $key:expr, $value:expr) => {{
            let key = $key.ok_or_else(|| misread(stringify!($definition)))?;
            transaction.open_table($definition)?.insert(key, $value)?;
        }};
    }
    match row.table {
        STATE => write!(tables::STATE, Some(()), value),
        1 => write!(tables::MEMBERS, Some(()), value),
        2 => write!(tables::ENTITIES, Some(key), value),
        3 => write!(tables::EVENTS, pair(key), value),
        4 => write!(tables::SNAPSHOTS, pair(key), value),
        5 => write!(tables::CALLER_REPLIES, number(key, 0).zip(text(key, 8)), value),
        6 => write!(tables::MINTED_REPLIES, wide(key, 0).zip(number(key, 16)), value),
        7 => write!(
            tables::EXPIRY,
            number(key, 0).zip(number(key, 8)).zip(text(key, 16)).map(|((at, o), k)| (at, o, k)),
            ()
        ),
        8 => write!(tables::PURGES, number(key, 0), value),
        other => {
            let what = format!("a row is of table {other}, which this program doesn't know");
            return Err(Trouble::Damage { place: "what was received".into(), what });
        }
    }
    Ok(())
}
