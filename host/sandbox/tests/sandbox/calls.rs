//! What goes well: the calls of the contract.

use stead_model::{Lifecycle, Outcome};
use stead_sandbox::SandboxFault;

use crate::house::{House, NOW_MS, entity_type, event, id, usual};

#[test]
fn a_command_records_folds_and_answers() {
    let mut house = House::usual("a");
    let outcome = house.handle("add", "5").expect("no fault").expect("no rejection");
    let expected = Outcome {
        events: vec![event("added", "5")],
        reply: b"5".to_vec(),
        lifecycle: Lifecycle::Continues,
        effects: Vec::new(),
    };
    assert_eq!(outcome, expected);
    assert_eq!(house.add(-7), "-2");
}

#[test]
fn events_are_folded_and_a_snapshot_takes_their_place() {
    let mut house = House::usual("a");
    let events: Vec<_> = (1..=100).map(|n| event("added", &n.to_string())).collect();
    house.instance.apply(&house.entity, &house.id, &events).expect("no fault").expect("it can");
    let state = house.instance.snapshot(&house.entity, &house.id).expect("a snapshot");
    assert_eq!(state, b"5050");

    let mut instance = usual().instantiate(&entity_type()).expect("an instance");
    let entity = instance.restore(&id("a"), &state).expect("no fault").expect("it can");
    assert_eq!(instance.query(&entity, &id("a"), "total", b"").expect("no fault"), Ok(state));
    assert_eq!(instance.entities(), 1);
}

#[test]
fn what_a_component_can_not_read_is_its_own_word_and_harmless() {
    let mut house = House::usual("a");
    house.add(1);
    let unknown = [event("added", "2"), event("vanished", "")];
    let said = house.instance.apply(&house.entity, &house.id, &unknown).expect("no fault");
    assert_eq!(said, Err("there is no event vanished".into()));
    let said = house.instance.restore(&id("b"), b"nonsense").expect("no fault");
    assert_eq!(said.err(), Some("\"nonsense\" is no number".into()));
    assert!(!house.instance.is_broken());
}

#[test]
fn entities_of_an_instance_have_states_of_their_own() {
    let mut instance = usual().instantiate(&entity_type()).expect("an instance");
    let ids: Vec<_> = (0..100).map(|n| id(&n.to_string())).collect();
    let entities: Vec<_> = ids.iter().map(|id| instance.create(id).expect("an entity")).collect();
    for round in 1..=3_u32 {
        for (number, (entity, id)) in entities.iter().zip(&ids).enumerate() {
            let body = number.to_string();
            let answer = instance.handle(entity, id, "add", body.as_bytes()).expect("no fault");
            let total = answer.expect("no rejection").reply;
            assert_eq!(total, (number as u32 * round).to_string().into_bytes());
        }
    }
    assert_eq!(instance.entities(), 100);
    for entity in entities {
        instance.release(entity).expect("it goes");
    }
    assert_eq!(instance.entities(), 0);
}

#[test]
fn a_rejection_is_passed_on_and_its_status_kept_in_range() {
    let mut house = House::usual("a");
    for (given, passed) in [(404, 404), (499, 499), (500, 422), (200, 422), (0, 422)] {
        let rejection = house.act(&format!("reject={given}")).expect("no fault").expect_err("a no");
        assert_eq!(rejection.status, passed);
        assert_eq!((rejection.code.as_str(), rejection.message.as_str()), ("no", "as you wish"));
    }
    assert_eq!(house.add(1), "1");
}

#[test]
fn a_life_can_end() {
    let mut house = House::usual("a");
    let ends = |house: &mut House, how| house.act(how).expect("no fault").expect("an outcome");
    assert_eq!(ends(&mut house, "end=keep").lifecycle, Lifecycle::EndsKeepingEvents);
    assert_eq!(ends(&mut house, "end=purge").lifecycle, Lifecycle::EndsPurgingEvents);
}

#[test]
fn a_handler_may_ask_for_time_and_randomness_and_its_type() {
    let mut house = House::usual("a");
    let now = NOW_MS.to_string();
    assert_eq!(house.reply("now"), now);
    assert_eq!(house.reply("wall-clock"), now);
    assert_eq!(house.reply("now-twice"), format!("{now} {now}"));
    assert!(house.reply("monotonic-clock").contains("Instant"));
    assert_eq!(house.reply("entity-type"), "evil");
    let outcome = house.act("random=4").expect("no fault").expect("no rejection");
    assert_eq!(outcome.reply, [0xab; 4]);
    assert_eq!(house.ask("now").expect("no fault"), Ok(now.into_bytes()));
}

#[test]
fn nothing_of_the_host_is_within_reach() {
    let mut house = House::usual("a");
    for act in ["file", "file-write", "socket", "listen", "lookup", "thread"] {
        let said = house.reply(act);
        assert!(said.starts_with("failed: "), "{act}: {said}");
    }
    assert_eq!(house.reply("stdin"), "0");
    assert_eq!(house.reply("environment"), "0 0");
    assert_eq!(house.add(1), "1");
}

#[test]
fn an_entity_of_another_instance_is_no_entity_here() {
    let stranger = House::usual("a");
    let mut empty = usual().instantiate(&entity_type()).expect("an instance");
    let mut house = House::usual("a");
    for instance in [&mut empty, &mut house.instance] {
        let fault = instance.handle(&stranger.entity, &id("a"), "add", b"1").expect_err("a fault");
        assert_eq!(fault, SandboxFault::Host("the entity is not of this instance".into()));
        instance.release(stranger.entity).expect_err("a fault");
        assert!(!instance.is_broken());
    }
    assert_eq!(house.add(1), "1");
}

#[test]
fn a_released_entity_is_gone() {
    let mut house = House::usual("a");
    let gone = house.entity;
    house.instance.release(gone).expect("it goes");
    let fault = house.act("nothing").expect_err("a fault");
    assert!(matches!(&fault, SandboxFault::Trap(text) if text.contains("handle")), "{fault:?}");
}

#[test]
fn instances_move_between_threads_and_outlive_the_sandbox() {
    let component = crate::house::sandbox(crate::house::limits())
        .load(&crate::house::evil_bytes())
        .expect("it loads");
    let mut house = House::of(&component, "a");
    house.add(1);
    let total = std::thread::spawn(move || house.add(2)).join().expect("it ends");
    assert_eq!(total, "3");
    // Deadlines still pass.
    let fault = House::of(&component, "b").fault("loop");
    assert_eq!(fault, SandboxFault::Deadline(300));
}
