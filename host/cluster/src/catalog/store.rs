//! The facts about types, in a redb file of their own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use stead_model::{ComponentHash, EntityType, Manifest, TimestampMs, TypeVersion};

use super::format;

/// The most types that are deployed, or were and have kept entities.
pub const TYPES_MAX: usize = 1024;
/// The versions of a type that can be put back; older ones are forgotten.
pub const VERSIONS_KEPT: usize = 64;

const TYPES: TableDefinition<&str, &[u8]> = TableDefinition::new("types");

/// What is known of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeFacts {
    /// The version in service; `None` if the type was undeployed.
    pub current: Option<TypeVersion>,
    /// The last version number given out.
    pub last: TypeVersion,
    /// The newest versions, oldest first.
    pub versions: Vec<VersionFacts>,
}

/// One version of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFacts {
    /// Its number.
    pub version: TypeVersion,
    /// Its component.
    pub component: ComponentHash,
    /// The component's size in bytes.
    pub component_bytes: u64,
    /// When it was first deployed.
    pub deployed_at: TimestampMs,
    /// How it is run.
    pub manifest: Manifest,
}

impl TypeFacts {
    /// The facts of one version.
    #[must_use]
    pub fn version(&self, version: TypeVersion) -> Option<&VersionFacts> {
        self.versions.iter().find(|facts| facts.version == version)
    }

    /// The version in service.
    #[must_use]
    pub fn current(&self) -> Option<&VersionFacts> {
        self.version(self.current?)
    }

    /// The facts after a deployment: a new version if the component is another
    /// than the present one, else the present one with the new manifest.
    #[must_use]
    pub fn deployed(&self, mut next: VersionFacts) -> Self {
        let mut facts = self.clone();
        match facts
            .versions
            .iter_mut()
            .find(|v| Some(v.version) == self.current && v.component == next.component)
        {
            Some(present) => present.manifest = next.manifest,
            None => {
                facts.last = TypeVersion(facts.last.get().saturating_add(1));
                next.version = facts.last;
                facts.current = Some(next.version);
                facts.versions.push(next);
                let surplus = facts.versions.len().saturating_sub(VERSIONS_KEPT);
                facts.versions.drain(..surplus);
            }
        }
        facts
    }
}

/// The facts could not be read or written. The text names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct CatalogError {
    path: PathBuf,
    reason: String,
}

/// The file of facts, and what it says.
pub struct CatalogStore {
    path: PathBuf,
    database: Database,
    types: BTreeMap<EntityType, TypeFacts>,
}

impl CatalogStore {
    /// Opens or creates the file and reads all of it.
    ///
    /// # Errors
    /// If it can't be opened, or a row of it is damaged: a sole copy is not
    /// guessed at.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        let read = || -> Result<_, String> {
            let mut database = Database::builder()
                .set_cache_size(4 << 20)
                .create(path)
                .map_err(|error| error.to_string())?;
            if !database.check_integrity().map_err(|error| error.to_string())? {
                tracing::info!(path = %path.display(), "the catalog was repaired after a crash");
            }
            let write = database.begin_write().map_err(|error| error.to_string())?;
            write.open_table(TYPES).map_err(|error| error.to_string())?;
            write.commit().map_err(|error| error.to_string())?;
            let types = read_all(&database)?;
            Ok((database, types))
        };
        match guarded(read) {
            Ok((database, types)) => Ok(Self { path: path.to_owned(), database, types }),
            Err(reason) => Err(CatalogError { path: path.to_owned(), reason }),
        }
    }

    /// All types that were ever deployed.
    #[must_use]
    pub fn types(&self) -> &BTreeMap<EntityType, TypeFacts> {
        &self.types
    }

    /// What is known of a type.
    #[must_use]
    pub fn facts(&self, entity_type: &EntityType) -> TypeFacts {
        self.types.get(entity_type).cloned().unwrap_or_default()
    }

    /// Makes new facts durable, and only then what this says.
    ///
    /// # Errors
    /// If they can't be written; nothing has changed then, unless the disk
    /// failed in the sync itself: then a restart may find the new facts.
    pub fn put(&mut self, entity_type: &EntityType, facts: TypeFacts) -> Result<(), CatalogError> {
        if !self.types.contains_key(entity_type) && self.types.len() >= TYPES_MAX {
            return Err(self.error(format!("it holds {TYPES_MAX} types, and no more are served")));
        }
        let bytes = format::encode(entity_type.as_str(), &facts);
        let write = || -> Result<(), redb::Error> {
            let mut write = self.database.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            write.open_table(TYPES)?.insert(entity_type.as_str(), bytes.as_slice())?;
            write.commit()?;
            Ok(())
        };
        // Twice: redb's file has two places for commits and a bit that says which
        // is the newer. Were that bit to flip, the file would be as it was before
        // its last commit, and look sound.
        guarded(|| write().and_then(|()| write()).map_err(|error| error.to_string()))
            .map_err(|reason| self.error(reason))?;
        self.types.insert(entity_type.clone(), facts);
        Ok(())
    }

    fn error(&self, reason: String) -> CatalogError {
        CatalogError { path: self.path.clone(), reason }
    }
}

fn read_all(database: &Database) -> Result<BTreeMap<EntityType, TypeFacts>, String> {
    let read = || -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
        let table = database.begin_read()?.open_table(TYPES)?;
        let rows = table.iter()?.map(|row| {
            let (name, facts) = row?;
            Ok((name.value().to_owned(), facts.value().to_vec()))
        });
        rows.collect()
    };
    let rows = read().map_err(|error| error.to_string())?;
    let decoded = rows.into_iter().map(|(name, bytes)| {
        let damaged = |reason: String| format!("the facts of type {name:?} are damaged: {reason}");
        let entity_type = EntityType::new(&name).map_err(|error| damaged(error.to_string()))?;
        Ok((entity_type, format::decode(&name, &bytes).map_err(damaged)?))
    });
    decoded.collect()
}

/// redb panics on some damaged pages; here that is an error like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("it is damaged: a page of it can't be read".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(component: u8) -> VersionFacts {
        VersionFacts {
            version: TypeVersion(0),
            component: ComponentHash([component; 32]),
            component_bytes: 1,
            deployed_at: TimestampMs(1),
            manifest: Manifest::new(cart()),
        }
    }

    fn cart() -> EntityType {
        EntityType::new("cart").expect("a type")
    }

    #[test]
    fn facts_survive_reopening() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("catalog.redb");
        let facts = TypeFacts::default().deployed(version(1)).deployed(version(2));
        CatalogStore::open(&path).expect("opened").put(&cart(), facts.clone()).expect("put");
        assert_eq!(CatalogStore::open(&path).expect("opened").facts(&cart()), facts);
    }

    #[test]
    fn the_same_component_again_is_no_new_version() {
        let facts = TypeFacts::default().deployed(version(1));
        let mut changed = version(1);
        changed.manifest.snapshot.every_events = 7;
        let facts = facts.deployed(changed);
        assert_eq!(facts.current, Some(TypeVersion(1)));
        assert_eq!(facts.current().expect("current").manifest.snapshot.every_events, 7);
        let facts = facts.deployed(version(2)).deployed(version(1));
        assert_eq!(facts.current, Some(TypeVersion(3)), "an old component is a new version");
    }

    #[test]
    fn versions_are_bounded_and_numbers_go_on() {
        let mut facts = TypeFacts::default();
        for round in 0..200 {
            facts = facts.deployed(version(round));
        }
        assert_eq!(facts.versions.len(), VERSIONS_KEPT);
        assert_eq!(facts.current, Some(TypeVersion(200)));
    }

    /// The head of the file says which of two commits is the newer.
    #[test]
    fn no_flip_in_the_head_brings_back_older_facts() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("catalog.redb");
        let mut facts = TypeFacts::default();
        for round in 0..4 {
            facts = facts.deployed(version(round));
            let mut store = CatalogStore::open(&path).expect("opened");
            store.put(&cart(), facts.clone()).expect("put");
            drop(store);
            let whole = std::fs::read(&path).expect("read");
            for bit in 0..320 * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &bytes).expect("written");
                if let Ok(store) = CatalogStore::open(&path) {
                    assert_eq!(store.facts(&cart()), facts, "byte {} bit {}", bit / 8, bit % 8);
                }
            }
            std::fs::write(&path, &whole).expect("written");
        }
    }

    #[test]
    fn a_damaged_file_is_named_and_not_opened_as_empty() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("catalog.redb");
        let facts = TypeFacts::default().deployed(version(1));
        CatalogStore::open(&path).expect("opened").put(&cart(), facts.clone()).expect("put");
        let whole = std::fs::read(&path).expect("read");
        let mut found = 0;
        for at in (0..whole.len()).step_by(61) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).expect("written");
            match CatalogStore::open(&path) {
                Ok(store) => assert_eq!(store.facts(&cart()), facts, "byte {at}"),
                Err(error) => {
                    found += 1;
                    assert!(error.to_string().contains("catalog.redb"), "{error}");
                }
            }
        }
        assert!(found > 0, "no flip hit anything that matters");
    }
}
