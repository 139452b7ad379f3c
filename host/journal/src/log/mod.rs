//! The node's log: segments of groups, each made durable by one sync.
//!
//! **Why a file of our own and not redb.** The budget for one waiting client is
//! 1.25 syncs. A redb commit writes the changed leaf, the branch above it, the
//! allocator's state and the header, in as many places of the file; a group here
//! is one contiguous write into room that was taken when the segment was made,
//! so the sync has no metadata to write. See the example `log_latency`.
//!
//! **Torn or rotten.** The next group is written only after the sync of the one
//! before it has returned. So only the last group of the last segment can have
//! been cut off by a crash; a group that is not sound, with a sound one after it,
//! is damage, and is reported, never cut off. When the log has been idle, a
//! *mark* is written behind the last group, which narrows the doubt to groups
//! written in the last moments before a crash.

mod read;
mod segment;
mod writer;

pub(crate) use read::{Scan, SegmentReader};
pub(crate) use segment::{Segment, directory, number_of, path_of};
pub(crate) use writer::{Log, Outcomes, Recovered, Sealed};
