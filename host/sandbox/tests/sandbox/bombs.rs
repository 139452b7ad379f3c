//! Components that are small or medium and cost a great deal to compile.

use std::time::{Duration, Instant};

use stead_sandbox::{Compiler, LoadError, LoadLimits, Sandbox, SandboxOptions};
use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentExportKind, ComponentExportSection,
    ComponentInstanceSection, Function, FunctionSection, Instruction, Module, ModuleSection,
    NestedComponentSection, TypeSection, ValType,
};

use crate::house::{House, evil_bytes, in_child, limits, options};

/// A component that passes for an entity at a first look, with modules in it.
fn entity_with(modules: &[Module]) -> Vec<u8> {
    let mut component = Component::new();
    for module in modules {
        component.section(&ModuleSection(module));
    }
    let mut instances = ComponentInstanceSection::new();
    instances.export_items(Vec::<(&str, ComponentExportKind, u32)>::new());
    component.section(&instances);
    let mut exports = ComponentExportSection::new();
    exports.export("stead:entity/guest@0.1.0", ComponentExportKind::Instance, 0, None);
    component.section(&exports);
    component.finish()
}

fn module_with(functions: u32, body: &Function) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I64], [ValType::I64]);
    let mut declared = FunctionSection::new();
    let mut code = CodeSection::new();
    for _ in 0..functions {
        declared.function(0);
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    module
}

/// A function that goes on and on, so many times.
fn long_function(times: usize) -> Function {
    let mut function = Function::new([(200, ValType::I64)]);
    for time in 0..times {
        let (from, to) = (time as u32 % 200, (time as u32 * 7 + 3) % 200);
        function
            .instruction(&Instruction::LocalGet(from))
            .instruction(&Instruction::LocalGet(to))
            .instruction(&Instruction::I64Mul)
            .instruction(&Instruction::LocalTee(to))
            .instruction(&Instruction::I64Eqz)
            .instruction(&Instruction::If(BlockType::Empty))
            .instruction(&Instruction::LocalGet(to))
            .instruction(&Instruction::LocalSet(from))
            .instruction(&Instruction::End);
    }
    function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::End);
    function
}

fn empty_function() -> Function {
    let mut function = Function::new([]);
    function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::End);
    function
}

fn refusal(bytes: &[u8], compiler: Compiler, load: LoadLimits) -> LoadError {
    let options = SandboxOptions { compiler, load, ..options(limits()) };
    let sandbox = Sandbox::new(options).expect("a sandbox");
    sandbox.load(bytes).expect_err("it is refused")
}

/// Refused before the compiler is asked.
fn assert_too_complex(bytes: &[u8], words: &str) {
    let nobody = Compiler::Child(std::sync::Arc::new(|| panic!("it came to the compiler")));
    match refusal(bytes, nobody, LoadLimits::default()) {
        LoadError::TooComplex(text) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hundreds_of_thousands_of_functions_are_not_compiled() {
    let bytes = entity_with(&[module_with(300_000, &empty_function())]);
    assert_too_complex(&bytes, "300000 functions");
    // Nor when they are spread out.
    let module = module_with(70_000, &empty_function());
    assert_too_complex(&entity_with(&[module.clone(), module.clone(), module]), "functions");
}

#[test]
fn a_function_of_megabytes_is_not_compiled() {
    let bytes = entity_with(&[module_with(1, &long_function(200_000))]);
    assert_too_complex(&bytes, "bytes in one function");
}

#[test]
fn millions_of_local_variables_are_not_compiled() {
    let mut body = Function::new([(50_000, ValType::I64)]);
    body.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::End);
    let bytes = entity_with(&[module_with(1_000, &body)]);
    assert!(bytes.len() < 20_000);
    assert_too_complex(&bytes, "local variables");
}

#[test]
fn deep_nesting_is_not_followed() {
    let mut component = Component::new();
    for _ in 0..5_000 {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&component));
        component = outer;
    }
    assert_too_complex(&component.finish(), "levels of nesting");
}

#[test]
fn thousands_of_modules_are_not_compiled() {
    let bytes = entity_with(&vec![Module::new(); 5_000]);
    assert_too_complex(&bytes, "modules");
}

/// What keeps within all counts and still takes long.
fn slow_bomb() -> Vec<u8> {
    entity_with(&[module_with(60, &long_function(40_000))])
}

#[test]
fn a_slow_compilation_is_ended_with_its_process() {
    let begin = Instant::now();
    let load = LoadLimits { compile_ms_max: 300, ..LoadLimits::default() };
    assert_eq!(refusal(&slow_bomb(), in_child(), load), LoadError::CompileDeadline(300));
    // It would take far longer; that it was ended is what is seen here.
    assert!(begin.elapsed() < Duration::from_secs(20));
    // Children of the tests beside this one end too, and are zombies until they are
    // waited for; one that nobody waits for stays.
    while zombies() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "a child was never waited for");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn zombies() -> usize {
    let own = std::process::id().to_string();
    let tasks = format!("/proc/{own}/task");
    let of_task = |task: std::path::PathBuf| {
        let listed = std::fs::read_to_string(task.join("children")).unwrap_or_default();
        let worker = |pid: &&str| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.contains(" Z "))
        };
        listed.split_whitespace().filter(worker).count()
    };
    std::fs::read_dir(tasks)
        .expect("this is Linux")
        .map(|task| of_task(task.expect("a task").path()))
        .sum()
}

#[test]
fn a_compilation_that_wants_too_much_memory_ends_alone() {
    let load = LoadLimits { compile_memory_bytes_max: 192 << 20, ..LoadLimits::default() };
    let error = refusal(&slow_bomb(), in_child(), load);
    assert!(matches!(error, LoadError::CompileMemory(_)), "{error:?}");
    assert!(!error.is_hosts());
}

#[test]
fn within_this_process_a_slow_compilation_is_left_behind() {
    // Long enough for what is small on a busy machine, and too short for the other.
    let load = LoadLimits { compile_ms_max: 1_500, ..LoadLimits::default() };
    let options = SandboxOptions { load, cache_dir: None, ..options(limits()) };
    let sandbox = Sandbox::new(options).expect("a sandbox");
    let small = entity_with(&[module_with(2, &long_function(40_000))]);
    assert_eq!(sandbox.load(&small).err(), Some(LoadError::CompileDeadline(1_500)));
    // Until it is through, nobody else's is begun.
    let begin = Instant::now();
    loop {
        match sandbox.load(&evil_bytes()) {
            Ok(component) => {
                assert_eq!(House::of(&component, "a").add(1), "1");
                return;
            }
            Err(LoadError::CompileBusy | LoadError::CompileDeadline(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert!(begin.elapsed() < Duration::from_secs(300), "it never ended");
    }
}

#[test]
fn a_compiler_that_can_not_be_started_is_the_hosts_fault() {
    let nobody = Compiler::Child(std::sync::Arc::new(|| {
        std::process::Command::new("/nowhere/stead-compile-worker")
    }));
    let fresh = entity_with(&[module_with(3, &empty_function())]);
    let error = refusal(&fresh, nobody, LoadLimits::default());
    assert!(error.is_hosts());
    assert!(error.to_string().contains("/nowhere/stead-compile-worker"), "{error}");

    let mute = Compiler::Child(std::sync::Arc::new(|| std::process::Command::new("true")));
    assert!(refusal(&fresh, mute, LoadLimits::default()).is_hosts());
    let babbling = Compiler::Child(std::sync::Arc::new(|| std::process::Command::new("yes")));
    assert!(refusal(&fresh, babbling, LoadLimits::default()).is_hosts());
}
