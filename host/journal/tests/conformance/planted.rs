//! Defects put into the model on purpose, one at a time: the cases must notice
//! each, and so must generated operations. A comparison works both ways, so
//! what is noticed in the model would be noticed in the journal.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{all_cases, model::Model, properties};

/// What a journal may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    LowerBoundExcluded,
    UpperBoundExcluded,
    CountIgnored,
    BytesIgnored,
    FirstEventMustFit,
    TimesLost,
    HalfOfABatch,
    DroppedStayVisible,
    DropsPastTheSnapshot,
    NumbersRestart,
    EveryEndPurges,
    SnapshotsOutliveTheLife,
    OldLivesSnapshotsTaken,
    SnapshotsAheadTaken,
    SnapshotsNotOverwritten,
    SnapshotBoundIgnored,
    OldestSnapshotFirst,
    OneSnapshotKept,
    ThreeSnapshotsKept,
    RepliesNeverExpire,
    RepliesEndWithTheLife,
    RepliesLostByReopening,
    EmptyRepliesNotKept,
    MintedRepliesNotKept,
    RequestsOfAllEntitiesAlike,
    EmptyCommandsLostByKill,
    TypesByPrefix,
    PagesOverlap,
    PagesSkipPrefixed,
    GapsTaken,
    OldTermsTaken,
}

use Defect::*;

const ALL: [Defect; 31] = [
    LowerBoundExcluded,
    UpperBoundExcluded,
    CountIgnored,
    BytesIgnored,
    FirstEventMustFit,
    TimesLost,
    HalfOfABatch,
    DroppedStayVisible,
    DropsPastTheSnapshot,
    NumbersRestart,
    EveryEndPurges,
    SnapshotsOutliveTheLife,
    OldLivesSnapshotsTaken,
    SnapshotsAheadTaken,
    SnapshotsNotOverwritten,
    SnapshotBoundIgnored,
    OldestSnapshotFirst,
    OneSnapshotKept,
    ThreeSnapshotsKept,
    RepliesNeverExpire,
    RepliesEndWithTheLife,
    RepliesLostByReopening,
    EmptyRepliesNotKept,
    MintedRepliesNotKept,
    RequestsOfAllEntitiesAlike,
    EmptyCommandsLostByKill,
    TypesByPrefix,
    PagesOverlap,
    PagesSkipPrefixed,
    GapsTaken,
    OldTermsTaken,
];

#[test]
fn the_cases_notice_every_defect() {
    for defect in ALL {
        let noticed = all_cases().filter(|(_, case)| {
            catch_unwind(AssertUnwindSafe(|| case(&mut Model::with(defect)))).is_err()
        });
        let noticed: Vec<&str> = noticed.map(|(name, _)| name).collect();
        println!("{defect:?} is noticed by {noticed:?}");
        assert!(!noticed.is_empty(), "{defect:?} is not noticed");
    }
}

#[test]
fn generated_operations_notice_every_defect() {
    for defect in ALL {
        let found = properties::search(Some(defect), 200).expect_err("it is noticed");
        println!("{defect:?}: {}", found.lines().next().unwrap_or_default());
    }
}
