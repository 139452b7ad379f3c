//! Sequence numbers: dense, from 1, never used again.

use stead_model::Lifecycle;

use crate::{
    cases,
    commands::{Command, HERE, address, drop_events, handle, last, numbers, record, record_of},
    subject::{Bounds, always},
};

cases! {
    fn the_last_number_is_known_without_replay(subject) {
        let one = address("thing/1");
        record(subject, &one, 2);
        handle(subject, Command::new(&one, 5));
        always(subject, |subject| {
            let record = record_of(subject, &one);
            assert_eq!(record.last_sequence.get(), 7);
            assert_eq!(record.life_begins_after.get(), 0);
            assert_eq!(record.first_stored.get(), 1);
        });
    }

    fn an_entity_known_only_by_replies_is_at_number_zero(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 0));
        always(subject, |subject| {
            let record = record_of(subject, &one);
            assert_eq!(record.last_sequence.get(), 0);
            assert_eq!(record.first_stored.get(), 1);
            assert_eq!(subject.counts(HERE), (1, 0));
        });
    }

    fn a_command_without_events_takes_no_number(subject) {
        let one = address("thing/1");
        record(subject, &one, 1);
        handle(subject, Command::new(&one, 0));
        record(subject, &one, 1);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2]);
        });
    }

    fn the_last_number_survives_the_purge_of_all_events(subject) {
        let one = address("thing/1");
        record(subject, &one, 4);
        handle(subject, Command::new(&one, 1).ends(Lifecycle::EndsPurgingEvents));
        always(subject, |subject| {
            assert_eq!(last(subject, &one), 5);
            assert_eq!(numbers(subject, &one, Bounds::ALL), [0; 0]);
        });
    }

    fn the_last_number_survives_the_drop_of_all_events(subject) {
        let one = address("thing/1");
        record(subject, &one, 4);
        drop_events(subject, &one, 4, 4);
        always(subject, |subject| {
            assert_eq!(last(subject, &one), 4);
            assert_eq!(record_of(subject, &one).first_stored.get(), 5);
        });
    }

    fn numbers_go_on_after_a_purge(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        handle(subject, Command::new(&one, 0).ends(Lifecycle::EndsPurgingEvents));
        record(subject, &one, 2);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [4, 5]);
            assert_eq!(last(subject, &one), 5);
        });
    }

    fn numbers_go_on_after_a_purge_and_reopening(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        handle(subject, Command::new(&one, 0).ends(Lifecycle::EndsPurgingEvents));
        subject.reopen(crate::subject::Reopening::Killed);
        record(subject, &one, 1);
        subject.reopen(crate::subject::Reopening::Closed);
        record(subject, &one, 1);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [4, 5]);
        });
    }

    fn numbers_go_on_after_a_drop(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        drop_events(subject, &one, 3, 3);
        record(subject, &one, 2);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [4, 5]);
            assert_eq!(last(subject, &one), 5);
        });
    }
}
