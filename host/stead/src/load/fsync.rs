//! The baseline for durability: what one `fdatasync` of a disk takes.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use super::histogram::{Latencies, Recorder};

/// What is written before each.
const BLOCK: [u8; BLOCK_BYTES] = [0x5A; BLOCK_BYTES];
const BLOCK_BYTES: usize = 4096;
/// How many blocks the file that is overwritten has.
const BLOCKS: u64 = 256;

/// What one `fdatasync` takes after either kind of write.
#[derive(Debug, Clone)]
pub struct FsyncFigures {
    /// After 4 KiB over blocks that were there before.
    pub overwrite: Latencies,
    /// How many of them.
    pub overwrites: u64,
    /// After 4 KiB at the end of a growing file.
    pub append: Latencies,
    /// How many of them.
    pub appends: u64,
}

/// Measures in a directory, half of the time for each kind of write. The file
/// is removed afterwards.
///
/// # Errors
/// If the directory can't be written to.
pub fn measure_fsync(directory: &Path, duration: Duration) -> io::Result<FsyncFigures> {
    let file = tempfile::Builder::new().prefix("stead-fsync-").tempfile_in(directory)?;
    let file = file.as_file();
    for block in 0..BLOCKS {
        file.write_all_at(&BLOCK, block * as_u64(BLOCK_BYTES))?;
    }
    file.sync_all()?;
    let half = duration / 2;
    let (overwrite, overwrites) = measure(file, half, |number| number % BLOCKS)?;
    let (append, appends) = measure(file, half, |number| BLOCKS + number)?;
    Ok(FsyncFigures { overwrite, overwrites, append, appends })
}

fn measure(
    file: &File,
    span: Duration,
    block: impl Fn(u64) -> u64,
) -> io::Result<(Latencies, u64)> {
    let mut recorder = Recorder::new();
    let mut count = 0;
    let begun = Instant::now();
    while begun.elapsed() < span || count == 0 {
        let start = Instant::now();
        file.write_all_at(&BLOCK, block(count) * as_u64(BLOCK_BYTES))?;
        file.sync_data()?;
        recorder.record(start.elapsed());
        count += 1;
    }
    Ok((recorder.latencies(), count))
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_measured_and_nothing_is_left_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let figures = measure_fsync(directory.path(), Duration::from_millis(50)).expect("measured");
        assert!(figures.overwrites > 0 && figures.appends > 0);
        assert!(figures.overwrite.p50_us > 0 && figures.append.max_us >= figures.append.p50_us);
        assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        assert!(measure_fsync(Path::new("/nonexistent"), Duration::ZERO).is_err());
    }
}
