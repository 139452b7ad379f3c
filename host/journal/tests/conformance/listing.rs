//! Entities by type, in order, a page at a time.

use stead_model::{EntityId, EntityType};

use crate::{
    cases,
    commands::{
        Command, HERE, THERE, address, caller, commit_in, handle, ids, last, numbers, record,
        reply, snapshot_at, take_snapshot,
    },
    subject::{Bounds, always},
};

/// Ids that sort one way by bytes and another by many a collation; some are
/// prefixes of others.
const IDS: [&str; 12] = [" ", "!", "1", "10", "2", "A", "a", "a/b", "a b", "aé", "é", "🛒"];

cases! {
    fn entities_are_listed_in_the_order_of_their_bytes(subject) {
        for id in IDS.iter().rev() {
            record(subject, &address(&format!("thing/{id}")), 1);
        }
        let mut sorted = IDS.map(str::to_owned);
        sorted.sort();
        always(subject, |subject| {
            assert_eq!(ids(subject, "thing", None, usize::MAX), sorted);
            assert_eq!(subject.counts(HERE), (12, 12));
        });
    }

    fn pages_of_any_size_make_the_whole_list(subject) {
        for id in IDS {
            record(subject, &address(&format!("thing/{id}")), 1);
        }
        always(subject, |subject| {
            let whole = ids(subject, "thing", None, usize::MAX);
            for size in 1..=13 {
                let mut pages: Vec<String> = Vec::new();
                // Pages that overlap would never come to an end.
                while pages.len() <= whole.len() {
                    let page = ids(subject, "thing", pages.last().map(String::as_str), size);
                    assert!(page.len() <= size);
                    if page.is_empty() {
                        break;
                    }
                    pages.extend(page);
                }
                assert_eq!(pages, whole, "by {size}");
            }
            assert_eq!(ids(subject, "thing", None, 0), [""; 0]);
        });
    }

    fn a_page_may_begin_after_an_id_that_is_not_there(subject) {
        for id in ["b", "d", "f"] {
            record(subject, &address(&format!("thing/{id}")), 1);
        }
        always(subject, |subject| {
            assert_eq!(ids(subject, "thing", Some("a"), 9), ["b", "d", "f"]);
            assert_eq!(ids(subject, "thing", Some("c"), 1), ["d"]);
            assert_eq!(ids(subject, "thing", Some("dd"), 9), ["f"]);
            assert_eq!(ids(subject, "thing", Some("z"), 9), [""; 0]);
        });
    }

    fn types_are_listed_apart_though_one_begins_with_the_other(subject) {
        for name in ["cart/1", "cart-old/2", "cart2/3", "car/4", "cart/t"] {
            record(subject, &address(name), 1);
        }
        always(subject, |subject| {
            assert_eq!(ids(subject, "cart", None, 9), ["1", "t"]);
            assert_eq!(ids(subject, "cart-old", None, 9), ["2"]);
            assert_eq!(ids(subject, "car", None, 9), ["4"]);
            assert_eq!(ids(subject, "ca", None, 9), [""; 0]);
            assert_eq!(ids(subject, "cart", Some("1"), 9), ["t"], "and not the next type's");
        });
    }

    fn entities_whose_ids_begin_alike_are_apart(subject) {
        let all = ["a", "aa", "aaa", "a/", "a/a"].map(|id| address(&format!("thing/{id}")));
        for (count, address) in (1..).zip(&all) {
            record(subject, address, count);
            take_snapshot(subject, address, count);
            let key = caller("key");
            handle(subject, Command::new(address, 0).request(key).reply(address.to_string()));
        }
        always(subject, |subject| {
            for (count, address) in (1..).zip(&all) {
                assert_eq!(numbers(subject, address, Bounds::ALL), Vec::from_iter(1..=count));
                assert_eq!(snapshot_at(subject, address, u64::MAX), Some(count));
                let found = reply(subject, address, &caller("key")).expect("it is kept");
                assert_eq!(found.reply, address.to_string().into_bytes());
            }
        });
    }

    fn ids_and_types_at_their_limits_are_like_any_other(subject) {
        let long_type = "t".repeat(64);
        // 512 bytes, of one, two and four bytes a character.
        let long = ["x".repeat(512), "é".repeat(256), "🛒".repeat(128)];
        let odd = ["\u{a0}", "\u{fffd}", "e\u{301}", "\u{10ffff}", "%2F", "..", "\u{feff}"];
        let all: Vec<String> =
            long.into_iter().chain(odd.into_iter().map(str::to_owned)).collect();
        for id in &all {
            handle(subject, Command::new(&address(&format!("{long_type}/{id}")), 2));
        }
        let mut sorted = all.clone();
        sorted.sort();
        always(subject, |subject| {
            assert_eq!(ids(subject, &long_type, None, usize::MAX), sorted);
            for id in &all {
                assert_eq!(last(subject, &address(&format!("{long_type}/{id}"))), 2, "{id}");
            }
            let composed = address(&format!("{long_type}/\u{e9}"));
            assert_eq!(last(subject, &composed), 0, "ids are not normalised");
        });
    }

    fn partitions_know_nothing_of_each_other(subject) {
        let one = address("thing/1");
        commit_in(subject, HERE, 0, vec![Command::new(&one, 2).after(0)]);
        for nth in 0..3 {
            commit_in(subject, THERE, 0, vec![Command::new(&one, 1).after(nth)]);
        }
        commit_in(subject, THERE, 0, vec![Command::new(&address("thing/2"), 1).after(0)]);
        always(subject, |subject| {
            let last = |partition| {
                subject.entity(partition, &one).map(|record| record.last_sequence.get())
            };
            assert_eq!((last(HERE), last(THERE)), (Some(2), Some(3)));
            assert_eq!((subject.head(HERE).1.get(), subject.head(THERE).1.get()), (1, 4));
            let of_type = EntityType::new("thing").expect("a type");
            let listed = |partition| subject.entities(partition, &of_type, None, 9).len();
            assert_eq!((listed(HERE), listed(THERE)), (1, 2));
            let after = EntityId::new("1").expect("an id");
            assert_eq!(subject.entities(HERE, &of_type, Some(&after), 9).len(), 0);
        });
    }
}
