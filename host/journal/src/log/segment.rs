//! One segment file being written.

use std::sync::Arc;

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
    bytes_max: u64,
}

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
                bytes_max,
            }),
            Err(error) => {
                // It holds nothing yet, and is made again under the same name.
                let _ = disk.remove(&path);
                Err(JournalError::io("make", &described, &error))
            }
        }
    }

    /// Goes on with a segment that was read up to `end`. What is behind may be a
    /// group that was cut off; it is overwritten with zeros, durably, so that it
    /// is never taken for something that was once acknowledged.
    pub(crate) fn go_on(
        disk: &dyn Disk,
        first_record: u64,
        salt: u64,
        end: u64,
        bytes_max: u64,
    ) -> Result<Self, JournalError> {
        let path = path_of(first_record);
        let described = disk.describe(&path);
        let opened = (|| {
            let file = disk.open(&path)?;
            let length = file.len()?;
            let zeros = vec![0; 1 << 16];
            let mut at = end;
            while at < length {
                let part = usize::try_from(length - at).unwrap_or(usize::MAX).min(zeros.len());
                let mut there = vec![0; part];
                file.read(at, &mut there)?;
                if there.iter().any(|byte| *byte != 0) {
                    file.write(at, zeros.get(..part).unwrap_or(&zeros))?;
                }
                at += part as u64;
            }
            file.allocate(bytes_max.max(length))?;
            // What was found may have been written and never synced.
            file.sync()?;
            Ok(file)
        })();
        match opened {
            Ok(file) => Ok(Self { path, described, first_record, salt, file, end, bytes_max }),
            Err(error) => Err(JournalError::io("open", &described, &error)),
        }
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
        if let Err(error) = self.file.write(self.end, buffer) {
            return Err(self.undo(&error, buffer.len()));
        }
        self.file.sync().map_err(|error| JournalError::fatal("sync", &self.described, &error))?;
        self.end = end;
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
