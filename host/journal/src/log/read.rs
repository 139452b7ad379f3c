//! Reading a segment back, and telling a write that was cut off from damage.

use std::sync::Arc;

use stead_model::{Entry, PartitionId};

use super::Run;
use crate::{
    JournalError,
    disk::{Disk, DiskFile},
    format::{
        Flaw,
        record::{self, Record},
        segment::{
            GROUP_HEADER_BYTES, GROUP_MAGIC_BYTES as GROUP_MAGIC, GroupHeader, PRELUDE_BYTES,
            RECORD_PREFIX_BYTES, SECTOR, SegmentHeader, TRAILER_BYTES, decode_header,
            header_length,
        },
    },
};

/// How much is read at once where the end of a segment is looked for.
const CHUNK_BYTES: usize = 1 << 20;

/// What reading a segment's entries came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    /// The number of the record after its last.
    pub(crate) next_record: u64,
    /// Where the next group goes.
    pub(crate) end: u64,
    /// Where the first group begins.
    pub(crate) begin: u64,
    /// Where the last group begins, if there is any.
    pub(crate) last: Option<u64>,
    /// Whether that one is a mark: an empty one, which says that those before it are
    /// durable.
    pub(crate) is_marked: bool,
}

/// Where a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment, by its first record.
    pub(crate) segment: u64,
    /// Where it begins in it.
    pub(crate) offset: u64,
    /// Its first record.
    pub(crate) record: u64,
}

/// A segment that is read.
pub(crate) struct SegmentReader {
    file: Arc<dyn DiskFile>,
    described: String,
    length: u64,
    header: SegmentHeader,
    /// Where the first group begins.
    begin: u64,
}

impl SegmentReader {
    /// Opens a segment and reads its header. `None` if it has none, and nothing
    /// that could be a group either: a crash came while it was made.
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Option<Self>, JournalError> {
        let described = disk.describe(path);
        let io = |error: std::io::Error| JournalError::fatal("read", &described, &error);
        let file = disk.open(path).map_err(io)?;
        let length = file.len().map_err(io)?;
        match read_header(&*file, length).map_err(io)? {
            Ok((header, begin)) => Ok(Some(Self { file, described, length, header, begin })),
            Err(flaw) => {
                // A header that was cut off may have left some of its sectors. A
                // group, which is only ever written behind a whole header, begins
                // with its magic.
                if find(&*file, 0, length, |start, _| start == GROUP_MAGIC).map_err(io)?.is_none() {
                    return Ok(None);
                }
                Err(JournalError::damaged(&described, "byte 0", flaw.to_string()))
            }
        }
    }

    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Gives the segment's records to `each`, in order, with the place of their
    /// group. In the last segment, a last group that is not sound is taken for
    /// one that was cut off.
    pub(crate) fn records(
        &self,
        last: bool,
        mut each: impl FnMut(Place, Record) -> Result<(), JournalError>,
    ) -> Result<Scan, JournalError> {
        let first = self.header.first_record;
        let (begin, end) = (self.begin, self.begin);
        let mut scan = Scan { next_record: first, end, begin, last: None, is_marked: false };
        while let Some((group, records)) = self.group(scan.end, scan.next_record)? {
            let place = Place { segment: first, offset: scan.end, record: scan.next_record };
            (scan.last, scan.is_marked) = (Some(scan.end), records.is_empty());
            scan.next_record += records.len() as u64;
            scan.end = group.end();
            records.into_iter().try_for_each(|record| each(place, record))?;
        }
        self.check_end(scan.end, last)?;
        Ok(scan)
    }

    /// Reads a partition's entries in the group that a run is in.
    pub(crate) fn run(
        &self,
        run: &Run,
        partition: PartitionId,
    ) -> Result<Vec<Entry>, JournalError> {
        let Some((_, records)) = self.group(run.group.offset, run.group.record)? else {
            return Err(self.damaged(run.group.offset, "a group that was sound is not any more"));
        };
        let mut entries: Vec<Entry> = Vec::new();
        for record in records {
            match record {
                Record::Entry(entry) if entry.partition == partition => entries.push(entry),
                Record::Truncation(of, after) if of == partition => {
                    entries.retain(|entry| entry.index <= after.index);
                }
                Record::Begin(of, _) if of == partition => entries.clear(),
                Record::Begin(..)
                | Record::Entry(_)
                | Record::Truncation(..)
                | Record::Vote(..)
                | Record::Commits(_) => {}
            }
        }
        entries.retain(|entry| (run.first..=run.last).contains(&entry.index));
        Ok(entries)
    }

    fn io(&self, error: &std::io::Error) -> JournalError {
        JournalError::fatal("read", &self.described, error)
    }

    fn damaged(&self, at: u64, what: impl Into<String>) -> JournalError {
        JournalError::damaged(&self.described, format!("byte {at}"), what)
    }

    /// The group at an offset with its entries; `None` if there is no sound one.
    fn group(
        &self,
        at: u64,
        first_record: u64,
    ) -> Result<Option<(GroupHeader, Vec<Record>)>, JournalError> {
        let header = read(&*self.file, self.length, at, GROUP_HEADER_BYTES);
        let Some(header) = header
            .map_err(|error| self.io(&error))?
            .and_then(|bytes| GroupHeader::decode(bytes.first_chunk()?, self.header.salt, at))
        else {
            return Ok(None);
        };
        if header.first_record != first_record {
            let first = header.first_record;
            let what = format!("its group begins with record {first}, not {first_record}");
            return Err(self.damaged(at, what));
        }
        let length = header.length as usize;
        let body = at + GROUP_HEADER_BYTES as u64;
        let body = read(&*self.file, self.length, body, length + TRAILER_BYTES);
        let Some(body) = body.map_err(|error| self.io(&error))? else { return Ok(None) };
        let Some((mut rest, trailer)) = body.split_at_checked(length) else { return Ok(None) };
        if trailer != header.trailer() {
            return Ok(None);
        }
        let mut records = Vec::new();
        for number in (header.first_record..).take(header.count as usize) {
            let record =
                rest.split_first_chunk::<RECORD_PREFIX_BYTES>().and_then(|(size, after)| {
                    after.split_at_checked(u32::from_le_bytes(*size) as usize)
                });
            let Some((record, after)) = record else { return Ok(None) };
            match record::decode(record, number) {
                Ok(record) => records.push(record),
                // A record that is not sound means that the group is not.
                Err(Flaw::Checksum | Flaw::Short) => return Ok(None),
                // This one is sound, and not to be cut off for that.
                Err(flaw @ (Flaw::Version(_) | Flaw::Encoding(_))) => {
                    let place = format!("record {number}, in the group at byte {at}");
                    return Err(JournalError::damaged(&self.described, place, flaw.to_string()));
                }
            }
            rest = after;
        }
        Ok(rest.is_empty().then_some((header, records)))
    }

    /// There is no sound group at an offset: the end of what was written, or
    /// damage. It is damage if anything sound follows, or another segment does.
    fn check_end(&self, at: u64, last: bool) -> Result<(), JournalError> {
        let sector = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let sector = read(&*self.file, self.length, at, sector.min(SECTOR as usize));
        let sector = sector.map_err(|error| self.io(&error))?;
        let blank = sector.is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0));
        if !last && !blank {
            return Err(self.damaged(at, "a group is not sound, and later ones follow"));
        }
        let salt = self.header.salt;
        let later = find(&*self.file, at + SECTOR, self.length, |start, offset| {
            start.first_chunk().is_some_and(|b| GroupHeader::decode(b, salt, offset).is_some())
        });
        match later.map_err(|error| self.io(&error))? {
            None => Ok(()),
            Some(later) => Err(self.damaged(
                at,
                format!("a group is not sound, and a sound one follows at byte {later}"),
            )),
        }
    }
}

/// Bytes of a file; `None` if it ends before.
fn read(
    file: &dyn DiskFile,
    file_length: u64,
    at: u64,
    length: usize,
) -> std::io::Result<Option<Vec<u8>>> {
    if at.saturating_add(length as u64) > file_length {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    file.read(at, &mut bytes)?;
    Ok(Some(bytes))
}

/// The first sector from an offset on whose beginning, as long as a group's
/// header, has a property.
fn find(
    file: &dyn DiskFile,
    from: u64,
    length: u64,
    property: impl Fn(&[u8], u64) -> bool,
) -> std::io::Result<Option<u64>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = from;
    while at < length {
        let part = usize::try_from(length - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let Some(bytes) = chunk.get_mut(..part) else { break };
        file.read(at, bytes)?;
        for (nth, sector) in bytes.chunks(SECTOR as usize).enumerate() {
            let offset = at + nth as u64 * SECTOR;
            let start = sector.get(..GROUP_HEADER_BYTES).unwrap_or(sector);
            if start.starts_with(&GROUP_MAGIC) && property(start, offset) {
                return Ok(Some(offset));
            }
        }
        at += part as u64;
    }
    Ok(None)
}

/// The header and where the first group begins, or why there is none.
fn read_header(
    file: &dyn DiskFile,
    file_length: u64,
) -> std::io::Result<Result<(SegmentHeader, u64), Flaw>> {
    let Some(prelude) = read(file, file_length, 0, PRELUDE_BYTES)? else {
        return Ok(Err(Flaw::Short));
    };
    let length = match prelude.first_chunk().ok_or(Flaw::Short).and_then(header_length) {
        Ok(length) => length,
        Err(flaw) => return Ok(Err(flaw)),
    };
    let Some(sealed) = read(file, file_length, PRELUDE_BYTES as u64, length)? else {
        return Ok(Err(Flaw::Short));
    };
    let begin = ((PRELUDE_BYTES + length) as u64).next_multiple_of(SECTOR);
    Ok(decode_header(&sealed).map(|header| (header, begin)))
}
