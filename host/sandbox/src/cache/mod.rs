//! Compilations kept on disk, so that a node starts without compiling.
//!
//! A compilation is code that the node will run, so what is read back must be
//! what this node wrote: every file is sealed under a key of the node's own
//! (`seal.rs`, `key.rs`). A file that is torn, altered, moved to another name, or
//! of another compiler is left aside with a line in the log, and the component is
//! compiled anew. Nothing is lost with the cache but time, so nothing in it is
//! synced, and a directory full of nonsense is no error.

mod key;
mod seal;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use stead_model::ComponentHash;
use wasmtime::Engine;

use self::{
    key::Key,
    seal::{CompilerId, Seal},
};
use crate::artifact::OwnCode;

/// What a file that is not complete yet is called; a crash may leave one.
const UNFINISHED: &str = "unfinished";
/// What a compilation's file is called.
const FINISHED: &str = "compiled";

/// The compilations of one node.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    bytes_max: u64,
    key: Key,
    compiler: CompilerId,
    unfinished: AtomicU64,
}

impl Cache {
    /// Opens a directory of compilations, and makes it and its key if need be.
    /// The key is in a file beside it, `DIR.key`, that only the owner can read.
    pub(crate) fn open(dir: &Path, bytes_max: u64, engine: &Engine) -> io::Result<Self> {
        let named = |error: io::Error, path: &Path| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        fs::create_dir_all(dir).map_err(|error| named(error, dir))?;
        let mut key_file = dir.as_os_str().to_owned();
        key_file.push(".key");
        let key_file = PathBuf::from(key_file);
        let key = Key::open(&key_file).map_err(|error| named(error, &key_file))?;
        let cache = Self {
            dir: dir.to_owned(),
            bytes_max,
            key,
            compiler: CompilerId::of(engine),
            unfinished: AtomicU64::new(0),
        };
        for (path, _) in cache.files(UNFINISHED) {
            remove(&path);
        }
        Ok(cache)
    }

    /// The compilation of a component, if it is here and whole.
    pub(crate) fn get(&self, component: ComponentHash) -> Option<OwnCode> {
        let path = self.path(component);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return ignored(&path, &error),
        };
        // Files are dropped by how long they were not used.
        let _ = file.set_modified(SystemTime::now());
        match Seal::of(&self.key, component, &self.compiler).open(file, self.bytes_max) {
            Ok(code) => Some(OwnCode::authenticated(code)),
            Err(error) => {
                remove(&path);
                ignored(&path, &error)
            }
        }
    }

    /// Keeps a compilation. If it can't be kept, it will be compiled again.
    pub(crate) fn put(&self, component: ComponentHash, code: &OwnCode) {
        let path = self.path(component);
        let size = code.bytes().len() as u64;
        if size > self.bytes_max {
            tracing::warn!(%component, size, max = self.bytes_max, "a compilation is too large to keep");
            return;
        }
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.dir.join(format!("{}-{number}.{UNFINISHED}", std::process::id()));
        let seal = Seal::of(&self.key, component, &self.compiler);
        let written =
            seal.write(&unfinished, code.bytes()).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = written {
            remove(&unfinished);
            tracing::warn!(path = %path.display(), %error, "a compilation could not be kept");
            return;
        }
        self.make_room(&path);
    }

    /// Removes the files that were not used for longest until the rest is
    /// within bounds; never the one just written.
    fn make_room(&self, just_written: &Path) {
        let mut files: Vec<(PathBuf, fs::Metadata)> = self.files(FINISHED).collect();
        let mut total: u64 = files.iter().map(|(_, metadata)| metadata.len()).sum();
        files.sort_by_key(|(_, metadata)| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        for (path, metadata) in files {
            if total <= self.bytes_max {
                return;
            }
            if path != just_written {
                remove(&path);
                total = total.saturating_sub(metadata.len());
            }
        }
    }

    fn files(&self, extension: &'static str) -> impl Iterator<Item = (PathBuf, fs::Metadata)> {
        fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(move |path| path.extension().is_some_and(|found| found == extension))
            .filter_map(|path| {
                let metadata = fs::metadata(&path).ok()?;
                Some((path, metadata))
            })
    }

    /// Where a component's compilation is. The compiler is part of the name, so
    /// that two versions of the program can share a directory in an upgrade.
    fn path(&self, component: ComponentHash) -> PathBuf {
        self.dir.join(format!("{component}-{}.{FINISHED}", self.compiler.short()))
    }
}

fn ignored(path: &Path, error: &io::Error) -> Option<OwnCode> {
    tracing::warn!(path = %path.display(), %error, "a kept compilation is not used; compiling anew");
    None
}

/// Removes a file of the cache. One that stays is found useless again later.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file of the compile cache can't be removed");
    }
}
