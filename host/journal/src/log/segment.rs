//! One segment file being written.

use std::sync::Arc;

use super::Scan;
use crate::{
    JournalError,
    disk::{Disk, DiskFile},
    format::segment::{
        GROUP_HEADER_BYTES, GroupHeader, RECORD_PREFIX_BYTES, SECTOR, SegmentHeader, TRAILER_BYTES,
        encode_header,
    },
};

/// Where the segments are.
pub(crate) fn directory() -> &'static str {
    "log"
}

/// The file of the segment whose first record has this number.
pub(crate) fn path_of(first_record: u64) -> String {
    format!("log/{first_record:020}.log")
}

/// The first record of the segment in a file of this name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

/// The segment that is written to.
pub(crate) struct Segment {
    pub(crate) path: String,
    pub(crate) described: String,
    pub(crate) first_record: u64,
    pub(crate) salt: u64,
    file: Arc<dyn DiskFile>,
    /// Where the next group goes.
    pub(crate) end: u64,
    /// Up to where the room has been written to. Room that was only taken is
    /// marked as such by file systems, and a sync of the first write to it must
    /// make that change durable too, which costs half as much again.
    written: u64,
    bytes_max: u64,
}

/// How much is written ahead of the end, as zeros.
const AHEAD_BYTES: u64 = 256 << 10;

impl Segment {
    /// Makes a segment and all of its room, durably.
    pub(crate) fn create(
        disk: &dyn Disk,
        header: &SegmentHeader,
        bytes_max: u64,
    ) -> Result<Self, JournalError> {
        let path = path_of(header.first_record);
        let described = disk.describe(&path);
        let made = (|| {
            let file = disk.create(&path)?;
            let bytes = encode_header(header);
            file.allocate(bytes_max.max(bytes.len() as u64 + SECTOR))?;
            file.write(0, &bytes)?;
            file.sync()?;
            disk.sync_dir(directory())?;
            Ok((file, bytes.len() as u64))
        })();
        match made {
            Ok((file, end)) => Ok(Self {
                path,
                described,
                first_record: header.first_record,
                salt: header.salt,
                file,
                end,
                written: end,
                bytes_max,
            }),
            Err(error) => {
                // It holds nothing yet, and is made again under the same name.
                let _ = disk.remove(&path);
                Err(JournalError::io("make", &described, &error))
            }
        }
    }

    /// Goes on with a segment that was read. What is behind its end may be a
    /// group that was cut off; it is overwritten with zeros, so that it is never
    /// taken for something that was once acknowledged. The last group may have
    /// been written and never synced, or its sync may have failed and left pages
    /// that the system takes for clean: it is written again as it is, be it only a
    /// mark, and so is the header. A mark says that from here on all before it is
    /// known to be durable.
    pub(crate) fn go_on(
        disk: &dyn Disk,
        header: &SegmentHeader,
        scan: &Scan,
        bytes_max: u64,
    ) -> Result<Self, JournalError> {
        let path = path_of(header.first_record);
        let described = disk.describe(&path);
        let io = |error: std::io::Error| JournalError::io("open", &described, &error);
        let opened = (|| {
            let file = disk.open(&path)?;
            let length = file.len()?;
            let again = |from: u64, until: u64| {
                let size = usize::try_from(until.min(length).saturating_sub(from)).unwrap_or(0);
                let mut bytes = vec![0; size];
                file.read(from, &mut bytes)?;
                file.write(from, &bytes)
            };
            again(0, scan.begin)?;
            if let Some(from) = scan.last {
                again(from, scan.end)?;
            }
            clear(&*file, scan.end, length)?;
            file.allocate(bytes_max.max(length))?;
            file.sync()?;
            Ok(file)
        })();
        let mut segment = Self {
            file: opened.map_err(io)?,
            path,
            first_record: header.first_record,
            salt: header.salt,
            end: scan.end,
            written: scan.end,
            bytes_max,
            described: described.clone(),
        };
        if scan.last.is_some() && !scan.is_marked && segment.fits(0) {
            segment.write(scan.next_record, &[], &mut Vec::new())?;
        }
        Ok(segment)
    }

    /// Gives up a segment of which nothing is needed.
    pub(crate) fn discard(self, disk: &dyn Disk) {
        // What is left is found to hold nothing, or is made anew.
        let _ = disk.remove(&self.path);
    }

    /// Whether a group of so many bytes of records fits.
    pub(crate) fn fits(&self, records_bytes: usize) -> bool {
        let whole = GROUP_HEADER_BYTES + records_bytes + TRAILER_BYTES;
        self.end.saturating_add(whole as u64).next_multiple_of(SECTOR) <= self.bytes_max
    }

    /// Writes a group and syncs it: then it is durable.
    pub(crate) fn write(
        &mut self,
        first_record: u64,
        records: &[Vec<u8>],
        buffer: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        let length: usize = records.iter().map(|record| RECORD_PREFIX_BYTES + record.len()).sum();
        let header = GroupHeader {
            salt: self.salt,
            offset: self.end,
            first_record,
            count: u32::try_from(records.len()).expect("a group's records are bounded"),
            length: u32::try_from(length).expect("a group's bytes are bounded"),
        };
        buffer.clear();
        buffer.extend_from_slice(&header.encode());
        for record in records {
            let length = u32::try_from(record.len()).expect("a record's bytes are bounded");
            buffer.extend_from_slice(&length.to_le_bytes());
            buffer.extend_from_slice(record);
        }
        buffer.extend_from_slice(&header.trailer());
        // To the end of the sector, so that nothing old is left behind it.
        buffer.resize(buffer.len().next_multiple_of(SECTOR as usize), 0);
        let end = header.end();
        let mut written = self.written;
        if end > written {
            written = end.saturating_add(AHEAD_BYTES).min(self.bytes_max).max(end);
            buffer.resize(buffer.len() + usize::try_from(written - end).unwrap_or(0), 0);
        }
        if let Err(error) = self.file.write(self.end, buffer) {
            return Err(self.undo(&error, buffer.len()));
        }
        self.file.sync().map_err(|error| JournalError::fatal("sync", &self.described, &error))?;
        (self.end, self.written) = (end, written);
        Ok(())
    }

    /// A write failed. If it was for want of room, what was written of it is
    /// overwritten, so that the group is surely not there; if that fails too,
    /// nothing is sure any more.
    fn undo(&self, error: &std::io::Error, length: usize) -> JournalError {
        let failure = JournalError::io("write", &self.described, error);
        if !failure.is_full() {
            return failure;
        }
        // The header alone makes a group; its sector had room, or nothing was written.
        let sector = vec![0; SECTOR as usize];
        let known = self.file.len().unwrap_or(0);
        if length > 0 && self.end < known {
            let undone = self.file.write(self.end, &sector).and_then(|()| self.file.sync());
            if let Err(error) = undone {
                return JournalError::fatal("write", &self.described, &error);
            }
        }
        failure
    }
}

/// Overwrites what isn't zero.
fn clear(file: &dyn DiskFile, from: u64, length: u64) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut there = vec![0; 1 << 16];
    let mut at = from;
    while at < length {
        let part = usize::try_from(length - at).unwrap_or(usize::MAX).min(zeros.len());
        if let (Some(there), Some(zeros)) = (there.get_mut(..part), zeros.get(..part)) {
            file.read(at, there)?;
            if there != zeros {
                file.write(at, zeros)?;
            }
        }
        at += part as u64;
    }
    Ok(())
}
