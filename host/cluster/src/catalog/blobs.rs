//! Components on disk, named by the hash of their bytes.
//!
//! A blob is written beside its place, synced, and renamed into it, so that
//! what is found under a name is whole. It is hashed again when it is read:
//! bytes that changed on the disk are an error that names the file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use stead_model::ComponentHash;

/// The directory of the components.
#[derive(Debug)]
pub struct Blobs {
    directory: PathBuf,
}

/// Why a component can't be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not those that the name stands for.
    #[error(
        "{path} is damaged: its bytes hash to {found}; deploy the component again to replace it"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What its bytes hash to.
        found: ComponentHash,
    },
}

impl Blobs {
    /// Opens or creates the directory, and removes what interrupted writes left.
    ///
    /// # Errors
    /// If it can't be created or read.
    pub fn open(directory: &Path) -> Result<Self, BlobError> {
        let at = |source| BlobError::Io { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(at)?;
        for file in fs::read_dir(directory).map_err(at)? {
            let path = file.map_err(at)?.path();
            if path.extension().is_some_and(|extension| extension == "partial") {
                fs::remove_file(&path).map_err(|source| BlobError::Io { path, source })?;
            }
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// The hash under which bytes are stored.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> ComponentHash {
        ComponentHash(Sha256::digest(bytes).into())
    }

    /// Stores a component durably. One that is here already, undamaged, is left as it is.
    ///
    /// # Errors
    /// If it can't be written; nothing is left under its name then.
    pub fn put(&self, bytes: &[u8]) -> Result<ComponentHash, BlobError> {
        let hash = Self::hash(bytes);
        let path = self.path(hash);
        if matches!(self.get(hash), Ok(Some(_))) {
            return Ok(hash);
        }
        let partial = path.with_extension("partial");
        let written = write_synced(&partial, bytes)
            .and_then(|()| fs::rename(&partial, &path))
            .and_then(|()| fs::File::open(&self.directory)?.sync_all());
        written.map_err(|source| {
            // What is left behind is removed at the next start at the latest.
            let _ = fs::remove_file(&partial);
            BlobError::Io { path, source }
        })?;
        Ok(hash)
    }

    /// Reads a component; `None` if it isn't here.
    ///
    /// # Errors
    /// If it can't be read, or is damaged.
    pub fn get(&self, hash: ComponentHash) -> Result<Option<Vec<u8>>, BlobError> {
        let path = self.path(hash);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(BlobError::Io { path, source }),
        };
        let found = Self::hash(&bytes);
        if found == hash { Ok(Some(bytes)) } else { Err(BlobError::Damaged { path, found }) }
    }

    /// Removes the components that nothing refers to and that are older than
    /// `age_min`: a younger one may be about to be deployed. How many there were.
    ///
    /// # Errors
    /// If the directory can't be read or a file not be removed.
    pub fn retain(
        &self,
        age_min: Duration,
        wanted: impl Fn(ComponentHash) -> bool,
    ) -> Result<usize, BlobError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            |source| BlobError::Io { path, source }
        };
        let mut removed = 0;
        for file in fs::read_dir(&self.directory).map_err(at(&self.directory))? {
            let path = file.map_err(at(&self.directory))?.path();
            let hash = path.file_stem().and_then(|stem| ComponentHash::parse(stem.to_str()?));
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let age = modified.map_err(at(&path))?.elapsed().unwrap_or_default();
            if age >= age_min && hash.is_some_and(|hash| !wanted(hash)) {
                fs::remove_file(&path).map_err(at(&path))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn path(&self, hash: ComponentHash) -> PathBuf {
        self.directory.join(format!("{hash}.wasm"))
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_read_back_or_named_as_damaged() {
        let directory = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(directory.path()).expect("blobs");
        let hash = blobs.put(b"component").expect("stored");
        assert_eq!(blobs.get(hash).expect("read").as_deref(), Some(&b"component"[..]));
        assert_eq!(blobs.get(Blobs::hash(b"other")).expect("read"), None);

        let path = blobs.path(hash);
        fs::write(&path, b"compoment").expect("damaged");
        let error = blobs.get(hash).expect_err("damage is found").to_string();
        assert!(error.contains(path.to_str().expect("a path")), "{error}");

        assert_eq!(blobs.put(b"component").expect("stored again"), hash);
        assert!(blobs.get(hash).expect("read").is_some(), "storing it again mends it");
    }

    #[test]
    fn what_an_interrupted_write_left_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("x.partial"), b"half").expect("written");
        Blobs::open(directory.path()).expect("blobs");
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
    }

    #[test]
    fn unwanted_blobs_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(directory.path()).expect("blobs");
        let (kept, dropped) = (blobs.put(b"a").expect("a"), blobs.put(b"b").expect("b"));
        let hour = Duration::from_secs(3600);
        assert_eq!(blobs.retain(hour, |_| false).expect("retained"), 0, "they are young");
        assert_eq!(blobs.retain(Duration::ZERO, |hash| hash == kept).expect("retained"), 1);
        assert!(blobs.get(kept).expect("read").is_some());
        assert!(blobs.get(dropped).expect("read").is_none());
    }
}
