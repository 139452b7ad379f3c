//! Reading a segment back, and telling a write that was cut off from damage.

use std::sync::Arc;

use stead_model::Entry;

use crate::{
    JournalError,
    disk::{Disk, DiskFile},
    format::{
        entry,
        segment::{
            GROUP_HEADER_BYTES, GROUP_MAGIC_BYTES as GROUP_MAGIC, GroupHeader, PRELUDE_BYTES,
            RECORD_PREFIX_BYTES, SECTOR, SegmentHeader, TRAILER_BYTES, decode_header,
            header_length,
        },
    },
};

/// What reading a segment came to.
pub(crate) struct Scan {
    pub(crate) header: SegmentHeader,
    /// The number of the record after its last.
    pub(crate) next_record: u64,
    /// Where the next group goes.
    pub(crate) end: u64,
}

/// A sound group: its header and its records.
type Group = (GroupHeader, Vec<Vec<u8>>);

struct Reader<'a> {
    file: Arc<dyn DiskFile>,
    described: &'a str,
    length: u64,
}

/// Reads a segment and gives its entries to `each`, in order. In the last
/// segment, a last group that is not sound is taken for one that was cut off.
pub(crate) fn scan(
    disk: &dyn Disk,
    path: &str,
    last: bool,
    mut each: impl FnMut(Entry) -> Result<(), JournalError>,
) -> Result<Scan, JournalError> {
    let described = disk.describe(path);
    let io = |error: std::io::Error| JournalError::fatal("read", &described, &error);
    let file = disk.open(path).map_err(io)?;
    let length = file.len().map_err(io)?;
    let reader = Reader { file, described: &described, length };
    let (header, mut at) = reader.header()?;
    let mut next_record = header.first_record;
    loop {
        match reader.group(header.salt, at, next_record)? {
            Some((group, records)) => {
                for (number, record) in (group.first_record..).zip(&records) {
                    let entry = entry::decode(record, number).map_err(|flaw| {
                        JournalError::damaged(
                            &described,
                            format!("record {number}, in the group at byte {at}"),
                            flaw.to_string(),
                        )
                    })?;
                    each(entry)?;
                }
                next_record += records.len() as u64;
                at = group.end();
            }
            None => {
                reader.check_end(header.salt, at, last)?;
                return Ok(Scan { header, next_record, end: at });
            }
        }
    }
}

/// Whether a segment has no header and nothing that could be a group: a crash
/// came while it was made.
pub(crate) fn is_blank(disk: &dyn Disk, path: &str) -> Result<bool, JournalError> {
    let described = disk.describe(path);
    let io = |error: std::io::Error| JournalError::fatal("read", &described, &error);
    let file = disk.open(path).map_err(io)?;
    let length = file.len().map_err(io)?;
    let reader = Reader { file, described: &described, length };
    if reader.header().is_ok() {
        return Ok(false);
    }
    // A header that was cut off may have left some of its sectors. A group, which
    // is only ever written behind a whole header, begins with its magic.
    let mut at = 0;
    while at < length {
        let start = reader.read(at, 4)?;
        if start.is_some_and(|bytes| bytes == GROUP_MAGIC) {
            return Ok(false);
        }
        at += SECTOR;
    }
    Ok(true)
}

impl Reader<'_> {
    fn damaged(&self, at: u64, what: impl Into<String>) -> JournalError {
        JournalError::damaged(self.described, format!("byte {at}"), what)
    }

    fn read(&self, at: u64, length: usize) -> Result<Option<Vec<u8>>, JournalError> {
        if at.saturating_add(length as u64) > self.length {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.file
            .read(at, &mut bytes)
            .map_err(|error| JournalError::fatal("read", self.described, &error))?;
        Ok(Some(bytes))
    }

    fn header(&self) -> Result<(SegmentHeader, u64), JournalError> {
        let prelude = self.read(0, PRELUDE_BYTES)?;
        let prelude: [u8; PRELUDE_BYTES] = prelude
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| self.damaged(0, "its header is cut short"))?;
        let length = header_length(&prelude).map_err(|flaw| self.damaged(0, flaw.to_string()))?;
        let sealed = self
            .read(PRELUDE_BYTES as u64, length)?
            .ok_or_else(|| self.damaged(0, "its header is cut short"))?;
        let header = decode_header(&sealed).map_err(|flaw| self.damaged(0, flaw.to_string()))?;
        Ok((header, ((PRELUDE_BYTES + length) as u64).next_multiple_of(SECTOR)))
    }

    fn group_header(&self, salt: u64, at: u64) -> Result<Option<GroupHeader>, JournalError> {
        let bytes = self.read(at, GROUP_HEADER_BYTES)?;
        let bytes: Option<[u8; GROUP_HEADER_BYTES]> = bytes.and_then(|bytes| bytes.try_into().ok());
        Ok(bytes.and_then(|bytes| GroupHeader::decode(&bytes, salt, at)))
    }

    /// The group at an offset with its records; `None` if there is no sound one.
    fn group(&self, salt: u64, at: u64, first_record: u64) -> Result<Option<Group>, JournalError> {
        let Some(header) = self.group_header(salt, at)? else { return Ok(None) };
        if header.first_record != first_record {
            return Err(self.damaged(
                at,
                format!("its group begins with record {}, not {first_record}", header.first_record),
            ));
        }
        let length = header.length as usize;
        let Some(body) = self.read(at + GROUP_HEADER_BYTES as u64, length + TRAILER_BYTES)? else {
            return Ok(None);
        };
        let Some((mut rest, trailer)) = body.split_at_checked(length) else { return Ok(None) };
        if trailer != header.trailer() {
            return Ok(None);
        }
        let mut records = Vec::with_capacity(header.count as usize % 65_536);
        for number in (header.first_record..).take(header.count as usize) {
            let record =
                rest.split_first_chunk::<RECORD_PREFIX_BYTES>().and_then(|(size, after)| {
                    after.split_at_checked(u32::from_le_bytes(*size) as usize)
                });
            let Some((record, after)) = record else { return Ok(None) };
            // A record that is not sound means that the group is not.
            if entry::decode(record, number).is_err() {
                return Ok(None);
            }
            records.push(record.to_vec());
            rest = after;
        }
        Ok(rest.is_empty().then_some((header, records)))
    }

    /// There is no sound group at an offset: the end of what was written, or
    /// damage. It is damage if anything sound follows, or another segment does.
    fn check_end(&self, salt: u64, at: u64, last: bool) -> Result<(), JournalError> {
        let written = self.group_header(salt, at)?.is_some() || !self.is_zero(at)?;
        if !last && written {
            return Err(self.damaged(at, "a group is not sound, and later ones follow"));
        }
        let mut later = at + SECTOR;
        while later < self.length {
            if self.group_header(salt, later)?.is_some() {
                return Err(self.damaged(
                    at,
                    format!("a group is not sound, and a sound one follows at byte {later}"),
                ));
            }
            later += SECTOR;
        }
        Ok(())
    }

    fn is_zero(&self, at: u64) -> Result<bool, JournalError> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let sector = self.read(at, left.min(SECTOR as usize))?;
        Ok(sector.is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0)))
    }
}
