//! The node's own key, under which it seals its compilations.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// The size of a key.
const KEY_BYTES: usize = 32;

/// A secret that never leaves the node.
pub(super) struct Key([u8; KEY_BYTES]);

impl Key {
    /// Reads the key, or makes one if there is none that can be relied on:
    /// with a new key, what was sealed before is useless, and that is all.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match read(path) {
            Ok(key) => return Ok(key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(path = %path.display(), %error, "making a new key for the compile cache");
                fs::remove_file(path)?;
            }
            Err(error) => return Err(error),
        }
        create(path)?;
        read(path)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn read(path: &Path) -> io::Result<Key> {
    let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
    let mut file = fs::File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return invalid("others than its owner can read the key");
    }
    let mut key = [0; KEY_BYTES];
    match file.read_exact(&mut key) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return invalid("the key is cut off");
        }
        result => result?,
    }
    if key == [0; KEY_BYTES] {
        // What a file system may leave of a file that was not synced.
        return invalid("the key is nothing but zeroes");
    }
    Ok(Key(key))
}

/// Makes a key. If another process of this node was quicker, its key holds.
fn create(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let unfinished = path.with_extension(format!("key-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(&key)?;
            file.sync_all()
        })
        .and_then(|()| fs::hard_link(&unfinished, path));
    fs::remove_file(&unfinished)?;
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_the_same_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cache.key");
        let first = Key::open(&path).expect("a key");
        let second = Key::open(&path).expect("the same key");
        assert_eq!(first.bytes(), second.bytes());
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 1);
    }

    #[test]
    fn a_key_that_can_not_be_relied_on_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cache.key");
        let first = Key::open(&path).expect("a key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        let second = Key::open(&path).expect("another key");
        assert_ne!(first.bytes(), second.bytes());
        fs::write(&path, b"short").expect("it is ours");
        let third = Key::open(&path).expect("another key");
        assert_ne!(second.bytes(), third.bytes());
    }
}
