//! What is small and what is large.

use stead_model::{Event, Item, SequenceNumber, SnapshotItem};

use crate::{
    cases,
    commands::{Command, HERE, address, caller, commit, events, handle, numbers, reply, snapshot},
    subject::{Bounds, always},
};

/// Bytes that no two places have alike.
fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + at / 251 + seed) % 256) as u8).collect()
}

cases! {
    fn large_events_and_replies_are_as_they_were(subject) {
        let one = address("thing/1");
        // Over a segment of the log, and the most that an outcome may have.
        let large = Event { name: "large".into(), body: bytes(4 << 20, 1) };
        let command = Command::new(&one, 0).events(vec![large.clone()]).request(caller("key"));
        handle(subject, command.reply(bytes(1 << 20, 2)));
        handle(subject, Command::new(&one, 1));
        always(subject, |subject| {
            let found = events(subject, &one, Bounds::ALL.count(1));
            assert!(found[0].body == large.body, "another body");
            let found = reply(subject, &one, &caller("key")).expect("it is kept");
            assert!(found.reply == bytes(1 << 20, 2), "another reply");
            assert_eq!(numbers(subject, &one, Bounds::ALL), [1, 2]);
            assert_eq!(numbers(subject, &one, Bounds::ALL.bytes(4 << 20)), [1]);
        });
    }

    fn large_snapshots_are_as_they_were(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 2));
        for sequence in [1, 2] {
            let state = bytes(3 << 20, sequence as usize);
            let item = SnapshotItem { state, ..snapshot(&one, sequence) };
            commit(subject, vec![Item::Snapshot(item)]);
        }
        always(subject, |subject| {
            for sequence in [1, 2] {
                let found = subject.snapshot(HERE, &one, SequenceNumber(sequence));
                assert!(found.expect("there").state == bytes(3 << 20, sequence as usize));
            }
        });
    }

    fn empty_bodies_and_odd_names_are_as_they_were(subject) {
        let one = address("thing/1");
        let all = ["", "é", "a\0b", "line\nline"].map(|name| Event { name: name.into(), body: vec![] });
        handle(subject, Command::new(&one, 0).events(all.to_vec()));
        handle(subject, Command::new(&one, 0).events(vec![
            Event { name: "zeros".into(), body: vec![0; 10_000] },
            Event { name: "ones".into(), body: vec![255; 10_000] },
        ]));
        always(subject, |subject| {
            let found = events(subject, &one, Bounds::ALL);
            for (found, event) in found.iter().zip(&all) {
                assert_eq!((&found.name, &found.body), (&event.name, &event.body));
            }
            assert_eq!(found.len(), 6);
            assert!(found[4].body == [0; 10_000] && found[5].body == [255; 10_000]);
        });
    }

    fn a_thousand_events_of_one_command_are_all_there(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 1_000));
        always(subject, |subject| {
            assert_eq!(numbers(subject, &one, Bounds::ALL), Vec::from_iter(1..=1_000));
            assert_eq!(numbers(subject, &one, Bounds::ALL.from(500).count(2)), [500, 501]);
        });
    }
}
