//! The kinds of harm that are done, and how often each was.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $kind,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];
        }

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$kind => $name,)*
                })
            }
        }
    };
}

kinds! {
    /// A message didn't arrive.
    Lost = "messages lost",
    /// A message took far longer than others.
    Delayed = "messages delayed",
    /// A message arrived twice.
    Duplicated = "messages duplicated",
    /// A message overtook others of its lane.
    Reordered = "messages reordered",
    /// Two sets of machines couldn't reach each other.
    CutBothWays = "partitions, symmetric",
    /// One set reached the other, and not the other way.
    CutOneWay = "partitions, one way",
    /// Two sets had only a machine in between in common.
    CutToBridge = "partitions, bridge",
    /// Power was lost: what wasn't synced may be gone.
    PowerLost = "crashes, unsynced writes lost",
    /// Power was lost in the middle of a write.
    TornWrite = "crashes in the middle of a write",
    /// A process was killed: what was written stays.
    Killed = "processes killed",
    /// A process was stopped in good order.
    Stopped = "processes stopped",
    /// A machine came back as it was.
    Restarted = "restarts with disk",
    /// A machine came back without its disk.
    DiskLost = "restarts without disk",
    /// A disk took long.
    SlowDisk = "slow disks",
    /// A disk failed for good: nothing more could be synced.
    FailedDisk = "disks that failed",
    /// A clock was set to another time.
    ClockJump = "clock jumps",
    /// A machine stood still.
    Paused = "machines paused",
    /// A machine was said to be gone that wasn't, or to be there that wasn't.
    WrongHint = "wrong hints of presence",
    /// A guest trapped, and all entities of its instance with it.
    Trapped = "guests trapped",
    /// A leader was told to hand over.
    HandedOver = "hand-overs asked for",
}

/// How often each kind was done. Clones count together.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<Fault, u64>>>);

impl Faults {
    /// One more.
    pub fn count(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }

    /// How often each was done.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
