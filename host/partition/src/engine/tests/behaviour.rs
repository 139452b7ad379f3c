//! One behaviour a test.

use stead_model::{RequestId, TimestampMs};

use super::{
    guests::Code,
    house::{EVERY_10, House, NEVER, address, deployment},
};
use crate::{Answer, AppendFailure, EngineConfig, Input, Ticket, ports::GuestFault};

fn small() -> EngineConfig {
    EngineConfig { replay_events: 7, replays_max: 2, ..EngineConfig::default() }
}

#[test]
fn a_reply_waits_for_the_commit_and_the_next_command_does_not() {
    let mut house = House::plain();
    let first = house.command("a", "add", "2");
    let second = house.command("a", "add", "3");
    house.turns();
    assert_eq!((house.answer(first), house.answer(second)), (None, None));
    assert_eq!(house.natives.calls().handled, 2, "both were handled before any commit");
    house.commit_one();
    assert_eq!((house.reply(first), house.reply(second)), ("2 ".into(), "5 ".into()));
}

#[test]
fn a_query_that_saw_uncommitted_state_waits_for_its_commit() {
    let mut house = House::plain();
    house.command("a", "add", "2");
    let query = house.query("a");
    house.turns();
    assert_eq!(house.answer(query), None);
    let other = house.query("b");
    assert_eq!(house.reply(other), "0 ", "another entity's state is not waited for");
    house.commit_one();
    assert_eq!(house.reply(query), "2 ");
}

#[test]
fn a_rejection_that_saw_uncommitted_state_waits_for_its_commit() {
    let mut house = House::plain();
    house.command("a", "add", "2");
    let rejected = house.command("a", "no", "not today");
    house.turns();
    assert_eq!(house.answer(rejected), None);
    house.commit_one();
    assert!(
        matches!(house.answer(rejected), Some(Answer::Rejected(no)) if no.message == "not today")
    );
    house.settle();
    assert_eq!(house.store.get(&address("a")).last, 1, "a rejection records nothing");
}

#[test]
fn a_retry_gets_the_first_reply_whatever_became_of_the_batch() {
    let mut house = House::plain();
    let mut retries = vec![house.command_under("k", "a", "add", "2")];
    retries.push(house.command_under("k", "a", "add", "2"));
    house.turns();
    retries.push(house.command_under("k", "a", "add", "2"));
    house.commit_one();
    retries.push(house.command_under("k", "a", "add", "2"));
    house.apply_one();
    retries.push(house.command_under("k", "a", "add", "2"));
    house.settle();
    house.restart();
    retries.push(house.command_under("k", "a", "add", "2"));
    house.settle();
    for retry in retries {
        assert_eq!(house.reply(retry), "2 ");
    }
    assert_eq!(house.store.get(&address("a")).last, 1);
}

#[test]
fn a_key_used_for_another_request_is_refused() {
    let mut house = House::plain();
    house.command_under("k", "a", "add", "2");
    let other_body = house.command_under("k", "a", "add", "3");
    let other_name = house.command_under("k", "a", "say", "2");
    house.settle();
    let later = house.command_under("k", "a", "add", "3");
    let elsewhere = house.command_under("k", "b", "add", "3");
    house.settle();
    for reused in [other_body, other_name, later] {
        assert_eq!(house.answer(reused), Some(&Answer::KeyReused));
    }
    assert_eq!(house.reply(elsewhere), "3 ", "keys are per entity");
}

#[test]
fn a_key_whose_time_is_over_is_as_good_as_new() {
    let mut house = House::plain();
    house.command_under("k", "a", "add", "2");
    house.settle();
    let kept_ms = EngineConfig::default().requests.caller_key_retention_ms;
    house.now = house.now.plus_ms(kept_ms - 1);
    let in_time = house.command_under("k", "a", "add", "2");
    let reused = house.command_under("k", "a", "add", "3");
    house.settle();
    assert_eq!(house.reply(in_time), "2 ");
    assert_eq!(house.answer(reused), Some(&Answer::KeyReused));
    house.now = house.now.plus_ms(1);
    let anew = house.command_under("k", "a", "add", "3");
    house.settle();
    let retried = house.command_under("k", "a", "add", "3");
    house.settle();
    assert_eq!((house.reply(anew), house.reply(retried)), ("5 ".into(), "5 ".into()));
}

/// Only whoever minted it asks again, whatever time this leader thinks it is.
#[test]
fn a_minted_id_is_never_as_good_as_new() {
    let mut house = House::plain();
    let minted = RequestId::mint(TimestampMs(1), 7);
    let first = house.send(minted.clone(), true, "a", "add", "2");
    house.settle();
    let kept_ms = EngineConfig::default().requests.minted_id_retention_ms;
    house.now = house.now.plus_ms(2 * kept_ms);
    let again = house.send(minted, false, "a", "add", "2");
    house.settle();
    assert_eq!((house.reply(first), house.reply(again)), ("2 ".into(), "2 ".into()));
}

#[test]
fn a_command_that_did_nothing_is_logged_only_under_a_callers_key() {
    let mut house = House::plain();
    let minted = RequestId::mint(TimestampMs(1), 7);
    let ticket = house.send(minted, true, "a", "nothing", "");
    house.turns();
    assert_eq!(house.reply(ticket), "0 ");
    assert!(house.log.is_empty());
    house.command("a", "nothing", "");
    house.turns();
    assert_eq!(house.log.len(), 1);
}

#[test]
fn outcomes_of_many_entities_share_a_batch() {
    let mut house = House::plain();
    for id in 0..100 {
        house.command(&id.to_string(), "add", "1");
    }
    house.turns();
    assert_eq!(house.log.len(), 1);
    assert_eq!(house.log[0].1.len(), 100);
}

#[test]
fn batches_and_what_is_in_flight_are_bounded_and_nothing_is_lost() {
    let config = EngineConfig { batch_items_max: 3, in_flight_max: 2, ..EngineConfig::default() };
    let mut house = House::new(config);
    let tickets: Vec<_> = (0..20).map(|_| house.command("a", "add", "1")).collect();
    house.turns();
    assert_eq!(house.log.len(), 2);
    assert!(house.log.iter().all(|(_, items)| items.len() <= 3));
    house.settle();
    for (sum, ticket) in (1..).zip(tickets) {
        assert_eq!(house.reply(ticket), format!("{sum} "));
    }
}

#[test]
fn mailboxes_are_bounded() {
    let config = EngineConfig {
        batch_items_max: 1,
        in_flight_max: 1,
        entity_waiting_max: 2,
        waiting_max: 3,
        ..EngineConfig::default()
    };
    let mut house = House::new(config);
    house.command("a", "add", "1");
    let waiting: Vec<_> = (0..2).map(|_| house.command("a", "add", "1")).collect();
    let refused = house.command("a", "add", "1");
    let other = house.command("b", "add", "1");
    let full = house.command("c", "add", "1");
    for ticket in [refused, full] {
        assert_eq!(house.answer(ticket), Some(&Answer::MailboxFull));
    }
    house.settle();
    for ticket in waiting.into_iter().chain([other]) {
        house.reply(ticket);
    }
}

#[test]
fn a_deadline_that_passed_before_the_command_began_means_not_done() {
    let config = EngineConfig { batch_items_max: 1, in_flight_max: 1, ..EngineConfig::default() };
    let mut house = House::new(config);
    house.command("a", "add", "1");
    house.turns();
    house.command("a", "add", "1");
    let late = house.command("a", "add", "1");
    house.now = house.now.plus_ms(61_000);
    house.settle();
    assert_eq!(house.answer(late), Some(&Answer::DeadlinePassed));
    assert_eq!(house.store.get(&address("a")).last, 2);
}

#[test]
fn unknown_types_and_names_are_told_what_there_is() {
    let mut house = House::plain();
    let unknown = house.command("a", "frobnicate", "");
    assert!(
        matches!(house.answer(unknown), Some(Answer::UnknownName { known }) if known.contains(&"add".to_owned()))
    );
    house.input(Input::Undeploy(address("a").entity_type));
    let gone = house.command("a", "add", "1");
    assert_eq!(house.answer(gone), Some(&Answer::UnknownType));
}

#[test]
fn an_entity_comes_back_as_it_was() {
    let mut house = House::new(small());
    for number in 0..30 {
        house.done("a", "add", &number.to_string());
    }
    house.done("a", "say", "hello");
    house.restart();
    assert_eq!(house.shown("a"), "435 hello");
    assert!(house.natives.calls().applied_events >= 31, "by replay");
}

#[test]
fn a_long_replay_does_not_hold_up_its_neighbours() {
    let mut house = House::new(small());
    house.done("long", "many", "500");
    house.restart();
    let long = house.query("long");
    house.turn();
    let short = house.command("short", "add", "1");
    house.turn();
    house.commit_one();
    assert_eq!(house.reply(short), "1 ");
    assert_eq!(house.answer(long), None);
    house.settle();
    assert_eq!(house.reply(long), "500 ");
}

#[test]
fn only_so_many_are_replayed_at_once_and_all_get_their_turn() {
    let mut house = House::new(small());
    for id in 0..6 {
        house.done(&id.to_string(), "many", "50");
    }
    house.restart();
    let tickets: Vec<_> = (0..6).map(|id| house.query(&id.to_string())).collect();
    house.settle();
    for ticket in tickets {
        assert_eq!(house.reply(ticket), "50 ");
    }
}

#[test]
fn a_snapshot_is_stored_and_replay_starts_there() {
    let mut house = House::new(small());
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    for _ in 0..25 {
        house.done("a", "add", "1");
    }
    let stored = house.store.get(&address("a"));
    assert_eq!(stored.snapshots.keys().copied().collect::<Vec<_>>(), [10, 20]);
    house.restart();
    let before = house.natives.calls().applied_events;
    assert_eq!(house.shown("a"), "25 ");
    assert_eq!(house.natives.calls().applied_events - before, 5);
}

#[test]
fn a_hot_entity_gets_its_snapshots_while_it_is_never_at_rest() {
    let mut house = House::new(small());
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    for _ in 0..200 {
        house.command("a", "add", "1");
        house.turn();
        if house.log.len() > 2 {
            house.commit_one();
        }
        if house.committed.len() > 2 {
            house.apply_one();
        }
    }
    assert!(!house.store.get(&address("a")).snapshots.is_empty());
}

#[test]
fn a_snapshot_that_lies_is_never_stored_and_the_state_stays_right() {
    let mut house = House::plain();
    let code = Code { lying: true, ..Code::sound() };
    house.deploy(deployment(1, code, EVERY_10));
    for _ in 0..35 {
        house.done("a", "add", "1");
    }
    assert!(house.store.get(&address("a")).snapshots.is_empty());
    assert_eq!(house.shown("a"), "35 ");
    let counters = house.engine.counters(&house.natives);
    assert_eq!(counters.audits_failed, 1, "one is enough to turn them off");
}

#[test]
fn state_changed_without_an_event_is_found_and_undone() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    house.done("a", "add", "1");
    house.done("a", "cheat", "");
    assert_eq!(house.shown("a"), "2 ", "the live entity believes it");
    for _ in 0..10 {
        house.done("a", "add", "1");
    }
    assert_eq!(house.shown("a"), "11 ", "the journal does not");
    assert!(house.store.get(&address("a")).snapshots.is_empty());
}

#[test]
fn a_snapshot_can_be_asked_for() {
    let mut house = House::plain();
    let none = house.tickets;
    house.input(Input::TakeSnapshot { ticket: Ticket(900), address: address("a") });
    house.settle();
    assert!(matches!(house.answer(Ticket(900)), Some(Answer::SnapshotRefused(_))), "{none}");
    house.done("a", "add", "1");
    house.input(Input::TakeSnapshot { ticket: Ticket(901), address: address("a") });
    house.turns();
    assert_eq!(house.answer(Ticket(901)), None);
    house.settle();
    assert!(matches!(house.answer(Ticket(901)), Some(Answer::SnapshotStored(n)) if n.get() == 1));
    assert_eq!(house.store.get(&address("a")).snapshots.len(), 1);
}

#[test]
fn events_behind_a_snapshot_are_dropped_as_the_type_says() {
    let mut house = House::plain();
    let manifest = r#"{"type":"thing","snapshot":{"every-events":10,"every-bytes":0},
        "retention":{"events-behind-snapshot":3}}"#;
    house.deploy(deployment(1, Code::sound(), manifest));
    for _ in 0..12 {
        house.done("a", "add", "1");
    }
    assert_eq!(house.store.get(&address("a")).first, 8);
    house.restart();
    assert_eq!(house.shown("a"), "12 ");
    let other = Code { formats: vec![2], ..Code::sound() };
    house.deploy(deployment(2, other, manifest));
    let query = house.query("a");
    house.settle();
    assert!(
        matches!(house.answer(query), Some(Answer::Unreadable(why)) if why.contains("no longer"))
    );
}

#[test]
fn a_trap_records_nothing_and_neighbours_lose_nothing() {
    let mut house = House::plain();
    house.done("a", "add", "1");
    house.done("b", "add", "5");
    let uncommitted = house.command("b", "add", "1");
    let trapped = house.command("a", "trap", "");
    assert!(matches!(
        house.answer(trapped),
        Some(Answer::Fault { fault: GuestFault::Trap(_), .. })
    ));
    let after = house.command("b", "add", "1");
    let again = house.command("a", "add", "1");
    house.settle();
    assert_eq!(house.reply(uncommitted), "6 ");
    assert_eq!(house.reply(after), "7 ");
    assert_eq!(house.reply(again), "2 ");
}

#[test]
fn one_that_trapped_is_kept_apart_and_takes_nobody_down_again() {
    let mut house = House::plain();
    house.done("a", "add", "1");
    house.command("a", "trap", "");
    house.settle();
    house.done("a", "add", "1");
    house.done("b", "add", "1");
    let instances = house.natives.calls().instantiated;
    let restored = house.natives.calls().created;
    for _ in 0..5 {
        house.command("a", "trap", "");
        house.settle();
        assert_eq!(house.shown("b"), "1 ");
    }
    assert_eq!(house.natives.calls().created, restored + 4, "only the bad one is rebuilt");
    assert!(house.natives.calls().instantiated > instances);
    house.now = house.now.plus_ms(EngineConfig::default().quarantine_ms + 1);
    house.turns();
    assert_eq!(house.shown("a"), "2 ");
}

#[test]
fn what_gave_back_too_much_is_rebuilt_and_its_instance_lives() {
    let mut house = House::plain();
    house.done("a", "add", "1");
    house.done("b", "add", "1");
    let instances = house.natives.calls().instantiated;
    let refused = house.command("a", "refuse", "");
    house.settle();
    assert!(matches!(
        house.answer(refused),
        Some(Answer::Fault { fault: GuestFault::Refused(_), .. })
    ));
    assert_eq!(house.shown("a"), "1 ", "the polluted state is gone");
    assert_eq!(house.natives.calls().instantiated, instances);
}

#[test]
fn a_constructor_that_traps_is_left_alone_for_a_while() {
    let mut house = House::plain();
    house.done("b", "add", "1");
    let first = house.command("stillborn", "add", "1");
    assert!(matches!(house.answer(first), Some(Answer::Fault { .. })));
    let second = house.command("stillborn", "add", "1");
    assert_eq!(house.answer(second), house.answer(first), "the same incident: it wasn't tried");
    assert_eq!(house.shown("b"), "1 ");
    house.now = house.now.plus_ms(EngineConfig::default().unreadable_retry_ms);
    let third = house.command("stillborn", "add", "1");
    assert!(matches!(house.answer(third), Some(Answer::Fault { .. })));
    assert_ne!(house.answer(third), house.answer(first), "it was tried again");
}

#[test]
fn a_fold_that_traps_hurts_only_its_own_entity() {
    let mut house = House::plain();
    house.done("a", "say", "poison");
    house.done("b", "add", "1");
    house.deploy(deployment(2, Code { traps_on: Some("poison"), ..Code::sound() }, NEVER));
    let bad = house.query("a");
    house.settle();
    assert!(matches!(house.answer(bad), Some(Answer::Fault { .. })));
    assert_eq!(house.shown("b"), "1 ");
    house.deploy(deployment(1, Code::sound(), NEVER));
    assert_eq!(house.shown("a"), "0 poison", "the old version put back heals it");
}

#[test]
fn snapshots_that_trap_cost_only_the_snapshots() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code { snapshot_traps: true, ..Code::sound() }, EVERY_10));
    for sum in 1..=30 {
        assert_eq!(house.done("a", "add", "1"), format!("{sum} "));
    }
    assert!(house.natives.calls().instantiated < 5, "not an instance a command");
}

#[test]
fn a_restore_that_traps_falls_back_to_replay() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    for _ in 0..15 {
        house.done("a", "add", "1");
    }
    house.deploy(deployment(2, Code { restore_traps: true, ..Code::sound() }, NEVER));
    assert_eq!(house.shown("a"), "15 ");
}

#[test]
fn new_code_takes_over_between_commands_and_replays_what_it_cannot_restore() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    for _ in 0..12 {
        house.done("a", "add", "1");
    }
    let uncommitted = house.command("a", "add", "1");
    house.deploy(deployment(2, Code { formats: vec![2], ..Code::sound() }, EVERY_10));
    let after = house.command("a", "add", "1");
    assert_eq!(house.answer(after), None, "it waits until the store shows what the old code did");
    house.settle();
    assert_eq!((house.reply(uncommitted), house.reply(after)), ("13 ".into(), "14 ".into()));
}

#[test]
fn events_that_new_code_cannot_apply_fail_one_entity_and_others_go_on() {
    let mut house = House::plain();
    house.done("a", "say", "old");
    house.done("b", "add", "1");
    house.deploy(deployment(2, Code { cannot_apply: Some("old"), ..Code::sound() }, NEVER));
    let bad = house.command("a", "add", "1");
    house.settle();
    assert!(matches!(house.answer(bad), Some(Answer::Unreadable(why)) if why.contains("old")));
    assert_eq!(house.done("b", "add", "1"), "2 ");
    house.deploy(deployment(1, Code::sound(), NEVER));
    assert_eq!(house.done("a", "add", "1"), "1 old");
}

#[test]
fn a_life_that_ended_begins_anew_and_goes_on_counting() {
    for (command, first) in [("end", 1), ("purge", 4)] {
        let mut house = House::plain();
        house.done("a", "many", "3");
        let ended = house.command("a", command, "");
        let anew = house.command("a", "add", "9");
        house.settle();
        assert_eq!((house.reply(ended), house.reply(anew)), ("3 ".into(), "9 ".into()));
        let stored = house.store.get(&address("a"));
        assert_eq!((stored.last, stored.life_after, stored.first), (4, 3, first), "{command}");
        house.restart();
        assert_eq!(house.shown("a"), "9 ");
    }
}

#[test]
fn a_snapshot_of_a_life_that_ended_meanwhile_is_not_stored() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    house.command("a", "many", "10");
    house.turns();
    house.commit_one();
    house.command("a", "end", "");
    house.command("a", "add", "1");
    house.apply_one();
    house.settle();
    assert!(house.store.get(&address("a")).snapshots.is_empty());
    assert_eq!(house.shown("a"), "1 ");
}

#[test]
fn a_full_disk_undoes_what_was_not_written_and_service_resumes() {
    let mut house = House::plain();
    house.done("a", "add", "1");
    let lost = house.command("a", "add", "1");
    let seen = house.query("a");
    house.turns();
    house.fail(AppendFailure::Full("no room".into()));
    assert!(matches!(house.answer(lost), Some(Answer::DiskFull(_))));
    assert!(matches!(house.answer(seen), Some(Answer::DiskFull(_))), "it saw what is not");
    assert_eq!(house.shown("a"), "1 ");
    assert_eq!(house.done("a", "add", "1"), "2 ");
}

#[test]
fn a_command_under_the_key_of_one_that_was_not_written_is_done() {
    let mut house = House::plain();
    house.command_under("k", "a", "add", "1");
    house.turns();
    house.fail(AppendFailure::Full("no room".into()));
    let again = house.command_under("k", "a", "add", "1");
    house.settle();
    assert_eq!(house.reply(again), "1 ");
    assert_eq!(house.store.get(&address("a")).last, 1);
}

#[test]
fn a_lost_log_ends_service_and_says_so() {
    let mut house = House::plain();
    let sent = house.command("a", "add", "1");
    house.turns();
    house.fail(AppendFailure::Lost("fsync failed".into()));
    assert!(matches!(house.answer(sent), Some(Answer::OutcomeUnknown(_))));
    let later = house.command("a", "add", "1");
    assert!(matches!(house.answer(later), Some(Answer::Unavailable(why)) if why.contains("fsync")));
}

#[test]
fn idle_entities_go_and_come_back() {
    let mut house = House::plain();
    for id in 0..50 {
        house.done(&id.to_string(), "add", "1");
    }
    assert_eq!(house.engine.counters(&house.natives).live, 50);
    house.now = house.now.plus_ms(EngineConfig::default().idle_ms_max + 1);
    house.turns();
    assert_eq!(house.engine.counters(&house.natives).live, 0);
    assert_eq!(house.done("7", "add", "1"), "2 ");
}

#[test]
fn the_least_used_go_when_there_are_too_many() {
    let mut house = House::new(EngineConfig { live_max: 20, ..EngineConfig::default() });
    for round in 0..10 {
        for id in 0..10 {
            house.done(&format!("{round}-{id}"), "add", "1");
        }
        house.done("hot", "add", "1");
        for _ in 0..5 {
            house.now = house.now.plus_ms(20);
            house.query("hot");
            house.settle();
        }
    }
    let live = house.engine.counters(&house.natives).live;
    assert!(live <= 21, "{live}");
    assert_eq!(house.shown("hot"), "10 ");
}

#[test]
fn an_entity_with_work_under_way_is_not_let_go() {
    let mut house = House::plain();
    let ticket = house.command("a", "add", "1");
    house.turns();
    house.now = house.now.plus_ms(EngineConfig::default().idle_ms_max + 1);
    house.turns();
    assert_eq!(house.engine.counters(&house.natives).live, 1);
    house.settle();
    assert_eq!(house.reply(ticket), "1 ");
}

#[test]
fn memory_is_got_back_by_discarding_an_instance_and_nothing_is_lost() {
    let mut house = House::new(EngineConfig { memory_bytes_max: 2_000, ..EngineConfig::default() });
    for id in 0..20 {
        house.done(&id.to_string(), "add", "1");
    }
    let pending = house.command("3", "add", "1");
    house.turns();
    house.now = house.now.plus_ms(1_001);
    house.turns();
    assert!(house.engine.counters(&house.natives).memory_bytes < 2_000);
    house.settle();
    assert_eq!(house.reply(pending), "2 ");
    assert_eq!(house.shown("3"), "2 ");
}

#[test]
fn an_isolated_type_has_an_instance_for_each() {
    let mut house = House::plain();
    let manifest = r#"{"type":"thing","isolation":"entity","snapshot":{"every-events":0}}"#;
    house.deploy(deployment(2, Code::sound(), manifest));
    for id in 0..5 {
        house.done(&id.to_string(), "add", "1");
    }
    assert_eq!(house.natives.calls().instantiated, 5);
    house.now = house.now.plus_ms(EngineConfig::default().idle_ms_max + 1);
    house.turns();
    assert_eq!(house.engine.counters(&house.natives).memory_bytes, 0);
}

#[test]
fn a_damaged_store_is_said_and_not_taken_for_an_empty_one() {
    let mut house = House::plain();
    house.done("a", "add", "1");
    house.restart();
    *house.store.damaged.borrow_mut() = true;
    let ticket = house.send(RequestId::mint(TimestampMs(1), 1), true, "a", "add", "1");
    house.settle();
    assert!(
        matches!(house.answer(ticket), Some(Answer::Unreadable(why)) if why.contains("0007.redb"))
    );
}

#[test]
fn a_stopping_engine_finishes_what_it_took() {
    let mut house = House::new(small());
    house.done("a", "many", "40");
    house.restart();
    let taken = house.command("a", "add", "1");
    house.input(Input::Drain);
    let refused = house.command("a", "add", "1");
    assert!(matches!(house.answer(refused), Some(Answer::Unavailable(_))));
    assert!(!house.engine.is_idle());
    house.settle();
    assert_eq!(house.reply(taken), "41 ");
    assert!(house.engine.is_idle());
}
