//! Harm, and what comes of it: the fault names what happened, the host lives,
//! and everyone else's answers stay right.

use stead_model::GuestLimits;
use stead_sandbox::{Sandbox, SandboxFault, SandboxOptions};

use crate::house::{House, entity_type, event, evil, evil_bytes, id, limits, options, usual};

/// A neighbour in an instance of its own, and a fresh instance, give right
/// answers before and after the harm; the harmed instance is out of use.
fn check(
    harm: impl FnOnce(&mut House) -> SandboxFault,
    expected: impl FnOnce(&SandboxFault) -> bool,
) {
    let mut neighbour = House::usual("neighbour");
    neighbour.add(20);
    let mut house = House::usual("harmed");
    house.add(1);
    let fault = harm(&mut house);
    assert!(expected(&fault), "{fault:?}");
    assert_out_of_use(&mut house);
    assert_eq!(neighbour.add(3), "23");
    assert_eq!(House::usual("fresh").add(4), "4");
}

fn assert_out_of_use(house: &mut House) {
    assert!(house.instance.is_broken());
    let out_of_use = |fault: SandboxFault| {
        let text = fault.to_string();
        assert!(text.contains("out of use since an earlier fault"), "{text}");
    };
    out_of_use(house.act("nothing").expect_err("no call"));
    out_of_use(house.ask("nothing").expect_err("no call"));
    out_of_use(house.instance.create(&id("new")).expect_err("no call"));
    out_of_use(house.instance.restore(&id("new"), b"1").expect_err("no call"));
    out_of_use(house.instance.snapshot(&house.entity, &house.id).expect_err("no call"));
    out_of_use(house.instance.release(house.entity).expect_err("no call"));
    let event = [event("added", "1")];
    out_of_use(house.instance.apply(&house.entity, &house.id, &event).expect_err("no call"));
}

fn trapped_with(words: &'static str) -> impl FnOnce(&SandboxFault) -> bool {
    move |fault| matches!(fault, SandboxFault::Trap(text) if text.contains(words))
}

#[test]
fn an_endless_loop_meets_the_deadline() {
    check(|house| house.fault("loop"), |fault| *fault == SandboxFault::Deadline(300));
    check(
        |house| house.ask("loop").expect_err("a fault"),
        |fault| *fault == SandboxFault::Deadline(300),
    );
}

#[test]
fn endless_recursion_runs_out_of_stack() {
    check(|house| house.fault("recurse"), |fault| *fault == SandboxFault::Stack);
}

#[test]
fn a_memory_bomb_is_denied_with_figures() {
    check(
        |house| house.fault("bomb"),
        |fault| match fault {
            SandboxFault::Memory(text) => text.contains("wanted") && text.contains("in one call"),
            _ => false,
        },
    );
}

#[test]
fn an_instance_can_not_grow_past_its_limit_call_by_call() {
    let mut house = House::usual("a");
    let fault = loop {
        // Each call stays within an entity's share.
        match house.act("hoard=8000000") {
            Ok(_) => assert!(house.instance.memory_bytes() <= limits().instance_memory_bytes_max),
            Err(fault) => break fault,
        }
    };
    let figure = limits().instance_memory_bytes_max.to_string();
    assert!(matches!(&fault, SandboxFault::Memory(text) if text.contains(&figure)), "{fault:?}");
}

#[test]
fn a_panic_ends_in_a_trap_with_its_message() {
    check(|house| house.fault("panic"), trapped_with("told to panic by a test"));
    check(|house| house.fault("trap"), trapped_with("unreachable"));
}

#[test]
fn a_long_panic_is_cut() {
    check(
        |house| house.fault("panic-long"),
        |fault| matches!(fault, SandboxFault::Trap(text) if text.contains("long") && text.len() < 8 << 10),
    );
}

#[test]
fn exit_and_sleep_trap_and_say_what_to_do_instead() {
    check(|house| house.fault("exit"), trapped_with("it called exit while a command"));
    check(|house| house.fault("sleep"), trapped_with("handlers never wait"));
}

#[test]
fn a_trap_in_any_call_is_that_calls_fault() {
    let made = |text: &str| House::usual(text);
    let trap = trapped_with;

    let mut instance = usual().instantiate(&entity_type()).expect("an instance");
    let fault = instance.create(&id("construct!panic")).expect_err("a fault");
    assert!(trap("told to panic")(&fault), "{fault:?}");

    let mut instance = usual().instantiate(&entity_type()).expect("an instance");
    let fault = instance.restore(&id("restore!panic"), b"1").expect_err("a fault");
    assert!(trap("told to panic")(&fault), "{fault:?}");

    let mut house = made("apply!panic");
    let events = [event("added", "1")];
    let fault = house.instance.apply(&house.entity, &house.id, &events).expect_err("a fault");
    assert!(trap("told to panic")(&fault), "{fault:?}");

    let mut house = made("snapshot!panic");
    let fault = house.instance.snapshot(&house.entity, &house.id).expect_err("a fault");
    assert!(trap("told to panic")(&fault), "{fault:?}");

    let mut house = made("query!panic");
    let fault = house.ask("nothing").expect_err("a fault");
    assert!(trap("told to panic")(&fault), "{fault:?}");

    let mut house = made("release!panic");
    let fault = house.instance.release(house.entity).expect_err("a fault");
    assert!(trap("told to panic")(&fault), "{fault:?}");

    assert_eq!(House::usual("fresh").add(4), "4");
}

#[test]
fn every_call_has_its_deadline() {
    let mut instance = usual().instantiate(&entity_type()).expect("an instance");
    let fault = instance.create(&id("construct!loop")).expect_err("a fault");
    assert_eq!(fault, SandboxFault::Deadline(300));

    let mut instance = usual().instantiate(&entity_type()).expect("an instance");
    let fault = instance.restore(&id("restore!loop"), b"1").expect_err("a fault");
    assert_eq!(fault, SandboxFault::Deadline(400));

    let mut house = House::usual("apply!loop");
    let events = [event("added", "1")];
    let fault = house.instance.apply(&house.entity, &house.id, &events).expect_err("a fault");
    assert_eq!(fault, SandboxFault::Deadline(400));

    let mut house = House::usual("snapshot!loop");
    let fault = house.instance.snapshot(&house.entity, &house.id).expect_err("a fault");
    assert_eq!(fault, SandboxFault::Deadline(400));

    let mut house = House::usual("release!loop");
    let fault = house.instance.release(house.entity).expect_err("a fault");
    assert_eq!(fault, SandboxFault::Deadline(300));
}

#[test]
fn a_gigabyte_of_reply_is_not_even_copied() {
    let limits = GuestLimits {
        instance_memory_bytes_max: 3 << 30,
        entity_memory_bytes_max: 3 << 30,
        call_ms_max: 30_000,
        ..GuestLimits::default()
    };
    let component = evil(limits);
    let before = peak_memory_bytes();
    let mut house = House::of(&component, "a");
    let fault = house.fault(&format!("reply={}", 1 << 30));
    assert!(trapped_with("handed over in one go")(&fault), "{fault:?}");
    assert!(house.instance.is_broken());
    let fault = House::of(&component, "b").ask(&format!("reply={}", 1 << 30)).expect_err("a fault");
    assert!(trapped_with("handed over in one go")(&fault), "{fault:?}");
    // The guest's own gigabyte is there; a copy of it in the host is not.
    assert!(peak_memory_bytes() - before < 1_800 << 20);
    assert_eq!(House::of(&component, "c").add(1), "1");
}

fn peak_memory_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kilobytes = line.split_whitespace().nth(1).expect("a figure");
    kilobytes.parse::<usize>().expect("a number") << 10
}

#[test]
fn a_million_events_in_one_command_are_refused() {
    let component = evil(GuestLimits { entity_memory_bytes_max: 512 << 20, ..Default::default() });
    let mut house = House::of(&component, "a");
    let fault = house.fault("events=1000000");
    assert!(trapped_with("handed over in one go")(&fault), "{fault:?}");
    assert_eq!(House::of(&component, "b").add(1), "1");
}

#[test]
fn what_is_over_a_limit_is_refused_and_the_instance_goes_on() {
    let mut house = House::usual("a");
    let neighbour = id("neighbour");
    let entity = house.instance.create(&neighbour).expect("an entity");
    let cases = [
        ("events=1001", "1001 events"),
        ("event-bytes=4194304", "an outcome of"),
        ("reply=1048577", "a reply of 1048577 bytes"),
        ("event-named=secret", "an event \"secret\""),
        ("effect=message", "an effect \"message\""),
    ];
    for (act, words) in cases {
        let fault = house.fault(act);
        assert!(
            matches!(&fault, SandboxFault::Refused(text) if text.contains(words)),
            "{act}: {fault:?}"
        );
        assert!(!house.instance.is_broken());
    }
    let fault = house.ask("reply=1048577").expect_err("a fault");
    assert!(matches!(&fault, SandboxFault::Refused(_)), "{fault:?}");
    let answer = house.instance.handle(&entity, &neighbour, "add", b"3").expect("no fault");
    assert_eq!(answer.expect("no rejection").reply, b"3");

    // Just below is taken.
    assert_eq!(
        house.act("events=1000").expect("no fault").expect("it is taken").events.len(),
        1000
    );
    assert_eq!(house.reply("reply=1048576").len(), 1 << 20);
}

#[test]
fn a_snapshot_over_its_limit_is_refused() {
    let component = evil(GuestLimits { snapshot_bytes_max: 4, ..limits() });
    let mut house = House::of(&component, "a");
    house.add(9_999);
    assert_eq!(house.instance.snapshot(&house.entity, &house.id).as_deref(), Ok(&b"9999"[..]));
    house.add(1);
    let fault = house.instance.snapshot(&house.entity, &house.id).expect_err("a fault");
    assert!(
        matches!(&fault, SandboxFault::Refused(text) if text.contains("a snapshot of 5 bytes")),
        "{fault:?}"
    );
    assert_eq!(house.add(1), "10001");
}

/// What finds a lie is the engine, which compares; here the guest that lies is
/// shown to do so, and to be heard.
#[test]
fn a_snapshot_that_lies_is_another_than_its_events_make() {
    let mut liar = House::usual("liar");
    assert_eq!(liar.add(5), "5");
    assert_eq!(liar.instance.snapshot(&liar.entity, &liar.id).as_deref(), Ok(&b"6"[..]));
}

/// Handles are memory of the host that a guest can make on its own.
#[test]
fn a_guest_can_not_pile_up_handles() {
    check(|house| house.fault("handles=1000000"), |fault| matches!(fault, SandboxFault::Trap(_)));
    // What it needs in passing it has, also beside many entities.
    let mut house = House::usual("a");
    for number in 0..5_000 {
        house.instance.create(&id(&number.to_string())).expect("an entity");
    }
    house.reply("handles=500");
}

#[test]
fn no_more_instances_are_made_than_may_be() {
    let options = SandboxOptions { instances_max: 3, ..options(limits()) };
    let sandbox = Sandbox::new(options).expect("a sandbox");
    let component = sandbox.load(&evil_bytes()).expect("it loads");
    let instance = || component.instantiate(&entity_type());
    let mut kept: Vec<_> = (0..3).map(|_| instance().expect("an instance")).collect();
    let fault = instance().expect_err("one too many");
    assert!(matches!(&fault, SandboxFault::Host(text) if text.contains('3')), "{fault:?}");
    kept.pop();
    instance().expect("there is room again");
}

/// Faults on every thread at once, and right answers beside them.
#[test]
fn harm_on_many_threads_at_once_stays_where_it_is() {
    const ACTS: [&str; 6] = ["panic", "recurse", "bomb", "exit", "reply=100000000", "sleep"];
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            scope.spawn(move || {
                let mut sound = House::usual("sound");
                for round in 1..=30 {
                    let act = ACTS.iter().cycle().nth(thread + round).expect("it never ends");
                    House::usual("harmed").fault(act);
                    assert_eq!(sound.add(1), round.to_string());
                }
            });
        }
    });
}
