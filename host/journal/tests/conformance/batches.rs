//! Commands are recorded whole, and many at once.

use stead_model::Item;

use crate::{
    cases,
    commands::{
        Command, HERE, address, caller, commit, handle, last, next_entry, numbers, reply, snapshot,
        snapshot_at,
    },
    subject::{Bounds, always},
};

cases! {
    fn all_events_of_a_command_are_there_with_its_reply(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 7).request(caller("first")));
        handle(subject, Command::new(&one, 5).request(caller("second")));
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), Vec::from_iter(1..=12));
            let sequence = |key| reply(subject, &one, &caller(key)).map(|r| r.sequence.get());
            assert_eq!(sequence("first"), Some(7));
            assert_eq!(sequence("second"), Some(12));
        });
    }

    fn one_entry_holds_commands_of_many_entities_in_order(subject) {
        let (one, two) = (address("thing/1"), address("thing/2"));
        commit(subject, vec![
            Command::new(&one, 2).after(0),
            Command::new(&two, 1).after(0),
            Command::new(&one, 1).after(2),
            Item::Snapshot(snapshot(&one, 3)),
            Command::new(&two, 3).after(1),
            Command::new(&one, 1).after(3),
        ]);
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2, 3, 4]);
            assert_eq!(numbers(subject, &two, Bounds::ALL), [1, 2, 3, 4]);
            assert_eq!(snapshot_at(subject, &one, 9), Some(3));
        });
    }

    fn many_entries_under_way_at_once_are_all_taken(subject) {
        let one = address("thing/1");
        let first = next_entry(subject, HERE, 0, vec![]);
        let entries = (0..300_u64).map(|nth| {
            let mut entry = first.clone();
            entry.index.0 += nth;
            entry.items.push(Command::new(&one, 3).request(caller(&format!("{nth}"))).after(nth * 3));
            entry
        });
        let results = subject.append_all(entries.collect());
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), Vec::from_iter(1..=900));
            assert!((0..300).all(|n| reply(subject, &one, &caller(&format!("{n}"))).is_some()));
        });
    }

    fn an_entry_that_is_refused_leaves_nothing(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 2));
        let mut entry = next_entry(subject, HERE, 0, vec![]);
        entry.index.0 += 1;
        entry.items.push(Command::new(&one, 3).request(caller("refused")).after(2));
        subject.append(entry).expect_err("there is a gap");
        always(subject, |subject| {
            assert_eq!(last(subject, &one), 2);
            assert_eq!(reply(subject, &one, &caller("refused")), None);
        });
    }

    fn an_entry_without_items_counts(subject) {
        commit(subject, vec![]);
        commit(subject, vec![Command::new(&address("thing/1"), 1).after(0)]);
        always(subject, |subject| {
            assert_eq!(subject.head(HERE).1.get(), 2);
            assert_eq!(last(subject, &address("thing/1")), 1);
        });
    }
}
