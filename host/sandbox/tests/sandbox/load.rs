//! What is not loaded, and why.

use stead_sandbox::{LoadError, SandboxFault, SandboxOptions};
use stead_test_support::{Build, guest, guest_by};

use crate::house::{evil_bytes, evil_mode, in_child, limits, options, replaced, sandbox};

fn refusal(bytes: &[u8]) -> LoadError {
    sandbox(limits()).load(bytes).expect_err("it is refused")
}

#[test]
fn an_entity_is_loaded_whichever_way_it_was_built() {
    for build in [Build::CargoTarget, Build::CargoComponent] {
        let component = sandbox(limits()).load_file(&guest_by("evil", build)).expect("it loads");
        assert_eq!(component.description().commands.len(), 2);
        assert!(component.machine_code_bytes() > 0);
        assert!(component.component_bytes() > 0);
    }
}

#[test]
fn what_is_no_webassembly_is_told_apart() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "empty"),
        (b"\0as", "does not begin"),
        (b"\0asm", "first eight bytes"),
        (b"\0asm\x09\x00\x00\x00", "not known here"),
        (b"#!/bin/sh\necho no component\n", "does not begin"),
    ];
    for (bytes, words) in cases {
        match refusal(bytes) {
            LoadError::NotWasm(text) if text.contains(words) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn garbage_after_a_right_beginning_is_invalid() {
    let mut bytes = b"\0asm\x0d\x00\x01\x00".to_vec();
    bytes.extend((0..10_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    assert!(matches!(refusal(&bytes), LoadError::Invalid(_)));
}

#[test]
fn a_truncated_component_is_invalid() {
    let whole = evil_bytes();
    for length in [9, 100, whole.len() / 2, whole.len() - 1] {
        let error = refusal(&whole[..length]);
        assert!(matches!(error, LoadError::Invalid(_)), "{length}: {error:?}");
    }
}

#[test]
fn a_flipped_bit_never_hurts_the_host() {
    let whole = evil_bytes();
    let sandbox = sandbox(limits());
    let step = whole.len() / 40;
    for at in (8..whole.len()).step_by(step) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        // Some flips change no more than a text; what matters is an answer.
        let _ = sandbox.load(&bytes);
    }
    sandbox.load(&whole).expect("it still loads");
}

#[test]
fn a_core_module_is_called_by_its_name() {
    let module = wasm_encoder::Module::new().finish();
    assert_eq!(refusal(&module), LoadError::CoreModule);
    assert!(LoadError::CoreModule.to_string().contains("cargo build --target wasm32-wasip2"));
}

#[test]
fn a_component_of_another_world_is_told_what_it_lacks() {
    let empty = wasm_encoder::Component::new().finish();
    let text = refusal(&empty).to_string();
    assert!(text.contains("exports") || text.contains("nothing"), "{text}");
    assert!(matches!(refusal(&empty), LoadError::OtherWorld { .. }));

    let program = std::fs::read(guest("program")).expect("the guest was built");
    match refusal(&program) {
        LoadError::OtherWorld { exports } => assert!(exports.contains("cdylib"), "{exports}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_version_of_the_contract_is_named_beside_the_one_that_is_served() {
    let mut bytes = evil_bytes();
    for interface in ["guest", "host"] {
        bytes = replaced(
            bytes,
            format!("stead:entity/{interface}@0.1.0").as_bytes(),
            format!("stead:entity/{interface}@0.2.0").as_bytes(),
        );
    }
    let text = refusal(&bytes).to_string();
    assert!(text.contains("stead:entity/guest@0.2.0"), "{text}");
    assert!(text.contains("serves stead:entity@0.1.0"), "{text}");
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    let bytes = replaced(evil_bytes(), b"wasi:random/insecure-seed", b"wasi:random/insecure-salt");
    match refusal(&bytes) {
        LoadError::UnknownImports(names) => {
            assert!(names.contains("wasi:random/insecure-salt"), "{names}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn right_names_with_wrong_types_are_a_mismatch() {
    let bytes = replaced(evil_bytes(), b"[method]entity.snapshot", b"[method]entity.snapshut");
    assert!(matches!(refusal(&bytes), LoadError::Mismatch(_) | LoadError::Invalid(_)));
}

#[test]
fn two_hundred_mebibytes_are_refused_before_they_are_looked_at() {
    let bytes = vec![0_u8; 200 << 20];
    match refusal(&bytes) {
        LoadError::TooLarge { bytes, max } => assert_eq!((bytes, max), (200 << 20, 64 << 20)),
        other => panic!("{other:?}"),
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len(200 << 20).expect("a sparse file");
    let error = sandbox(limits()).load_file(file.path()).expect_err("it is refused");
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = sandbox(limits()).load_file("/nowhere/cart.wasm".as_ref()).expect_err("no file");
    assert!(error.is_hosts());
    assert!(error.to_string().contains("/nowhere/cart.wasm"));
}

#[test]
fn a_describe_that_lies_is_refused() {
    assert_eq!(refusal(&evil_mode("changes")), LoadError::DescribeChanges);
    let cases = [
        ("bad-name", "Not A Name"),
        ("twice", "\"add\" twice"),
        ("both", "\"add\" twice"),
        ("long", "bytes"),
        ("many", "5004"),
    ];
    for (mode, words) in cases {
        match refusal(&evil_mode(mode)) {
            LoadError::DescriptionInvalid(text) => assert!(text.contains(words), "{mode}: {text}"),
            other => panic!("{mode}: {other:?}"),
        }
    }
}

#[test]
fn a_describe_that_hurts_is_refused() {
    let fault = |mode: &str| match refusal(&evil_mode(mode)) {
        LoadError::DescribeFault(fault) => fault,
        other => panic!("{mode}: {other:?}"),
    };
    assert_eq!(fault("loop"), SandboxFault::Deadline(400));
    assert_eq!(fault("recurse"), SandboxFault::Stack);
    assert!(matches!(fault("bomb"), SandboxFault::Memory(_)));
    for (mode, words) in [
        ("panic", "told to panic"),
        ("huge", "handed over in one go"),
        ("now", "describing itself"),
        ("random=1", "describing itself"),
        ("exit", "exit"),
        ("sleep", "describing itself"),
    ] {
        match fault(mode) {
            SandboxFault::Trap(text) => assert!(text.contains(words), "{mode}: {text}"),
            other => panic!("{mode}: {other:?}"),
        }
    }
}

#[test]
fn effects_that_are_not_served_are_refused_at_deployment() {
    match refusal(&evil_mode("effect")) {
        LoadError::UnservedEffects { wanted, served } => {
            assert_eq!((wanted.as_str(), served.as_str()), ("message", "none"));
        }
        other => panic!("{other:?}"),
    }
    let options = SandboxOptions { effects: vec!["message".into()], ..options(limits()) };
    let sandbox = stead_sandbox::Sandbox::new(options).expect("a sandbox");
    sandbox.load(&evil_mode("effect")).expect("it is served");
}

#[test]
fn a_child_process_compiles_as_well() {
    let options = SandboxOptions { compiler: in_child(), cache_dir: None, ..options(limits()) };
    let sandbox = stead_sandbox::Sandbox::new(options).expect("a sandbox");
    let component = sandbox.load(&evil_bytes()).expect("it loads");
    assert_eq!(crate::house::House::of(&component, "a").add(2), "2");
    let mut broken = evil_bytes();
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xff);
    assert!(matches!(sandbox.load(&broken), Err(LoadError::Invalid(_))));
}
