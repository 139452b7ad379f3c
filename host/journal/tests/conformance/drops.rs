//! Events behind a snapshot that are not kept.

use crate::{
    cases,
    commands::{
        HERE, address, drop_events, numbers, pass_time, record, record_of, snapshot_at,
        take_snapshot,
    },
    subject::{Bounds, always},
};

cases! {
    fn dropped_events_are_not_read(subject) {
        let one = address("thing/1");
        record(subject, &one, 6);
        drop_events(subject, &one, 5, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [4, 5, 6]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.to(3)), [0; 0]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(2).to(4)), [4]);
            assert_eq!(record_of(subject, &one).first_stored.get(), 4);
        });
    }

    fn many_dropped_events_are_hidden_at_once_and_deleted_in_the_end(subject) {
        let one = address("thing/1");
        for _ in 0..10 {
            crate::commands::handle(subject, crate::commands::Command::new(&one, 100));
        }
        drop_events(subject, &one, 1_000, 990);
        assert_eq!(numbers(subject, &one, Bounds::ALL), Vec::from_iter(991..=1_000));
        pass_time(subject, 0, 20);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), Vec::from_iter(991..=1_000));
            assert_eq!(subject.counts(HERE), (2, 10), "nothing of what was dropped is left");
        });
    }

    fn nothing_is_dropped_that_the_snapshot_does_not_hold(subject) {
        let one = address("thing/1");
        record(subject, &one, 6);
        drop_events(subject, &one, 4, 6);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [5, 6]);
        });
    }

    fn what_is_dropped_already_may_be_dropped_again(subject) {
        let one = address("thing/1");
        record(subject, &one, 6);
        drop_events(subject, &one, 4, 4);
        drop_events(subject, &one, 5, 2);
        drop_events(subject, &one, 6, 5);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [6]);
            assert_eq!(snapshot_at(subject, &one, 9), Some(6));
        });
    }

    fn a_snapshot_that_is_not_stored_drops_nothing(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        drop_events(subject, &one, 4, 2);
        let end = crate::commands::Command::new(&one, 0);
        crate::commands::handle(subject, end.ends(stead_model::Lifecycle::EndsKeepingEvents));
        drop_events(subject, &one, 3, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2, 3]);
            assert_eq!(record_of(subject, &one).first_stored.get(), 1);
        });
    }

    fn other_entities_keep_what_one_drops(subject) {
        let (one, two) = (address("thing/1"), address("thing/2"));
        record(subject, &one, 4);
        record(subject, &two, 4);
        drop_events(subject, &one, 4, 4);
        pass_time(subject, 0, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [0; 0]);
            assert_eq!(numbers(subject, &two, Bounds::ALL), [1, 2, 3, 4]);
        });
    }

    fn a_snapshot_alone_drops_nothing(subject) {
        let one = address("thing/1");
        record(subject, &one, 4);
        take_snapshot(subject, &one, 4);
        pass_time(subject, 0, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2, 3, 4]);
            assert_eq!(subject.counts(HERE).1, 4);
        });
    }
}
