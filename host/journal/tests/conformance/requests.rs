//! Replies that are kept for retries.

use stead_journal::FAR_OFF_KEPT_MS;
use stead_model::RequestId;

use crate::{
    cases,
    commands::{
        BEGIN_MS, Command, HERE, THERE, address, caller, commit_in, handle, handle_at, mint_many,
        minted, pass_time, reply,
    },
    real::Real,
    subject::always,
};

cases! {
    fn a_reply_is_found_as_it_was_given(subject) {
        let one = address("thing/1");
        for request in [caller("key"), minted(0, 1)] {
            let command = Command::new(&one, 2).digest(u128::MAX - 5).reply("so be it");
            handle(subject, command.request(request).expires_after(500));
        }
        always(subject, |subject| {
            for (request, sequence) in [(caller("key"), 2), (minted(0, 1), 4)] {
                let found = reply(subject, &one, &request).expect("it is kept");
                assert_eq!(found.reply, b"so be it");
                assert_eq!(found.digest.0, u128::MAX - 5);
                assert_eq!(found.sequence.get(), sequence);
                assert_eq!(found.expires.get(), BEGIN_MS + 500);
            }
        });
    }

    fn an_unknown_request_has_no_reply(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 1).request(caller("key")));
        always(subject, |subject| {
            for request in [caller("kez"), caller("ke"), caller("key2"), minted(0, 1)] {
                assert_eq!(reply(subject, &one, &request), None, "{request}");
            }
            assert_eq!(reply(subject, &address("thing/2"), &caller("key")), None);
        });
    }

    fn one_key_at_two_entities_is_two_requests(subject) {
        let (one, two) = (address("thing/1"), address("thing/2"));
        for request in [caller("key"), minted(0, 1)] {
            handle(subject, Command::new(&one, 1).request(request.clone()).reply("one"));
            handle(subject, Command::new(&two, 1).request(request).reply("two"));
        }
        always(subject, |subject| {
            for request in [caller("key"), minted(0, 1)] {
                let of = |address| reply(subject, address, &request).expect("it is kept").reply;
                assert_eq!((of(&one), of(&two)), (b"one".to_vec(), b"two".to_vec()));
            }
        });
    }

    fn one_key_in_two_partitions_is_two_requests(subject) {
        let one = address("thing/1");
        let command = |reply: &str| Command::new(&one, 1).request(minted(0, 1)).reply(reply);
        commit_in(subject, HERE, 0, vec![command("here").after(0)]);
        commit_in(subject, THERE, 0, vec![command("there").after(0)]);
        always(subject, |subject| {
            let of = |partition| {
                subject.reply(partition, &one, &minted(0, 1)).expect("it is kept").reply
            };
            assert_eq!((of(HERE), of(THERE)), (b"here".to_vec(), b"there".to_vec()));
        });
    }

    fn a_reply_is_kept_until_it_expires_by_the_logs_time(subject) {
        let one = address("thing/1");
        for request in [caller("key"), minted(0, 1)] {
            handle(subject, Command::new(&one, 1).request(request).expires_after(1_000));
        }
        pass_time(subject, 999, 3);
        always(subject, |subject| {
            assert!(reply(subject, &one, &caller("key")).is_some());
            assert!(reply(subject, &one, &minted(0, 1)).is_some());
        });
        mint_many(subject, 1_000);
        always(subject, |subject| {
            assert_eq!(reply(subject, &one, &caller("key")), None);
            assert_eq!(reply(subject, &one, &minted(0, 1)), None);
        });
    }

    fn only_the_logs_time_forgets(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 1).request(caller("key")).expires_after(1));
        // By any clock but the log's, it expired years ago.
        always(subject, |subject| assert!(reply(subject, &one, &caller("key")).is_some()));
    }

    fn many_expired_replies_are_all_forgotten_in_the_end(subject) {
        let one = address("thing/1");
        let request = |nth: u64| if nth.is_multiple_of(2) {
            caller(&format!("key-{nth}"))
        } else {
            minted(0, nth)
        };
        for nth in 0..60 {
            handle(subject, Command::new(&one, 0).request(request(nth)).expires_after(100));
        }
        handle(subject, Command::new(&one, 0).request(caller("kept")).expires_after(10_000));
        pass_time(subject, 200, 20);
        mint_many(subject, 200);
        always(subject, |subject| {
            for nth in 0..60 {
                assert_eq!(reply(subject, &one, &request(nth)), None, "{nth}");
            }
            assert!(reply(subject, &one, &caller("kept")).is_some());
        });
    }

    fn a_key_used_again_keeps_the_later_reply_for_its_whole_time(subject) {
        let one = address("thing/1");
        for request in [caller("key"), minted(0, 1)] {
            let command = |reply: &str| Command::new(&one, 1).request(request.clone()).reply(reply);
            handle(subject, command("first").digest(1).expires_after(100));
            handle_at(subject, 50, command("second").digest(2).expires_after(1_000));
        }
        pass_time(subject, 500, 5);
        always(subject, |subject| {
            for request in [caller("key"), minted(0, 1)] {
                let found = reply(subject, &one, &request).expect("it is kept");
                assert_eq!((found.reply, found.digest.0), (b"second".to_vec(), 2), "{request}");
            }
        });
        pass_time(subject, 1_000, 1);
        mint_many(subject, 1_000);
        always(subject, |subject| {
            for request in [caller("key"), minted(0, 1)] {
                assert_eq!(reply(subject, &one, &request), None, "{request}");
            }
        });
    }

    fn a_minted_id_is_not_a_callers_key_of_like_bytes(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 1).request(RequestId::Minted(7)).expires_after(500));
        always(subject, |subject| {
            assert!(reply(subject, &one, &RequestId::Minted(7)).is_some());
            assert_eq!(reply(subject, &one, &caller("7")), None);
            assert_eq!(reply(subject, &one, &RequestId::Minted(8)), None);
        });
    }

    fn a_minted_id_far_off_in_time_holds_no_other_up(subject) {
        let one = address("thing/1");
        // It sorts before all others, and is kept the longest.
        let old = RequestId::Minted(1);
        let late = 2 * FAR_OFF_KEPT_MS;
        handle(subject, Command::new(&one, 1).request(old.clone()).expires_after(late));
        // It sorts behind all others, and is kept the shortest.
        let ahead = RequestId::Minted(u128::MAX);
        handle(subject, Command::new(&one, 1).request(ahead.clone()).expires_after(10));
        handle(subject, Command::new(&one, 1).request(minted(0, 1)).expires_after(100));
        mint_many(subject, FAR_OFF_KEPT_MS + 200);
        always(subject, |subject| {
            assert!(reply(subject, &one, &old).is_some());
            assert_eq!(reply(subject, &one, &ahead), None);
            assert_eq!(reply(subject, &one, &minted(0, 1)), None);
        });
    }

    fn a_reply_without_events_is_kept(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 0).request(caller("key")).reply("nothing to do"));
        always(subject, |subject| {
            let found = reply(subject, &one, &caller("key")).expect("it is kept");
            assert_eq!((found.reply, found.sequence.get()), (b"nothing to do".to_vec(), 0));
        });
    }

    fn an_empty_reply_is_one(subject) {
        let one = address("thing/1");
        handle(subject, Command::new(&one, 1).request(caller("key")).reply(""));
        handle(subject, Command::new(&one, 1).request(minted(0, 1)).reply(""));
        always(subject, |subject| {
            for request in [caller("key"), minted(0, 1)] {
                assert_eq!(reply(subject, &one, &request).expect("it is kept").reply, b"");
            }
        });
    }

    fn keys_at_their_limit_are_kept_apart(subject) {
        let one = address("thing/1");
        let key = |last: char| caller(&format!("{}{last}", "k".repeat(127)));
        handle(subject, Command::new(&one, 1).request(key('a')).reply("a"));
        handle(subject, Command::new(&one, 1).request(key('b')).reply("b"));
        always(subject, |subject| {
            let of = |last| reply(subject, &one, &key(last)).map(|found| found.reply);
            assert_eq!((of('a'), of('b')), (Some(b"a".to_vec()), Some(b"b".to_vec())));
            assert_eq!(of('c'), None);
        });
    }
}

/// No case: the model forgets at once what has expired, and it may.
#[test]
fn the_newest_minted_ids_outlive_a_clock_that_is_ahead() {
    let subject = &mut Real::simulated();
    let one = address("thing/1");
    let far_off = minted(120_000, 1);
    for request in [minted(0, 1), far_off.clone()] {
        handle(subject, Command::new(&one, 1).request(request).expires_after(1_000));
    }
    // A leader comes whose clock is ahead.
    pass_time(subject, FAR_OFF_KEPT_MS, 8);
    always(subject, |subject| {
        assert!(reply(subject, &one, &minted(0, 1)).is_some());
        assert!(reply(subject, &one, &far_off).is_some());
    });
    mint_many(subject, FAR_OFF_KEPT_MS + 1_000);
    always(subject, |subject| {
        assert_eq!(reply(subject, &one, &minted(0, 1)), None);
        assert_eq!(reply(subject, &one, &far_off), None);
    });
}
