//! Which events are read.

use crate::{
    cases,
    commands::{Command, HERE, address, event, events, handle, handle_at, numbers, record},
    subject::{Bounds, always},
};

cases! {
    fn all_events_are_read_in_order_as_they_were_recorded(subject) {
        let one = address("thing/1");
        handle_at(subject, 5, Command::new(&one, 2).version(3));
        handle_at(subject, 9, Command::new(&one, 1).version(4));
        always(subject, |subject| {
            let found = events(subject, &one, Bounds::ALL);
            let facts: Vec<_> = found
                .iter()
                .map(|e| (e.sequence.get(), e.at.get() - crate::commands::BEGIN_MS, e.version.get()))
                .collect();
            assert_eq!(facts, [(1, 5, 3), (2, 5, 3), (3, 9, 4)]);
            for (number, found) in (1..).zip(&found) {
                assert_eq!((&found.name, &found.body), (&event(number).name, &event(number).body));
            }
        });
    }

    fn both_bounds_are_included(subject) {
        let one = address("thing/1");
        record(subject, &one, 6);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(2).to(5)), [2, 3, 4, 5]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(4).to(4)), [4]);
        });
    }

    fn the_lower_bound_alone_reads_the_rest(subject) {
        let one = address("thing/1");
        record(subject, &one, 5);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(4)), [4, 5]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(5)), [5]);
        });
    }

    fn the_upper_bound_alone_reads_from_the_first(subject) {
        let one = address("thing/1");
        record(subject, &one, 5);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.to(3)), [1, 2, 3]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.to(1)), [1]);
        });
    }

    fn a_lower_bound_of_zero_is_the_first_event(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(0)), [1, 2, 3]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(0).to(0)), [0; 0]);
        });
    }

    fn the_count_bounds_what_is_read_from_the_lower_end(subject) {
        let one = address("thing/1");
        record(subject, &one, 6);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.count(2)), [1, 2]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.count(6)), [1, 2, 3, 4, 5, 6]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.count(7)), [1, 2, 3, 4, 5, 6]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.count(0)), [0; 0]);
        });
    }

    fn the_tightest_of_all_bounds_wins(subject) {
        let one = address("thing/1");
        record(subject, &one, 8);
        always(subject, |subject| {
            let two_to_seven = Bounds::ALL.from(2).to(7);
            assert_eq!(numbers(subject, &one, two_to_seven.count(3)), [2, 3, 4]);
            assert_eq!(numbers(subject, &one, two_to_seven.count(9)), [2, 3, 4, 5, 6, 7]);
            assert_eq!(numbers(subject, &one, two_to_seven.to(3).count(3)), [2, 3]);
            // Each event has 13 bytes: its name 7, its body 6.
            assert_eq!(numbers(subject, &one, two_to_seven.count(3).bytes(26)), [2, 3]);
            assert_eq!(numbers(subject, &one, two_to_seven.count(1).bytes(26)), [2]);
        });
    }

    fn the_bytes_bound_counts_names_and_bodies(subject) {
        let one = address("thing/1");
        record(subject, &one, 4);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.bytes(39)), [1, 2, 3]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.bytes(38)), [1, 2]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.bytes(52)), [1, 2, 3, 4]);
        });
    }

    fn one_event_is_read_however_few_the_bytes(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.bytes(0)), [1]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(3).bytes(1)), [3]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.bytes(0).count(0)), [0; 0]);
        });
    }

    fn a_lower_bound_past_the_last_event_reads_nothing(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(4)), [0; 0]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(u64::MAX)), [0; 0]);
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2, 3], "and the store is sound");
        });
    }

    fn an_upper_bound_past_the_last_event_reads_to_the_last(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(2).to(1_000)), [2, 3]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(3).to(u64::MAX)), [3]);
        });
    }

    fn bounds_the_wrong_way_round_read_nothing(subject) {
        let one = address("thing/1");
        record(subject, &one, 5);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(4).to(3)), [0; 0]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(u64::MAX).to(0)), [0; 0]);
        });
    }

    fn an_entity_that_recorded_nothing_has_no_events(subject) {
        let (known, unknown) = (address("thing/known"), address("thing/unknown"));
        handle(subject, Command::new(&known, 0));
        always(subject, |subject| {
            assert_eq!(numbers(subject, &known, Bounds::ALL), [0; 0]);
            assert_eq!(numbers(subject, &unknown, Bounds::ALL), [0; 0]);
            assert!(subject.entity(HERE, &unknown).is_none());
        });
    }

    fn an_entitys_events_are_its_own(subject) {
        let (one, two) = (address("thing/1"), address("thing/2"));
        let as_one = |nth: u64| vec![stead_model::Event {
            name: "of-one".into(),
            body: vec![1, nth as u8],
        }];
        for nth in 1..=3 {
            handle(subject, Command::new(&one, 0).events(as_one(nth)));
            handle(subject, Command::new(&two, 2));
        }
        always(subject, |subject| {
            let of_one = events(subject, &one, Bounds::ALL);
            assert_eq!(of_one.len(), 3);
            assert!(of_one.iter().all(|event| event.name == "of-one" && event.body[0] == 1));
            let of_two = events(subject, &two, Bounds::ALL);
            assert_eq!(of_two.len(), 6);
            assert!(of_two.iter().all(|event| event.name != "of-one"));
        });
    }
}
