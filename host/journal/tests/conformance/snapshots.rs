//! Which snapshot is found.

use stead_model::{Item, SequenceNumber, SnapshotItem, TypeVersion};

use crate::{
    cases,
    commands::{
        BEGIN_MS, HERE, address, commit, commit_in, record, snapshot, snapshot_at, take_snapshot,
    },
    subject::always,
};

cases! {
    fn the_newest_snapshot_at_or_below_the_bound_is_found(subject) {
        let one = address("thing/1");
        record(subject, &one, 9);
        take_snapshot(subject, &one, 3);
        take_snapshot(subject, &one, 7);
        always(subject, |subject| {
            let found = [2, 3, 4, 6, 7, 8, u64::MAX].map(|at| snapshot_at(subject, &one, at));
            assert_eq!(found, [None, Some(3), Some(3), Some(3), Some(7), Some(7), Some(7)]);
            assert_eq!(snapshot_at(subject, &one, 0), None);
        });
    }

    fn a_snapshot_is_found_as_it_was_stored(subject) {
        let one = address("thing/1");
        record(subject, &one, 2);
        let item = SnapshotItem { version: TypeVersion(9), ..snapshot(&one, 2) };
        commit_in(subject, HERE, 77, vec![Item::Snapshot(item)]);
        always(subject, |subject| {
            let found = subject.snapshot(HERE, &one, SequenceNumber(2)).expect("it is there");
            assert_eq!(found.state, b"state 2");
            assert_eq!((found.version.get(), found.at.get()), (9, BEGIN_MS + 77));
        });
    }

    fn the_newest_two_snapshots_are_kept(subject) {
        let one = address("thing/1");
        record(subject, &one, 9);
        for sequence in [2, 4, 6, 8] {
            take_snapshot(subject, &one, sequence);
        }
        always(subject, |subject| {
            let found = [5, 6, 7, 8].map(|at| snapshot_at(subject, &one, at));
            assert_eq!(found, [None, Some(6), Some(6), Some(8)]);
        });
    }

    fn a_snapshot_older_than_the_two_kept_is_not_stored(subject) {
        let one = address("thing/1");
        record(subject, &one, 9);
        for sequence in [5, 7, 2] {
            take_snapshot(subject, &one, sequence);
        }
        always(subject, |subject| {
            let found = [4, 5, 7].map(|at| snapshot_at(subject, &one, at));
            assert_eq!(found, [None, Some(5), Some(7)]);
        });
    }

    fn a_snapshot_at_the_same_number_takes_the_place_of_the_first(subject) {
        let one = address("thing/1");
        record(subject, &one, 4);
        take_snapshot(subject, &one, 2);
        take_snapshot(subject, &one, 4);
        let other = SnapshotItem {
            state: b"other".to_vec(),
            version: TypeVersion(2),
            ..snapshot(&one, 4)
        };
        commit(subject, vec![Item::Snapshot(other)]);
        always(subject, |subject| {
            let found = subject.snapshot(HERE, &one, SequenceNumber(4)).expect("it is there");
            assert_eq!((found.state, found.version.get()), (b"other".to_vec(), 2));
            assert_eq!(snapshot_at(subject, &one, 3), Some(2), "it counts once");
        });
    }

    fn a_snapshot_past_the_last_event_is_not_stored(subject) {
        let one = address("thing/1");
        record(subject, &one, 2);
        take_snapshot(subject, &one, 3);
        record(subject, &one, 2);
        always(subject, |subject| assert_eq!(snapshot_at(subject, &one, 9), None));
    }

    fn a_snapshot_of_an_unknown_entity_is_not_stored(subject) {
        let one = address("thing/1");
        take_snapshot(subject, &one, 1);
        always(subject, |subject| {
            assert_eq!(subject.counts(HERE), (0, 0));
            assert_eq!(snapshot_at(subject, &one, 9), None);
        });
    }

    fn a_snapshot_of_an_ended_life_is_not_stored(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        let end = crate::commands::Command::new(&one, 0);
        crate::commands::handle(subject, end.ends(stead_model::Lifecycle::EndsKeepingEvents));
        take_snapshot(subject, &one, 3);
        record(subject, &one, 1);
        take_snapshot(subject, &one, 2);
        always(subject, |subject| assert_eq!(snapshot_at(subject, &one, 9), None));
    }

    fn an_empty_snapshot_is_one(subject) {
        let one = address("thing/1");
        record(subject, &one, 1);
        let empty = SnapshotItem { state: vec![], ..snapshot(&one, 1) };
        commit(subject, vec![Item::Snapshot(empty)]);
        always(subject, |subject| {
            let found = subject.snapshot(HERE, &one, SequenceNumber(1)).expect("it is there");
            assert_eq!(found.state, b"");
        });
    }

    fn an_entitys_snapshots_are_its_own(subject) {
        let (one, two) = (address("thing/1"), address("thing/2"));
        record(subject, &one, 3);
        record(subject, &two, 3);
        for sequence in [1, 2, 3] {
            take_snapshot(subject, &two, sequence);
        }
        take_snapshot(subject, &one, 1);
        always(subject, |subject| {
            assert_eq!(snapshot_at(subject, &one, 9), Some(1));
            assert_eq!(snapshot_at(subject, &two, 9), Some(3));
            assert_eq!(snapshot_at(subject, &two, 1), None, "two of its own are kept");
        });
    }
}
