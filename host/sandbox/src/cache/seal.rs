//! The form of a kept compilation: a mark, a code of authenticity, the machine
//! code.
//!
//! The code of authenticity (HMAC-SHA-256) covers what the file is about, the
//! component and the compiler, beside the machine code itself, so that a file
//! is good only under its own name. It has no golden file: a file of another
//! form is of no use to anyone, and the component is compiled again.

use std::{
    fs::{File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use stead_model::ComponentHash;
use wasmtime::Engine;

use super::key::Key;

/// Begins a file; the digit is the form's version.
const MARK: &[u8; 8] = b"steadcc1";
/// The size of a code of authenticity.
const CODE_BYTES: usize = 32;

/// Which compiler, with which settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CompilerId([u8; 32]);

impl CompilerId {
    /// wasmtime's version, the processor, and every setting that shows in code.
    pub(super) fn of(engine: &Engine) -> Self {
        let mut hasher = Digesting(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }

    /// Enough of it to tell files apart.
    pub(super) fn short(&self) -> String {
        self.0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The seal of one component's compilation by one compiler.
pub(super) struct Seal(Hmac<Sha256>);

impl Seal {
    pub(super) fn of(key: &Key, component: ComponentHash, compiler: &CompilerId) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).expect("any length is a key");
        mac.update(MARK);
        mac.update(&component.0);
        mac.update(&compiler.0);
        Self(mac)
    }

    /// Writes a new file that only its owner can read.
    pub(super) fn write(mut self, path: &Path, code: &[u8]) -> io::Result<()> {
        self.0.update(code);
        let authenticity = self.0.finalize().into_bytes();
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(MARK)?;
        file.write_all(&authenticity)?;
        file.write_all(code)
    }

    /// Reads a file and gives its machine code if the seal is whole.
    pub(super) fn open(mut self, mut file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
        let no_use = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        let size = file.metadata()?.len();
        let head_bytes = (MARK.len() + CODE_BYTES) as u64;
        if size < head_bytes {
            return no_use("it is cut off");
        }
        if size - head_bytes > bytes_max {
            return no_use("it is larger than any that is kept here");
        }
        let mut mark = [0; MARK.len()];
        file.read_exact(&mut mark)?;
        if &mark != MARK {
            return no_use("it is of another form or no compilation at all");
        }
        let mut authenticity = [0; CODE_BYTES];
        file.read_exact(&mut authenticity)?;
        let mut code = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.take(bytes_max).read_to_end(&mut code)?;
        self.0.update(&code);
        match self.0.verify_slice(&authenticity) {
            Ok(()) => Ok(code),
            Err(_) => no_use("it is damaged, of another node, or was altered"),
        }
    }
}

/// Gives what is hashed to a digest, whose result is the same in every process.
struct Digesting(Sha256);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken instead")
    }
}
