//! While events are folded nothing but the events counts.

use stead_sandbox::{LoadedComponent, SandboxFault};
use stead_test_support::Build;

use crate::house::{House, entity_type, event, evil_path, id, limits, sandbox, usual};

/// Does an act in every place where nothing may be asked for, and gives what
/// came of it.
fn everywhere(component: &LoadedComponent, act: &str) -> Vec<(&'static str, Option<SandboxFault>)> {
    let instance = || component.instantiate(&entity_type()).expect("an instance");
    let constructed = instance().create(&id(&format!("construct!{act}"))).err();
    let restored = instance().restore(&id(&format!("restore!{act}")), b"1").err();
    let mut house = House::of(component, &format!("apply!{act}"));
    let events = [event("added", "1")];
    let applied = house.instance.apply(&house.entity, &house.id, &events).err();
    let mut house = House::of(component, &format!("snapshot!{act}"));
    let snapshotted = house.instance.snapshot(&house.entity, &house.id).err();
    let mut house = House::of(component, &format!("release!{act}"));
    let released = house.instance.release(house.entity).err();
    vec![
        ("being constructed", constructed),
        ("being restored", restored),
        ("events were being applied", applied),
        ("a snapshot was being taken", snapshotted),
        ("being let go", released),
    ]
}

fn assert_refused_everywhere(component: &LoadedComponent, act: &str, what: &str) {
    for (place, fault) in everywhere(component, act) {
        match fault {
            Some(SandboxFault::Trap(text))
                if text.contains(what) && text.contains(place) && text.contains("in a command") => {
            }
            other => panic!("{act} while {place}: {other:?}"),
        }
    }
}

#[test]
fn time_is_refused_while_folding() {
    assert_refused_everywhere(usual(), "now", "stead:entity/host.now");
    assert_refused_everywhere(usual(), "wall-clock", "wasi:clocks/wall-clock");
    assert_refused_everywhere(usual(), "monotonic-clock", "wasi:clocks/monotonic-clock");
}

#[test]
fn randomness_and_the_types_name_are_refused_while_folding() {
    assert_refused_everywhere(usual(), "random=4", "stead:entity/host.random");
    assert_refused_everywhere(usual(), "entity-type", "stead:entity/host.entity-type");
}

#[test]
fn waiting_is_refused_while_folding() {
    for (place, fault) in everywhere(usual(), "sleep") {
        assert!(matches!(&fault, Some(SandboxFault::Trap(_))), "{place}: {fault:?}");
    }
}

#[test]
fn logging_is_let_through_while_folding() {
    for act in ["log=3", "print=3"] {
        for (place, fault) in everywhere(usual(), act) {
            assert_eq!(fault, None, "{act} while {place}");
        }
    }
}

#[test]
fn at_most_64_kib_of_randomness_are_given_at_a_time() {
    let mut house = House::usual("a");
    let outcome = house.act("random=65536").expect("no fault").expect("no rejection");
    assert_eq!(outcome.reply.len(), 65_536);
    let fault = house.fault("random=65537");
    assert!(matches!(&fault, SandboxFault::Trap(text) if text.contains("65536")), "{fault:?}");
}

#[test]
fn hash_maps_work_while_folding_in_components_of_either_build() {
    for build in [Build::CargoTarget, Build::CargoComponent] {
        let component = sandbox(limits()).load_file(&evil_path(build)).expect("it loads");
        for (place, fault) in everywhere(&component, "hash-map") {
            assert_eq!(fault, None, "{build:?} while {place}");
        }
        assert_eq!(House::of(&component, "a").reply("hash-map"), "4950", "{build:?}");
    }
}

#[test]
fn the_seed_of_hash_maps_is_the_same_in_every_instance() {
    let component = usual();
    let first = House::of(component, "a").reply("hash-seed");
    assert_eq!(House::of(component, "b").reply("hash-seed"), first);
}

/// Where the seed comes from the same function as secrets do, only the first
/// request of an instance gets it, and only while folding.
#[test]
fn a_second_draw_while_folding_is_refused() {
    let component =
        sandbox(limits()).load_file(&evil_path(Build::CargoComponent)).expect("it loads");
    for (place, fault) in everywhere(&component, "second-seed") {
        assert!(
            matches!(&fault, Some(SandboxFault::Trap(text)) if text.contains("wasi:random/random")),
            "{place}: {fault:?}"
        );
    }
    assert!(!House::of(&component, "a").reply("second-seed").is_empty());
}
