//! Component files: what they are, and what they are not.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use stead_model::ComponentHash;

use crate::failure::Failure;

/// The most bytes that are read; the node has its own limit, lower by default.
const COMPONENT_BYTES_MAX: u64 = 1 << 30;

/// A component's bytes and where they are from.
#[derive(Debug, Clone)]
pub struct Component {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Component {
    /// Its name in the node's component store.
    pub fn hash(&self) -> ComponentHash {
        ComponentHash(Sha256::digest(&self.bytes).into())
    }
}

/// Reads a file that has to be a component.
///
/// # Errors
/// If it can't be read or is something else; the failure says what it is then.
pub fn read_component(path: &Path) -> Result<Component, Failure> {
    let size = std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?.len();
    if size > COMPONENT_BYTES_MAX {
        return Err(Failure::failed(format!(
            "{}: {size} bytes are too many for a component",
            path.display()
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    check(&bytes).map_err(|(what, hint)| {
        Failure::failed(format!("{} is {what}", path.display())).hint(hint)
    })?;
    Ok(Component { path: path.to_owned(), bytes: bytes.into() })
}

/// Whether a file begins as a component does; it is not read further.
pub fn is_component_file(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 8];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
        && check(&head).is_ok()
}

/// What a file is if it is no component, and what to do about it.
fn check(bytes: &[u8]) -> Result<(), (String, &'static str)> {
    // The magic number, then the version (2 bytes) and the layer (2 bytes).
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Err((
            "a core WebAssembly module, not a component".into(),
            "build for wasm32-wasip2, or with cargo component, to get a component",
        )),
        [b'\0', b'a', b's', b'm', ..] => {
            Err(("WebAssembly of an unknown layer, not a component".into(), "build it anew"))
        }
        [] => Err(("empty".into(), "build it anew")),
        [b'(', ..] => Err((
            "WebAssembly text, not a component".into(),
            "turn it into binary first, with wasm-tools parse",
        )),
        _ => {
            let mut head = String::new();
            for byte in bytes.iter().take(8) {
                let _ = write!(head, " {byte:02x}");
            }
            Err((
                format!("no WebAssembly: it begins with{head}"),
                "deploy takes a project directory or a .wasm file",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_named() {
        for (bytes, part) in [
            (&b"\0asm\x01\0\0\0rest"[..], "a core WebAssembly module"),
            (&b"\0asm\x01\0\x02\0"[..], "an unknown layer"),
            (&b""[..], "empty"),
            (&b"(component)"[..], "WebAssembly text"),
            (&b"\x7fELF"[..], "no WebAssembly: it begins with 7f 45 4c 46"),
        ] {
            let (what, _) = check(bytes).expect_err(part);
            assert!(what.contains(part), "{what}");
        }
        assert!(check(b"\0asm\x0d\0\x01\0").is_ok());
    }

    #[test]
    fn a_hash_is_sha_256_of_the_bytes() {
        let component = Component { path: PathBuf::new(), bytes: Bytes::from_static(b"abc") };
        assert!(component.hash().to_string().starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }
}
