//! Where behaviours meet, each of which was wrong once or could be: an entity
//! that waits while its batch is lost, what a failed activation leaves behind,
//! pressure on memory, and answers that need no entity.

use super::{
    guests::Code,
    house::{EVERY_10, House, NEVER, address, deployment},
};
use crate::{Answer, AppendFailure, EngineConfig, Input};

const KEEP_NONE: &str = r#"{"type":"thing","snapshot":{"every-events":10,"every-bytes":0},
    "retention":{"events-behind-snapshot":0}}"#;
const ISOLATED: &str = r#"{"type":"thing","isolation":"entity","snapshot":{"every-events":0}}"#;

/// The entity trapped, its next command waited for the store to show a batch,
/// and that batch was lost: nothing would ever be applied that woke it.
#[test]
fn who_waits_for_a_batch_that_is_lost_goes_on() {
    let mut house = House::plain();
    house.done("a", "add", "1");
    let lost = house.command("a", "add", "1");
    house.turns();
    house.command("a", "trap", "");
    let waits = house.command("a", "add", "5");
    house.turns();
    assert_eq!(house.answer(waits), None);
    house.fail(AppendFailure::Full("no room".into()));
    house.turns();
    house.commit_one();
    assert!(matches!(house.answer(lost), Some(Answer::DiskFull(_))));
    assert_eq!(house.reply(waits), "6 ");
}

/// A restore that traps discards the instance it is in. The entity would take
/// its neighbours' activations down each time that it comes back.
#[test]
fn an_entity_whose_restore_traps_is_kept_apart() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    for _ in 0..15 {
        house.done("a", "add", "1");
    }
    house.deploy(deployment(2, Code { restore_traps: true, ..Code::sound() }, NEVER));
    assert_eq!(house.shown("a"), "15 ");
    assert_eq!(house.engine.counters(&house.natives).faults, 1);
    house.done("b", "add", "1");
    house.command("a", "refuse", "");
    assert_eq!(house.shown("a"), "15 ", "brought back again");
    let before = house.natives.calls().created;
    assert_eq!(house.shown("b"), "1 ");
    assert_eq!(house.natives.calls().created, before, "the neighbour never went");
}

#[test]
fn an_activation_that_fails_leaves_no_instance_behind() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), KEEP_NONE));
    for _ in 0..12 {
        house.done("a", "add", "1");
    }
    house.done("b", "say", "old");
    for (format, cannot_apply) in [(9, None), (1, Some("old"))] {
        let code = Code { formats: vec![format], cannot_apply, ..Code::default() };
        house.deploy(deployment(u32::from(format) + 1, code, ISOLATED));
        for _ in 0..10 {
            house.now = house.now.plus_ms(EngineConfig::default().unreadable_retry_ms);
            let bad = house.query(if format == 9 { "a" } else { "b" });
            house.settle();
            assert!(matches!(house.answer(bad), Some(Answer::Unreadable(_))));
        }
        assert_eq!(house.natives.calls().instances, 0);
    }
    *house.store.damaged.borrow_mut() = true;
    house.now = house.now.plus_ms(EngineConfig::default().unreadable_retry_ms);
    house.query("a");
    house.settle();
    assert_eq!(house.natives.calls().instances, 0);
}

#[test]
fn a_snapshot_whose_later_events_are_dropped_is_not_replayed_from() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    house.done("a", "many", "10");
    house.deploy(deployment(2, Code { formats: vec![1, 2], ..Code::sound() }, KEEP_NONE));
    house.done("a", "many", "10");
    assert_eq!(house.store.get(&address("a")).snapshots.len(), 2);
    house.deploy(deployment(1, Code::sound(), NEVER));
    let bad = house.query("a");
    house.settle();
    let Some(Answer::Unreadable(why)) = house.answer(bad) else { panic!("{bad:?}") };
    assert!(why.contains("no longer stored"), "{why}");
    house.deploy(deployment(2, Code { formats: vec![1, 2], ..Code::sound() }, NEVER));
    assert_eq!(house.shown("a"), "20 ");
}

/// A snapshot was being checked while its entity was replayed, from the same
/// place. A neighbour's trap made the replay begin again, the snapshot came into
/// the store, and the events that the replay still needed went.
#[test]
fn events_that_a_replay_still_needs_are_not_dropped_under_it() {
    for turns_before_the_trap in 0..7 {
        let mut house = House::new(EngineConfig { replay_events: 2, ..EngineConfig::default() });
        house.deploy(deployment(1, Code::sound(), KEEP_NONE));
        house.done("a", "many", "9");
        house.done("b", "nothing", "");
        house.command("a", "add", "1");
        house.turn();
        house.commit_one();
        house.command("a", "refuse", "");
        let waits = house.command("a", "add", "1");
        house.apply_one();
        for _ in 0..turns_before_the_trap {
            house.turn();
        }
        house.command("b", "trap", "");
        for _ in 0..20 {
            house.turn();
            house.commit_one();
            house.apply_one();
        }
        assert_eq!(house.reply(waits), "11 ", "{turns_before_the_trap}");
        assert!(house.store.get(&address("a")).snapshots.contains_key(&10));
    }
}

#[test]
fn a_recorded_reply_is_given_also_when_the_entity_is_unreadable() {
    let mut house = House::plain();
    house.command_under("k", "a", "say", "old");
    house.settle();
    house.deploy(deployment(2, Code { cannot_apply: Some("old"), ..Code::sound() }, NEVER));
    let bad = house.query("a");
    house.settle();
    assert!(matches!(house.answer(bad), Some(Answer::Unreadable(_))));
    let retry = house.command_under("k", "a", "say", "old");
    house.settle();
    assert_eq!(house.reply(retry), "0 old");
}

#[test]
fn a_host_that_can_make_no_instance_is_not_asked_for_more_of_them() {
    let mut house = House::plain();
    house.natives.calls.borrow_mut().no_instances = true;
    let bad = house.command("a", "add", "1");
    house.settle();
    assert!(matches!(house.answer(bad), Some(Answer::Fault { .. })));
    house.natives.calls.borrow_mut().no_instances = false;
    house.now = house.now.plus_ms(EngineConfig::default().unreadable_retry_ms);
    house.done("a", "add", "1");
    house.done("b", "add", "1");
    assert_eq!(house.natives.calls().instances, 1, "they share one");
}

#[test]
fn memory_of_entities_with_instances_of_their_own_is_bounded_too() {
    let mut house = House::new(EngineConfig { memory_bytes_max: 5_500, ..EngineConfig::default() });
    house.deploy(deployment(2, Code::sound(), ISOLATED));
    for id in 0..20 {
        house.done(&id.to_string(), "add", "1");
    }
    for _ in 0..3 {
        house.now = house.now.plus_ms(1_001);
        house.query("7");
        house.settle();
    }
    let counters = house.engine.counters(&house.natives);
    assert!(counters.memory_bytes <= 5_500, "{counters:?}");
    assert!(counters.live >= 4, "no more go than must: {counters:?}");
    let before = house.natives.calls().applied_events;
    assert_eq!(house.shown("7"), "1 ");
    assert_eq!(house.natives.calls().applied_events, before, "the one in use stayed");
    assert_eq!(house.shown("3"), "1 ");
}

/// If all that are in use don't fit, discarding the instance alone would go on
/// for ever, with a replay of them all each time.
#[test]
fn an_instance_that_is_discarded_for_its_memory_does_not_fill_up_again() {
    let mut house =
        House::new(EngineConfig { memory_bytes_max: 10_000, ..EngineConfig::default() });
    let mut instantiated = vec![];
    for _ in 0..40 {
        for id in 0..120 {
            house.done(&id.to_string(), "nothing", "1");
        }
        house.now = house.now.plus_ms(1_001);
        house.turns();
        instantiated.push(house.natives.calls().instantiated);
        assert!(house.engine.counters(&house.natives).live <= 120);
    }
    let last = instantiated[39] - instantiated[20];
    assert!(last <= 4, "{instantiated:?}");
}

#[test]
fn entities_go_as_fast_as_others_come() {
    let mut house = House::new(EngineConfig { live_max: 1_000, ..EngineConfig::default() });
    let mut most = 0;
    for burst in 0..20 {
        for id in 0..1_000 {
            house.query(&format!("{burst}-{id}"));
        }
        house.turn();
        house.turn();
        most = most.max(house.engine.counters(&house.natives).live);
    }
    assert!(most <= 2_000, "{most}");
}

#[test]
fn answers_that_wait_are_bounded() {
    let mut house = House::new(EngineConfig {
        held_max: 4,
        waiting_max: 3,
        entity_waiting_max: 3,
        ..EngineConfig::default()
    });
    house.command("a", "add", "1");
    let asked: Vec<_> = (0..10).map(|_| house.query("a")).collect();
    house.turns();
    let full = asked.iter().filter(|q| house.answer(**q) == Some(&Answer::MailboxFull)).count();
    assert_eq!(full, 4, "3 held, 3 waiting");
    house.settle();
    let answered =
        asked.iter().filter(|q| matches!(house.answer(**q), Some(Answer::QueryReply(_))));
    assert_eq!(answered.count(), 6);
}

#[test]
fn one_types_deployment_is_nothing_to_anothers_snapshot() {
    let mut house = House::plain();
    house.done("a", "add", "1");
    house.command("a", "add", "1");
    let wanted = {
        house.tickets += 1;
        crate::Ticket(house.tickets)
    };
    house.input(Input::TakeSnapshot { ticket: wanted, address: address("a") });
    let other = NEVER.replace("thing", "other");
    house.deploy(deployment(1, Code::sound(), &other));
    house.settle();
    assert!(matches!(house.answer(wanted), Some(Answer::SnapshotStored(_))));
}

#[test]
fn stopping_does_not_wait_for_a_snapshot() {
    let mut house = House::plain();
    house.deploy(deployment(1, Code::sound(), EVERY_10));
    house.command("a", "many", "10");
    house.turns();
    house.commit_one();
    assert!(!house.engine.is_idle(), "an audit waits for the store");
    house.input(Input::Drain);
    assert!(house.engine.is_idle());
}
