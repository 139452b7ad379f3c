//! Which entries are taken: each the next of its partition, of a term that
//! doesn't go back.

use stead_model::{Entry, LogIndex, PartitionId, Term};

use crate::{
    cases,
    commands::{
        Command, HERE, THERE, address, assert_inconsistent, commit_in, handle, last, next_entry,
        record,
    },
    subject::{PARTITIONS, Subject, always},
};

/// An entry of no consequence.
fn entry(subject: &dyn Subject, index: u64, term: u64) -> Entry {
    let entry = next_entry(subject, HERE, 0, vec![]);
    Entry { index: LogIndex(index), term: Term(term), ..entry }
}

cases! {
    fn a_gap_is_refused_and_the_right_entry_is_still_taken(subject) {
        let one = address("thing/1");
        record(subject, &one, 2);
        let ahead = entry(subject, 4, 1);
        assert_inconsistent(subject.append(ahead), LogIndex(4));
        record(subject, &one, 1);
        always(subject, |subject| {
            assert_eq!(last(subject, &one), 3);
            assert_eq!(subject.head(HERE).1.get(), 3);
        });
    }

    fn an_entry_may_not_be_appended_twice(subject) {
        let one = address("thing/1");
        record(subject, &one, 3);
        for index in [1, 3] {
            let again = entry(subject, index, 1);
            assert_inconsistent(subject.append(again), LogIndex(index));
        }
        always(subject, |subject| assert_eq!(subject.head(HERE).1.get(), 3));
    }

    fn the_first_entry_is_the_first(subject) {
        for index in [2, 0] {
            let wrong = entry(subject, index, 1);
            assert_inconsistent(subject.append(wrong), LogIndex(index));
        }
        always(subject, |subject| assert_eq!(subject.head(HERE).1.get(), 0));
    }

    fn a_term_may_go_on_and_not_back(subject) {
        for (index, term) in [(1, 3), (2, 3), (3, 8)] {
            let next = entry(subject, index, term);
            subject.append(next).expect("it is taken");
        }
        let old = entry(subject, 4, 7);
        assert_inconsistent(subject.append(old), LogIndex(4));
        let next = entry(subject, 4, 8);
        subject.append(next).expect("it is taken");
        always(subject, |subject| assert_eq!(subject.head(HERE).1.get(), 4));
    }

    fn an_old_term_is_refused_after_reopening_too(subject) {
        let first = entry(subject, 1, 5);
        subject.append(first).expect("it is taken");
        for how in [crate::subject::Reopening::Closed, crate::subject::Reopening::Killed] {
            subject.reopen(how);
            let old = entry(subject, 2, 4);
            assert_inconsistent(subject.append(old), LogIndex(2));
        }
    }

    fn what_was_built_on_a_refused_entry_is_refused_too(subject) {
        let ahead = [2, 3, 4].map(|index| entry(subject, index, 1));
        for (index, result) in [2, 3, 4].into_iter().zip(subject.append_all(ahead.to_vec())) {
            assert!(result.is_err(), "entry {index}");
        }
        let first = [1, 2].map(|index| entry(subject, index, 1));
        assert!(subject.append_all(first.to_vec()).iter().all(Result::is_ok));
        always(subject, |subject| assert_eq!(subject.head(HERE).1.get(), 2));
    }

    fn a_refused_entry_holds_no_other_partition_up(subject) {
        let one = address("thing/1");
        let wrong = entry(subject, 9, 1);
        assert_inconsistent(subject.append(wrong), LogIndex(9));
        commit_in(subject, THERE, 0, vec![Command::new(&one, 1).after(0)]);
        handle(subject, Command::new(&one, 1));
        always(subject, |subject| {
            assert_eq!((subject.head(HERE).1.get(), subject.head(THERE).1.get()), (1, 1));
        });
    }

    fn a_partition_that_is_not_there_takes_nothing(subject) {
        record(subject, &address("thing/1"), 1);
        // The one behind those of entities is the cluster's own.
        let partition = PartitionId(PARTITIONS + 1);
        let stray = Entry { partition, ..entry(subject, 1, 1) };
        assert_inconsistent(subject.append(stray), LogIndex(1));
        always(subject, |subject| assert_eq!(last(subject, &address("thing/1")), 1));
    }
}
