//! What the tests share: sandboxes, the evil guest, and its words.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, LazyLock},
};

use stead_model::{EntityId, EntityType, Event, GuestLimits, Outcome, Rejection, TimestampMs};
use stead_sandbox::{
    Compiler, Entity, Instance, LoadedComponent, Sandbox, SandboxFault, SandboxOptions,
};
use stead_test_support::{Build, guest_by};

/// The time that guests see in tests.
pub const NOW_MS: u64 = 1_700_000_000_123;

/// Limits that are soon reached.
pub fn limits() -> GuestLimits {
    GuestLimits {
        call_ms_max: 300,
        replay_ms_max: 400,
        instance_memory_bytes_max: 64 << 20,
        entity_memory_bytes_max: 16 << 20,
        ..GuestLimits::default()
    }
}

/// Options with a clock and randomness that a test can foretell, and a cache
/// for all tests of the run.
pub fn options(limits: GuestLimits) -> SandboxOptions {
    static CACHE: LazyLock<tempfile::TempDir> =
        LazyLock::new(|| tempfile::tempdir().expect("a directory"));
    SandboxOptions {
        clock: Arc::new(|| TimestampMs(NOW_MS)),
        randomness: Arc::new(|bytes| bytes.fill(0xab)),
        cache_dir: Some(CACHE.path().join("compiled")),
        ..SandboxOptions::new(limits)
    }
}

pub fn sandbox(limits: GuestLimits) -> Sandbox {
    Sandbox::new(options(limits)).expect("a sandbox")
}

/// Compiles in a child process, as nodes do.
pub fn in_child() -> Compiler {
    Compiler::Child(Arc::new(|| Command::new(env!("CARGO_BIN_EXE_stead-compile-worker"))))
}

pub fn evil_path(build: Build) -> PathBuf {
    guest_by("evil", build)
}

pub fn evil_bytes() -> Vec<u8> {
    std::fs::read(evil_path(Build::CargoTarget)).expect("the guest was built")
}

/// The evil guest with another `describe`.
pub fn evil_mode(mode: &str) -> Vec<u8> {
    let mut mark = format!("evil-mode:{mode}");
    assert!(mark.len() <= 24, "there is no room for {mode}");
    mark.extend(std::iter::repeat_n('.', 24 - mark.len()));
    replaced(evil_bytes(), b"evil-mode:good..........", mark.as_bytes())
}

/// The bytes with every `from` replaced by a `to` of the same length.
pub fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let is_it = |&(_, window): &(usize, &[u8])| window == from;
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(is_it).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the component lacks {}", String::from_utf8_lossy(from));
    for at in places {
        bytes.splice(at..at + to.len(), to.iter().copied());
    }
    bytes
}

/// The evil guest under these limits.
pub fn evil(limits: GuestLimits) -> LoadedComponent {
    sandbox(limits).load(&evil_bytes()).expect("it loads")
}

/// The evil guest under the usual limits.
pub fn usual() -> &'static LoadedComponent {
    static USUAL: LazyLock<LoadedComponent> = LazyLock::new(|| evil(limits()));
    &USUAL
}

pub fn entity_type() -> EntityType {
    EntityType::new("evil").expect("a name")
}

pub fn id(text: &str) -> EntityId {
    EntityId::new(text).expect("an id")
}

pub fn event(name: &str, body: &str) -> Event {
    Event { name: name.into(), body: body.into() }
}

/// An instance with one entity in it.
pub struct House {
    pub instance: Instance,
    pub entity: Entity,
    pub id: EntityId,
}

impl House {
    pub fn of(component: &LoadedComponent, text: &str) -> Self {
        let mut instance = component.instantiate(&entity_type()).expect("an instance");
        let id = id(text);
        let entity = instance.create(&id).expect("an entity");
        Self { instance, entity, id }
    }

    pub fn usual(text: &str) -> Self {
        Self::of(usual(), text)
    }

    pub fn handle(
        &mut self,
        command: &str,
        body: &str,
    ) -> Result<Result<Outcome, Rejection>, SandboxFault> {
        self.instance.handle(&self.entity, &self.id, command, body.as_bytes())
    }

    pub fn act(&mut self, act: &str) -> Result<Result<Outcome, Rejection>, SandboxFault> {
        self.handle("act", act)
    }

    /// The reply to an act that goes well.
    pub fn reply(&mut self, act: &str) -> String {
        let outcome = self.act(act).expect("no fault").expect("no rejection");
        String::from_utf8(outcome.reply).expect("a text")
    }

    /// The fault of an act.
    pub fn fault(&mut self, act: &str) -> SandboxFault {
        self.act(act).expect_err("a fault")
    }

    /// Adds, and gives the new total.
    pub fn add(&mut self, number: i64) -> String {
        let outcome = self.handle("add", &number.to_string()).expect("no fault");
        String::from_utf8(outcome.expect("no rejection").reply).expect("a text")
    }

    pub fn ask(&mut self, act: &str) -> Result<Result<Vec<u8>, Rejection>, SandboxFault> {
        self.instance.query(&self.entity, &self.id, "ask", act.as_bytes())
    }
}
