//! Noticing that sources have changed, by looking: it works on every file
//! system, network and container mounts among them, and a project is small.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often is looked.
const EVERY: Duration = Duration::from_millis(300);
/// No more files are looked at.
const FILES_MAX: usize = 20_000;
/// What builds and tools write by themselves.
const SKIPPED: [&str; 6] = ["target", "node_modules", "dist", "build", "out", "__pycache__"];

/// Directories with sources.
#[derive(Debug)]
pub struct Sources {
    roots: Vec<PathBuf>,
    seen: u64,
}

impl Sources {
    /// The sources as they are now.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        let seen = fingerprint(&roots);
        Self { roots, seen }
    }

    /// Waits until something has changed, and then until nothing does any more:
    /// editors and version control write many files at once.
    pub async fn changed(&mut self) {
        let mut before = self.seen;
        loop {
            tokio::time::sleep(EVERY).await;
            let now = self.look().await;
            if now == before && now != self.seen {
                self.seen = now;
                return;
            }
            before = now;
        }
    }

    async fn look(&self) -> u64 {
        let roots = self.roots.clone();
        tokio::task::spawn_blocking(move || fingerprint(&roots)).await.unwrap_or(self.seen)
    }
}

/// A hash of all files' paths, sizes and times. Files that come and go while it
/// is made are taken as they are met.
fn fingerprint(roots: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut left = FILES_MAX;
    for root in roots {
        visit(root, &mut hasher, &mut left);
    }
    hasher.finish()
}

fn visit(directory: &Path, hasher: &mut DefaultHasher, left: &mut usize) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let skipped = name.starts_with('.')
            || SKIPPED.contains(&&*name)
            || name == "Cargo.lock"
            || name.ends_with(".wasm");
        if skipped || *left == 0 {
            continue;
        }
        *left -= 1;
        // Not followed if it is a link: links may lead in circles.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            visit(&entry.path(), hasher, left);
        } else {
            entry.path().hash(hasher);
            metadata.len().hash(hasher);
            metadata.modified().ok().hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_count_and_what_builds_write_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let roots = [directory.path().to_owned()];
        let write = |path: &str, contents: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, contents).expect("written");
        };
        write("src/lib.rs", "a");
        let first = fingerprint(&roots);
        assert_eq!(fingerprint(&roots), first, "looking changes nothing");
        for path in ["target/x", ".git/x", "Cargo.lock", "dist/cart.wasm", "cart.wasm"] {
            write(path, "b");
            assert_eq!(fingerprint(&roots), first, "{path}");
        }
        write("src/lib.rs", "longer");
        let second = fingerprint(&roots);
        assert_ne!(second, first);
        write("entity.toml", "x");
        assert_ne!(fingerprint(&roots), second);
    }

    #[tokio::test]
    async fn a_change_is_told_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut sources = Sources::new(vec![directory.path().to_owned()]);
        std::fs::write(directory.path().join("x"), "1").expect("written");
        sources.changed().await;
        let again = tokio::time::timeout(4 * EVERY, sources.changed()).await;
        assert!(again.is_err(), "nothing has changed since");
    }
}
