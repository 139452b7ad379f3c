//! What is there when the journal is opened again, and what only the journal
//! itself can show.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stead_journal::{JournalError, disk::sim::SimDisk};
use stead_model::{Item, OutcomeItem, PartitionId, SequenceNumber};

use crate::{
    cases,
    commands::{
        Command, HERE, THERE, address, caller, commit_in, last, next_entry, numbers, record, reply,
        snapshot_at, take_snapshot,
    },
    real::Real,
    subject::{Bounds, Reopening, Subject, always},
};

cases! {
    fn an_empty_journal_opens_again_empty(subject) {
        always(subject, |subject| {
            assert_eq!(subject.head(HERE).1.get(), 0);
            assert_eq!(subject.counts(HERE), (0, 0));
            assert_eq!(subject.entity(HERE, &address("thing/1")), None);
        });
    }

    fn writing_goes_on_after_every_way_of_opening(subject) {
        let one = address("thing/1");
        let ways = [Reopening::Closed, Reopening::Killed, Reopening::PowerLost(3)];
        for (round, how) in (1..).zip(ways.into_iter().cycle().take(9)) {
            record(subject, &one, 2);
            take_snapshot(subject, &one, round * 2);
            subject.reopen(how);
            assert_eq!(last(subject, &one), round * 2, "after {how:?}");
            assert_eq!(subject.head(HERE).1.get(), round * 3, "after {how:?}");
        }
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), Vec::from_iter(1..=18));
            assert_eq!(snapshot_at(subject, &one, 99), Some(18));
        });
    }

    fn a_partition_that_was_idle_for_long_keeps_its_head(subject) {
        let one = address("thing/1");
        commit_in(subject, THERE, 0, vec![Command::new(&one, 1).after(0)]);
        // Many segments of the log go by without it.
        for nth in 0..40_u64 {
            let item = Command::new(&one, 20).reply(vec![7; 1_000]).request(caller(&nth.to_string()));
            commit_in(subject, HERE, 0, vec![item.after(nth * 20)]);
        }
        subject.reopen(Reopening::Closed);
        subject.reopen(Reopening::Killed);
        always(subject, |subject| assert_eq!(subject.head(THERE).1.get(), 1));
        commit_in(subject, THERE, 0, vec![Command::new(&one, 1).after(1)]);
        always(subject, |subject| {
            assert_eq!(subject.head(THERE).1.get(), 2);
            assert!(reply(subject, &one, &caller("39")).is_some());
        });
    }
}

#[test]
fn entries_that_a_store_has_already_are_passed_over() {
    let mut subject = Real::simulated();
    let one = address("thing/1");
    record(&mut subject, &one, 5);
    // Long enough for a checkpoint to be made, while the log keeps the entries.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        std::thread::sleep(std::time::Duration::from_millis(60));
        subject.reopen(Reopening::PowerLost(1));
        assert_eq!(numbers(&subject, &one, Bounds::ALL), [1, 2, 3, 4, 5]);
        assert_eq!(subject.report.entries_read, 5);
        if subject.report.entries_applied == 0 {
            break;
        }
        assert!(std::time::Instant::now() < until, "no checkpoint was made");
    }
}

#[test]
fn a_clean_close_leaves_nothing_to_apply() {
    let mut subject = Real::simulated();
    record(&mut subject, &address("thing/1"), 5);
    subject.reopen(Reopening::Closed);
    assert_eq!(subject.report.entries_applied, 0);
    assert!(!subject.report.created);
}

#[test]
fn a_power_loss_leaves_a_command_whole_or_not_there() {
    let one = address("thing/1");
    let mut cut = 0;
    for points in 0..40 {
        let disk = SimDisk::new();
        let mut subject = Real::on(disk.clone());
        disk.lose_power_after(points);
        for nth in 0..6_u64 {
            let mut entry = next_entry(&subject, HERE, 0, vec![]);
            entry.index.0 = nth + 1;
            entry.items = vec![
                Command::new(&one, 7).request(caller(&format!("a-{nth}"))).after(nth * 10),
                Command::new(&one, 3).request(caller(&format!("b-{nth}"))).after(nth * 10 + 7),
            ];
            subject.hand_over(entry);
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
        subject.reopen(Reopening::PowerLost(points));
        let there = last(&subject, &one);
        assert_eq!(there % 10, 0, "half of an entry is there, power lost at {points}");
        assert_eq!(numbers(&subject, &one, Bounds::ALL), Vec::from_iter(1..=there));
        for nth in 0..6 {
            for key in ["a", "b"] {
                let kept = reply(&subject, &one, &caller(&format!("{key}-{nth}"))).is_some();
                assert_eq!(kept, nth < there / 10, "reply {key}-{nth}, {there} events");
            }
        }
        cut += u64::from(there < 60);
    }
    println!("{cut} of 40 runs were cut off");
    assert!(cut > 3, "too few were cut off");
}

#[test]
fn a_reader_never_sees_half_of_a_command() {
    let mut subject = Real::simulated();
    let one = address("thing/1");
    let reader = subject.reader(HERE);
    let (done, states) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut before = 0;
            while !done.load(Ordering::Acquire) {
                let record = reader.entity(&address("thing/1")).expect("read");
                let last = record.map_or(0, |record| record.last_sequence.get());
                assert_eq!(last % 7, 0, "half of a command is seen");
                let end = SequenceNumber(u64::MAX);
                let events = reader
                    .events(&address("thing/1"), SequenceNumber(1), end, usize::MAX, usize::MAX)
                    .expect("read");
                assert_eq!(events.len() % 7, 0, "half of a command is read");
                states.fetch_add(u64::from(last != before), Ordering::Release);
                before = last;
            }
        });
        let mut written = 0;
        while states.load(Ordering::Acquire) < 30 && !looking.is_finished() {
            commit_in(&mut subject, HERE, 0, vec![Command::new(&one, 7).after(written * 7)]);
            written += 1;
        }
        done.store(true, Ordering::Release);
        looking.join().expect("nothing was wrong");
    });
}

/// A program with a defect might number an entity's events wrongly. Nothing of
/// such an entry is shown, its partition is served no more, and the journal says
/// which entry it is; the other partitions go on.
#[test]
fn events_that_do_not_follow_on_end_their_partition_alone() {
    let mut subject = Real::simulated();
    let one = address("thing/1");
    record(&mut subject, &one, 2);
    let entry = next_entry(&subject, HERE, 0, vec![Command::new(&one, 2).after(5)]);
    let index = entry.index;
    let refused = subject.append(entry);
    match refused {
        Err(JournalError::Inconsistent { partition: PartitionId(0), index: at, what }) => {
            assert_eq!(at, index);
            assert!(what.contains("thing/1") && what.contains('3') && what.contains('6'), "{what}");
        }
        other => panic!("it was taken: {other:?}"),
    }
    let problems = subject.journal().status().problems;
    assert!(problems.iter().any(|problem| problem.contains("thing/1")), "{problems:?}");
    commit_in(&mut subject, THERE, 0, vec![Command::new(&one, 1).after(0)]);
    let read = subject.reader(HERE).entity(&one);
    assert!(matches!(read, Err(JournalError::Inconsistent { .. })), "{read:?}");
    // It is found again by whoever reads the log, and again keeps nothing else away.
    for how in [Reopening::Killed, Reopening::Closed, Reopening::Killed] {
        subject.reopen(how);
        let problems = subject.journal().status().problems;
        assert!(matches!(problems.as_slice(), [problem] if problem.contains("thing/1")));
        let there = subject.entity(THERE, &one).expect("it is there");
        let entry = next_entry(&subject, HERE, 0, vec![Command::new(&one, 1).after(2)]);
        let refused = subject.append(entry);
        assert!(matches!(refused, Err(JournalError::Inconsistent { .. })), "{refused:?}");
        let after = there.last_sequence.get();
        commit_in(&mut subject, THERE, 0, vec![Command::new(&one, 1).after(after)]);
    }
}

/// The helpers of the suite would hide what they don't pass on.
#[test]
fn a_command_in_few_words_says_all_of_an_outcome() {
    let item = Command::new(&address("thing/1"), 2).request(caller("key")).after(3);
    let Item::Outcome(OutcomeItem { first_sequence, events, request, .. }) = item else {
        panic!("it is an outcome");
    };
    assert_eq!((first_sequence.get(), events.len(), request), (4, 2, caller("key")));
}
