//! Where a project has what: its manifest, and the components that its builds
//! leave behind.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use serde::Deserialize;

use super::component::is_component_file;
use crate::failure::{Exit, Failure};

/// Targets whose builds give components, the present one first.
const TARGETS: [&str; 2] = ["wasm32-wasip2", "wasm32-wasip1"];
/// Where builds of other languages leave their components.
const OTHER_OUTPUTS: [&str; 4] = ["", "dist", "build", "out"];

/// A project directory.
#[derive(Debug, Clone)]
pub struct Project {
    /// The directory.
    pub directory: PathBuf,
    /// What Cargo says of it, if it is a Rust package.
    package: Option<Package>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    target_directory: PathBuf,
    /// The file name of what it builds.
    file: String,
    /// Whether it is made for `cargo component`.
    for_cargo_component: bool,
}

impl Project {
    /// Looks at a directory.
    ///
    /// # Errors
    /// If it is none, or Cargo can't make sense of it.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        if !directory.is_dir() {
            return Err(Failure::new(
                Exit::NotFound,
                format!("{} is no directory", directory.display()),
            ));
        }
        let directory =
            directory.canonicalize().map_err(|error| Failure::file("read", directory, &error))?;
        let package =
            if directory.join("Cargo.toml").is_file() { Some(package(&directory)?) } else { None };
        Ok(Self { directory, package })
    }

    /// Whether it is a Rust package.
    pub fn is_rust(&self) -> bool {
        self.package.is_some()
    }

    /// Whether it is made for `cargo component`.
    pub fn is_for_cargo_component(&self) -> bool {
        self.package.as_ref().is_some_and(|package| package.for_cargo_component)
    }

    /// The newest component that a release build left; of those for `target`
    /// alone if it is given.
    ///
    /// # Errors
    /// If there is none; the failure says where was looked.
    pub fn newest_component(&self, target: Option<&str>) -> Result<PathBuf, Failure> {
        let places = self.places(target);
        let newest =
            places.iter().filter(|path| is_component_file(path)).max_by_key(|path| modified(path));
        newest.cloned().ok_or_else(|| self.nothing_built(&places))
    }

    fn places(&self, target: Option<&str>) -> Vec<PathBuf> {
        let Some(package) = &self.package else { return self.other_places() };
        TARGETS
            .iter()
            .filter(|candidate| target.is_none_or(|target| target == **candidate))
            .map(|target| package.target_directory.join(target).join("release").join(&package.file))
            .collect()
    }

    fn other_places(&self) -> Vec<PathBuf> {
        let directories = OTHER_OUTPUTS.iter().map(|name| self.directory.join(name));
        directories
            .filter_map(|directory| std::fs::read_dir(directory).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
            .collect()
    }

    fn nothing_built(&self, places: &[PathBuf]) -> Failure {
        let place = self.directory.display();
        let mut failure = Failure::new(
            Exit::NotFound,
            format!("{place} has no component that was built for release"),
        );
        for path in places {
            let state = if path.exists() { "is no component" } else { "is not there" };
            failure = failure.hint(format!("{} {state}", path.display()));
        }
        failure.hint(if self.is_rust() {
            "build it with `cargo build --release --target wasm32-wasip2` or `cargo component build --release`, or pass --build"
        } else {
            "name the component's file, or say how it is built with --build-command"
        })
    }
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    name: String,
    crate_types: Vec<String>,
}

fn package(directory: &Path) -> Result<Package, Failure> {
    let manifest = directory.join("Cargo.toml");
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .current_dir(directory)
        .output()
        .map_err(|error| {
            Failure::failed(format!("cargo could not be started: {error}"))
                .hint("a Rust project needs cargo; https://rustup.rs installs it")
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::failed(format!("cargo can't make sense of {}", manifest.display()))
            .hint(crate::output::tame(said.trim())));
    }
    package_from(&output.stdout, &manifest)
}

fn package_from(metadata: &[u8], manifest: &Path) -> Result<Package, Failure> {
    let metadata: Metadata = serde_json::from_slice(metadata).map_err(|error| {
        Failure::failed(format!("cargo's metadata could not be understood: {error}"))
    })?;
    let package = metadata.packages.into_iter().find(|package| package.manifest_path == manifest);
    let package = package.ok_or_else(|| {
        Failure::failed(format!("{} is a workspace, not a package", manifest.display()))
            .hint("name the directory of one of its packages")
    })?;
    let library = package
        .targets
        .iter()
        .find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
    let library = library.ok_or_else(|| {
        Failure::failed(format!("the package {} builds no component", package.name))
            .hint("its Cargo.toml needs: [lib] crate-type = [\"cdylib\"]")
    })?;
    let for_cargo_component =
        package.metadata.as_ref().is_some_and(|metadata| metadata.get("component").is_some());
    Ok(Package {
        target_directory: metadata.target_directory,
        file: format!("{}.wasm", library.name.replace('-', "_")),
        for_cargo_component,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(targets: &str, own: &str) -> String {
        format!(
            r#"{{"packages": [{{"name": "my-cart", "manifest_path": "/p/Cargo.toml", "targets": [{targets}], "metadata": {own}}}], "target_directory": "/t", "other": 1}}"#
        )
    }

    #[test]
    fn cargo_says_what_is_built_and_where() {
        let text = metadata(
            r#"{"name": "my-cart", "crate_types": ["cdylib", "rlib"]}"#,
            r#"{"component": {}}"#,
        );
        let package = package_from(text.as_bytes(), Path::new("/p/Cargo.toml")).expect("a package");
        let expected = Package {
            target_directory: "/t".into(),
            file: "my_cart.wasm".into(),
            for_cargo_component: true,
        };
        assert_eq!(package, expected);
    }

    #[test]
    fn a_package_that_builds_no_component_is_told_so() {
        let text = metadata(r#"{"name": "my-cart", "crate_types": ["lib"]}"#, "null");
        let failure =
            package_from(text.as_bytes(), Path::new("/p/Cargo.toml")).expect_err("no cdylib");
        assert!(failure.hints[0].contains("cdylib"), "{failure:?}");
        let failure =
            package_from(text.as_bytes(), Path::new("/q/Cargo.toml")).expect_err("another");
        assert!(failure.message.contains("workspace"), "{failure:?}");
    }

    fn project(directory: &Path) -> Project {
        let package = Package {
            target_directory: directory.join("target"),
            file: "cart.wasm".into(),
            for_cargo_component: false,
        };
        Project { directory: directory.into(), package: Some(package) }
    }

    fn built(directory: &Path, target: &str, contents: &[u8], age_s: u64) -> PathBuf {
        let path = directory.join("target").join(target).join("release/cart.wasm");
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, contents).expect("written");
        let at = SystemTime::now() - std::time::Duration::from_secs(age_s);
        std::fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|f| f.set_modified(at))
            .expect("aged");
        path
    }

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn the_newest_component_is_taken_and_a_core_module_never() {
        let directory = tempfile::tempdir().expect("a directory");
        let project = project(directory.path());
        let failure = project.newest_component(None).expect_err("nothing is built");
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.hints.len(), 3, "two places and what to do: {failure:?}");

        let older = built(directory.path(), "wasm32-wasip1", COMPONENT, 100);
        assert_eq!(project.newest_component(None).expect("one"), older);
        let newer = built(directory.path(), "wasm32-wasip2", COMPONENT, 10);
        assert_eq!(project.newest_component(None).expect("two"), newer);
        assert_eq!(project.newest_component(Some("wasm32-wasip1")).expect("one"), older);
        built(directory.path(), "wasm32-wasip2", MODULE, 0);
        assert_eq!(project.newest_component(None).expect("the one that is a component"), older);
    }

    #[test]
    fn projects_in_other_languages_have_theirs_where_their_tools_leave_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let project = Project { directory: directory.path().into(), package: None };
        std::fs::create_dir(directory.path().join("dist")).expect("made");
        std::fs::write(directory.path().join("dist/cart.wasm"), COMPONENT).expect("written");
        let found = project.newest_component(None).expect("one");
        assert!(found.ends_with("dist/cart.wasm"), "{}", found.display());
    }
}
