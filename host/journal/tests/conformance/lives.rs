//! Entities that end, and begin again.

use stead_model::Lifecycle::{EndsKeepingEvents, EndsPurgingEvents};

use crate::{
    cases,
    commands::{
        Command, HERE, address, caller, handle, ids, last, numbers, pass_time, record, record_of,
        reply, snapshot_at, take_snapshot,
    },
    subject::{Bounds, always},
};

cases! {
    fn an_ended_life_that_keeps_its_events_can_be_read(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        handle(subject, Command::new(&one, 1).ends(EndsKeepingEvents));
        always(subject, |subject| {
            let record = record_of(subject, &one);
            assert_eq!(record.life_begins_after, record.last_sequence, "it has ended");
            assert_eq!(record.first_stored.get(), 1);
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2, 3, 4]);
        });
    }

    fn an_ended_life_that_purges_leaves_no_event(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        handle(subject, Command::new(&one, 1).ends(EndsPurgingEvents));
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [0; 0]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(4)), [0; 0]);
            let record = record_of(subject, &one);
            assert_eq!(record.life_begins_after, record.last_sequence);
            assert_eq!(record.first_stored.get(), 5);
        });
    }

    fn purged_events_are_deleted_in_the_end(subject) {
        let one = address("thing/1");
        for _ in 0..5 {
            handle(subject, Command::new(&one, 100));
        }
        handle(subject, Command::new(&one, 0).ends(EndsPurgingEvents));
        pass_time(subject, 0, 10);
        always(subject, |subject| assert_eq!(subject.counts(HERE), (2, 0)));
    }

    fn a_life_ends_with_its_snapshots(subject) {
        let (kept, purged) = (address("thing/kept"), address("thing/purged"));
        for (address, end) in [(&kept, EndsKeepingEvents), (&purged, EndsPurgingEvents)] {
            record(subject, address, 4);
            take_snapshot(subject, address, 2);
            take_snapshot(subject, address, 4);
            handle(subject, Command::new(address, 0).ends(end));
        }
        always(subject, |subject| {
            assert_eq!(snapshot_at(subject, &kept, u64::MAX), None);
            assert_eq!(snapshot_at(subject, &purged, u64::MAX), None);
        });
    }

    fn a_new_life_begins_after_the_old_one(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        handle(subject, Command::new(&one, 0).ends(EndsKeepingEvents));
        record(subject, &one, 2);
        always(subject, |subject| {
            let record = record_of(subject, &one);
            assert_eq!(record.life_begins_after.get(), 3);
            assert_eq!(record.last_sequence.get(), 5);
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2, 3, 4, 5], "the old are kept");
        });
    }

    fn a_new_life_has_its_own_snapshots(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        take_snapshot(subject, &one, 3);
        handle(subject, Command::new(&one, 0).ends(EndsKeepingEvents));
        record(subject, &one, 2);
        assert_eq!(snapshot_at(subject, &one, 9), None);
        take_snapshot(subject, &one, 5);
        always(subject, |subject| {
            assert_eq!(snapshot_at(subject, &one, 9), Some(5));
            assert_eq!(snapshot_at(subject, &one, 4), None);
        });
    }

    fn purging_a_later_life_deletes_the_earlier_ones_too(subject) {
        let one = address("thing/1");
        record(subject, &one, 2);
        handle(subject, Command::new(&one, 0).ends(EndsKeepingEvents));
        record(subject, &one, 2);
        handle(subject, Command::new(&one, 0).ends(EndsPurgingEvents));
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [0; 0]);
            assert_eq!(last(subject, &one), 4);
        });
    }

    fn keeping_a_later_life_brings_no_purged_one_back(subject) {
        let one = address("thing/1");
        record(subject, &one, 2);
        handle(subject, Command::new(&one, 0).ends(EndsPurgingEvents));
        record(subject, &one, 2);
        handle(subject, Command::new(&one, 0).ends(EndsKeepingEvents));
        record(subject, &one, 1);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [3, 4, 5]);
            assert_eq!(record_of(subject, &one).life_begins_after.get(), 4);
        });
    }

    fn a_life_may_end_before_anything_was_recorded(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 0).ends(EndsPurgingEvents));
        record(subject, &one, 1);
        always(subject, |subject| {
            let record = record_of(subject, &one);
            assert_eq!((record.life_begins_after.get(), record.last_sequence.get()), (0, 1));
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1]);
        });
    }

    fn replies_outlive_the_life_that_gave_them(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 2).request(caller("before")));
        let end = Command::new(&one, 1).request(caller("end")).reply("gone");
        handle(subject, end.ends(EndsPurgingEvents));
        always(subject, |subject| {
            let kept = |key| reply(subject, &one, &caller(key)).map(|r| (r.reply, r.sequence.get()));
            assert_eq!(kept("before"), Some((b"done".to_vec(), 2)));
            assert_eq!(kept("end"), Some((b"gone".to_vec(), 3)));
        });
    }

    fn an_ended_entity_is_still_listed(subject) {
        let one = address("thing/1");
        record(subject, &one, 1);
        handle(subject, Command::new(&one, 0).ends(EndsPurgingEvents));
        always(subject, |subject| assert_eq!(ids(subject, "thing", None, 9), ["1"]));
    }
}
