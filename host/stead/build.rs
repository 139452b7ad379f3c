//! Takes the project template and the SDK's sources into the binary, so that
//! `stead new` needs nothing but the binary.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

fn main() -> std::io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("embedded.rs");
    let mut file = fs::File::create(out)?;
    embed(&mut file, "TEMPLATE", &here.join("templates/rust"), &["."])?;
    let sdk = here.join("../../guest-sdk/rust");
    embed(&mut file, "SDK", &sdk, &["Cargo.toml", "src", "macros", "wit"])
}

/// Writes a constant with each file's path and contents.
fn embed(file: &mut fs::File, name: &str, root: &Path, parts: &[&str]) -> std::io::Result<()> {
    let mut found = Vec::new();
    for part in parts {
        let part = if *part == "." { root.to_owned() } else { root.join(part) };
        println!("cargo::rerun-if-changed={}", part.display());
        collect(&part, &mut found)?;
    }
    found.sort();
    assert!(!found.is_empty(), "{} has no files", root.display());
    writeln!(file, "/// Paths and contents, by path.")?;
    writeln!(file, "pub const {name}: &[(&str, &[u8])] = &[")?;
    for path in found {
        let relative = path.strip_prefix(root).expect("it was found below its root");
        let relative = relative.to_str().expect("our own files have plain names");
        writeln!(file, "    ({relative:?}, include_bytes!({:?})),", path.display().to_string())?;
    }
    writeln!(file, "];")
}

/// All files of a directory but what builds leave there.
fn collect(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_file() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let skipped = ["target", "Cargo.lock", ".git"];
        if !path.file_name().is_some_and(|name| skipped.iter().any(|skipped| name == *skipped)) {
            collect(&path, found)?;
        }
    }
    Ok(())
}
