//! Placement: where each partition's replicas should be, who should lead it, and
//! the next steps there.
//!
//! The leader of the group of cluster facts calls [`plan`] when something has
//! changed, and every second. It hands in what it has *observed*, and gets a
//! [`Plan`]: the [`Target`], a few [`Step`]s towards it, and an account of why. The
//! steps are carried out by others; whether they came about shows in the next
//! observation. So a step that failed, or was lost with the node that asked for
//! it, is simply planned again. There is no clock, no randomness and no I/O here:
//! the same input gives the same plan.
//!
//! # Where replicas should be
//!
//! A node is *open* (present: keeps and takes replicas), *waiting* (gone, within
//! the grace period: keeps what it has), *leaving* (draining: is copied from, takes
//! nothing) or *lost* (gone for longer, or removed). The target starts from the
//! copies that are there, voters and learners alike, and changes as little as it
//! can:
//!
//! 1. Each partition has as many replicas as are wanted, or as there are open and
//!    waiting nodes, if those are fewer. Two nodes hold two voters each: either's
//!    loss stops the partition, but neither's disk holds the only copy of what was
//!    acknowledged. The third node to come makes it three.
//! 2. Missing replicas go to open nodes by rendezvous hashing under a bound on what
//!    each holds, other zones first.
//! 3. Open nodes hold the same number of replicas, give or take one. Replicas that
//!    needn't be copied are shifted first.
//! 4. Within that, replicas are spread over zones. Zones are a preference, balance
//!    is a rule: where zones differ in size, some partitions have two replicas in
//!    one zone.
//!
//! A target stays as it is until the nodes' standings, zones, or the number of
//! replicas wanted change, so steps carried out one by one always arrive.
//!
//! # What is never done
//!
//! - Nothing, to a partition that has no leader or no quorum, or whose last change
//!   is still in progress.
//! - A change after which fewer than a majority of the voters would be live, or
//!   fewer live voters than before, unless there were more than there are to be.
//!   While a voter may soon return, they become no fewer in any case.
//! - The leader's removal: it hands over first.

#![forbid(unsafe_code)]

mod census;
mod draft;
mod leaders;
mod next;
mod observed;
mod plan;
mod settings;
mod status;
mod step;
mod target;
mod weight;
mod why;
mod zones;

pub use observed::{Change, NodeView, Observed, PartitionView, Progress, Standing};
pub use plan::{Plan, plan};
pub use settings::{Replicas, ReplicasError, Settings};
pub use status::{Draining, LostQuorum, Move, NodeLoad, Status, UnderReplicated};
pub use step::Step;
pub use target::Target;
pub use why::{Doing, Hold, Replica, Role, Seat, Urgency, Why};
