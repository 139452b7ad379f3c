//! Builds the guests that tests need, once per test run and only if something
//! changed.
//!
//! Cargo decides what is to be built and keeps other builds of the same guests
//! waiting meanwhile, so tests may ask for guests from any number of threads
//! and processes. What it built stays as it is while nothing changes, so the
//! files may be read after the build is over.

#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, Mutex, PoisonError},
};

/// How a guest is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Build {
    /// `cargo build --target wasm32-wasip2`.
    CargoTarget,
    /// `cargo component build`, which must be installed.
    CargoComponent,
}

/// The component of a crate in `tests/guests`.
///
/// # Panics
/// If it can't be built; the text says why.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    guest_by(name, Build::CargoTarget)
}

/// As [`guest`], built another way.
///
/// # Panics
/// As [`guest`].
#[must_use]
pub fn guest_by(name: &str, build: Build) -> PathBuf {
    built(&root().join("tests/guests"), name, build)
}

/// The component of a sample: `cart`, say.
///
/// # Panics
/// As [`guest`].
#[must_use]
pub fn sample(name: &str, build: Build) -> PathBuf {
    built(&root().join("samples"), &format!("stead-sample-{name}"), build)
}

/// The root of the repository.
///
/// # Panics
/// Never: this crate is in it.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two levels below the root")
}

/// What was built in this process, by workspace and package.
type Built = HashMap<(PathBuf, String, Build), PathBuf>;

/// Builds a package and returns its component. What was built in this process
/// is not looked at again.
fn built(workspace: &Path, package: &str, build: Build) -> PathBuf {
    static BUILT: LazyLock<Mutex<Built>> = LazyLock::new(Mutex::default);
    // A build that failed panicked; that says nothing of the others.
    let mut known = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (workspace.to_owned(), package.to_owned(), build);
    known.entry(key).or_insert_with(|| build_now(workspace, package, build)).clone()
}

fn build_now(workspace: &Path, package: &str, build: Build) -> PathBuf {
    let target_dir = root().join("target/guests");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let triple = match build {
        Build::CargoTarget => {
            command.args(["build", "--target", "wasm32-wasip2"]);
            "wasm32-wasip2"
        }
        Build::CargoComponent => {
            command.args(["component", "build"]);
            "wasm32-wasip1"
        }
    };
    command
        .args(["--release", "--package", package, "--target-dir"])
        .arg(&target_dir)
        .current_dir(workspace)
        // What is set for the host is not for guests.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR");
    let output = command.output().unwrap_or_else(|error| panic!("cargo can't be run: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{package} could not be built in {} ({}).\n{said}\n{}",
        workspace.display(),
        output.status,
        advice(build, &said)
    );
    // Cargo names files with underscores.
    let file = format!("{}.wasm", package.replace('-', "_"));
    let component = target_dir.join(triple).join("release").join(file);
    assert!(
        component.is_file(),
        "{package} was built, but there is no component at {}",
        component.display()
    );
    component
}

fn advice(build: Build, said: &str) -> &'static str {
    match build {
        Build::CargoComponent if said.contains("no such command") => {
            "Install it: cargo install cargo-component --version 0.21.1 --locked --debug"
        }
        Build::CargoTarget if said.contains("target may not be installed") => {
            "Install it: rustup target add wasm32-wasip2"
        }
        Build::CargoComponent | Build::CargoTarget => "",
    }
}
