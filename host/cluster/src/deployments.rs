//! Taking components in, and putting types into service, out of it, and back.
//!
//! The order is always the same: check, compile, make the fact durable, then
//! act on it. What the partitions are told is `Change`; they hear of changes in
//! the order in which these became facts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use stead_model::{ComponentHash, EntityType, Manifest, TimestampMs, TypeVersion};
use stead_sandbox::{LoadedComponent, Sandbox};

use crate::{
    api::{ComponentInfo, DeployError, DeployedType, VersionInfo},
    catalog::{Blobs, CatalogStore, TypeFacts, VersionFacts, route_owner},
};

/// For how long a component that was uploaded may wait to be deployed.
const UNUSED_COMPONENT_AGE: Duration = Duration::from_secs(60 * 60);

/// A type as the partitions run it.
#[derive(Clone)]
pub struct Service {
    /// What callers are told of it.
    pub deployed: Arc<DeployedType>,
    /// Its code.
    pub component: LoadedComponent,
}

/// What the partitions are to know of a type.
#[derive(Clone)]
pub enum Change {
    /// It is in service, as this.
    Deployed(Service),
    /// It is out of service.
    Undeployed(EntityType),
}

/// The types, and the one place where they change.
pub struct Deployments {
    sandbox: Arc<Sandbox>,
    blobs: Blobs,
    catalog: Mutex<CatalogStore>,
    current: RwLock<Arc<Vec<Arc<DeployedType>>>>,
    problems: RwLock<BTreeMap<EntityType, String>>,
}

impl Deployments {
    /// The types that the catalog has in service. One whose component can't be
    /// loaded is a problem of its own: it is left out, and said.
    pub fn open(
        sandbox: Arc<Sandbox>,
        blobs: Blobs,
        catalog: CatalogStore,
    ) -> (Self, Vec<Service>) {
        let mut services = Vec::new();
        let mut problems = BTreeMap::new();
        for (entity_type, facts) in catalog.types() {
            let Some(version) = facts.current() else { continue };
            match load_stored(&sandbox, &blobs, version.component) {
                Ok(component) => services.push(service(version, component)),
                Err(error) => {
                    tracing::error!(%entity_type, %error, "a deployed type can't be served");
                    problems.insert(entity_type.clone(), error.to_string());
                }
            }
        }
        let deployments = Self {
            sandbox,
            blobs,
            catalog: Mutex::new(catalog),
            current: RwLock::default(),
            problems: RwLock::new(problems),
        };
        deployments.publish(services.iter().map(|service| Arc::clone(&service.deployed)).collect());
        (deployments, services)
    }

    /// The types in service, by name.
    pub fn types(&self) -> Arc<Vec<Arc<DeployedType>>> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why a type that the catalog has in service isn't.
    pub fn problem(&self, entity_type: &EntityType) -> Option<String> {
        self.problems.read().unwrap_or_else(PoisonError::into_inner).get(entity_type).cloned()
    }

    /// All such problems, in sentences.
    pub fn problems(&self) -> Vec<String> {
        let problems = self.problems.read().unwrap_or_else(PoisonError::into_inner);
        problems.iter().map(|(name, why)| format!("type {name} is not served: {why}")).collect()
    }

    /// The versions of a type that can be put back, oldest first.
    pub fn versions(&self, entity_type: &EntityType) -> Result<Vec<VersionInfo>, DeployError> {
        let facts = self.catalog().facts(entity_type);
        if facts.versions.is_empty() {
            return Err(DeployError::UnknownType(entity_type.clone()));
        }
        let infos = facts.versions.iter().map(|version| VersionInfo {
            version: version.version,
            component: version.component,
            deployed_at: version.deployed_at,
            current: facts.current == Some(version.version),
        });
        Ok(infos.collect())
    }

    /// Takes a component in. Blocks while it compiles.
    pub fn upload(&self, bytes: &[u8]) -> Result<ComponentInfo, DeployError> {
        let component = self.load(bytes)?;
        // Under the catalog's lock, so that no deployment clears it away meanwhile.
        let _catalog = self.catalog();
        let hash = self.blobs.put(bytes).map_err(storage)?;
        Ok(ComponentInfo {
            component: hash,
            bytes: bytes.len() as u64,
            description: component.description().clone(),
        })
    }

    /// Puts a component that is here into service as a type. `act` is told of
    /// the change once it is a fact, in the order of the facts.
    pub fn deploy(
        &self,
        hash: ComponentHash,
        manifest: Manifest,
        now: TimestampMs,
        act: impl FnOnce(Change),
    ) -> Result<Arc<DeployedType>, DeployError> {
        let entity_type = manifest.entity_type.clone();
        let (component, next) = self.checked(hash, manifest, now)?;
        let mut catalog = self.catalog();
        let facts = self.planned(&catalog, next)?;
        self.establish(&mut catalog, &entity_type, facts, component, act)
    }

    /// What the facts of a type would be with a component that is here in service
    /// as it. Nothing is changed.
    pub fn plan_deploy(
        &self,
        hash: ComponentHash,
        manifest: Manifest,
        now: TimestampMs,
    ) -> Result<TypeFacts, DeployError> {
        let (_, next) = self.checked(hash, manifest, now)?;
        self.planned(&self.catalog(), next)
    }

    /// Puts an earlier version of a type back into service.
    pub fn rollback(
        &self,
        entity_type: &EntityType,
        version: TypeVersion,
        act: impl FnOnce(Change),
    ) -> Result<Arc<DeployedType>, DeployError> {
        let mut catalog = self.catalog();
        let (facts, component) = self.put_back(&catalog, entity_type, version)?;
        self.establish(&mut catalog, entity_type, facts, component, act)
    }

    /// What the facts of a type would be with an earlier version in service.
    pub fn plan_rollback(
        &self,
        entity_type: &EntityType,
        version: TypeVersion,
    ) -> Result<TypeFacts, DeployError> {
        self.put_back(&self.catalog(), entity_type, version).map(|(facts, _)| facts)
    }

    /// Takes a type out of service.
    pub fn undeploy(
        &self,
        entity_type: &EntityType,
        act: impl FnOnce(Change),
    ) -> Result<(), DeployError> {
        let mut catalog = self.catalog();
        let facts = out_of_service(&catalog, entity_type)?;
        self.retire(&mut catalog, entity_type, facts, act)
    }

    /// What the facts of a type would be with it out of service.
    pub fn plan_undeploy(&self, entity_type: &EntityType) -> Result<TypeFacts, DeployError> {
        out_of_service(&self.catalog(), entity_type)
    }

    /// Takes over the facts of a type that the cluster agreed on. The component
    /// that they have in service must be here.
    pub fn follow(
        &self,
        entity_type: &EntityType,
        facts: TypeFacts,
        act: impl FnOnce(Change),
    ) -> Result<(), DeployError> {
        let mut catalog = self.catalog();
        if catalog.facts(entity_type) == facts && self.problem(entity_type).is_none() {
            return Ok(());
        }
        match facts.current().map(|version| version.component) {
            Some(hash) => {
                let component = load_stored(&self.sandbox, &self.blobs, hash)?;
                self.establish(&mut catalog, entity_type, facts, component, act).map(drop)
            }
            None => self.retire(&mut catalog, entity_type, facts, act),
        }
    }

    /// A component that is here, as it was taken in.
    pub fn blob(&self, hash: ComponentHash) -> Result<Option<Vec<u8>>, DeployError> {
        self.blobs.get(hash).map_err(storage)
    }

    /// Keeps a component that came from elsewhere, if it has this hash.
    pub fn keep_blob(&self, hash: ComponentHash, bytes: &[u8]) -> Result<(), DeployError> {
        let found = Blobs::hash(bytes);
        if found != hash {
            return Err(DeployError::Component(format!("it was to be {hash}, and is {found}")));
        }
        let _catalog = self.catalog();
        self.blobs.put(bytes).map(drop).map_err(storage)
    }

    fn checked(
        &self,
        hash: ComponentHash,
        manifest: Manifest,
        now: TimestampMs,
    ) -> Result<(LoadedComponent, VersionFacts), DeployError> {
        let bytes =
            self.blobs.get(hash).map_err(storage)?.ok_or(DeployError::UnknownComponent(hash))?;
        let component = self.load(&bytes)?;
        manifest
            .check(component.description())
            .map_err(|error| DeployError::Manifest(error.to_string()))?;
        let next = VersionFacts {
            version: TypeVersion(0),
            component: hash,
            component_bytes: bytes.len() as u64,
            deployed_at: now,
            manifest,
        };
        Ok((component, next))
    }

    fn planned(
        &self,
        catalog: &CatalogStore,
        next: VersionFacts,
    ) -> Result<TypeFacts, DeployError> {
        self.check_routes(catalog, &next.manifest)?;
        Ok(catalog.facts(&next.manifest.entity_type).deployed(next))
    }

    fn put_back(
        &self,
        catalog: &CatalogStore,
        entity_type: &EntityType,
        version: TypeVersion,
    ) -> Result<(TypeFacts, LoadedComponent), DeployError> {
        let mut facts = catalog.facts(entity_type);
        if facts.versions.is_empty() {
            return Err(DeployError::UnknownType(entity_type.clone()));
        }
        let Some(back) = facts.version(version).cloned() else {
            return Err(DeployError::UnknownVersion(entity_type.clone(), version));
        };
        self.check_routes(catalog, &back.manifest)?;
        let component = load_stored(&self.sandbox, &self.blobs, back.component)?;
        facts.current = Some(version);
        Ok((facts, component))
    }

    fn retire(
        &self,
        catalog: &mut CatalogStore,
        entity_type: &EntityType,
        facts: TypeFacts,
        act: impl FnOnce(Change),
    ) -> Result<(), DeployError> {
        catalog.put(entity_type, facts).map_err(storage)?;
        self.replace(entity_type, None);
        act(Change::Undeployed(entity_type.clone()));
        Ok(())
    }

    fn establish(
        &self,
        catalog: &mut CatalogStore,
        entity_type: &EntityType,
        facts: TypeFacts,
        component: LoadedComponent,
        act: impl FnOnce(Change),
    ) -> Result<Arc<DeployedType>, DeployError> {
        let Some(version) = facts.current() else {
            return Err(DeployError::UnknownType(entity_type.clone()));
        };
        let service = service(version, component);
        catalog.put(entity_type, facts).map_err(storage)?;
        self.clear_away(catalog);
        self.replace(entity_type, Some(Arc::clone(&service.deployed)));
        let deployed = Arc::clone(&service.deployed);
        act(Change::Deployed(service));
        Ok(deployed)
    }

    fn check_routes(&self, catalog: &CatalogStore, manifest: &Manifest) -> Result<(), DeployError> {
        let others = catalog.types().values().filter_map(TypeFacts::current);
        match route_owner(manifest, others.map(|version| &version.manifest)) {
            Some((path, owner)) => Err(DeployError::RouteTaken { path, owner }),
            None => Ok(()),
        }
    }

    /// Removes components that no version of a type refers to any more.
    fn clear_away(&self, catalog: &CatalogStore) {
        let wanted = |hash| {
            let facts = catalog.types().values();
            facts.flat_map(|facts| &facts.versions).any(|version| version.component == hash)
        };
        if let Err(error) = self.blobs.retain(UNUSED_COMPONENT_AGE, wanted) {
            tracing::warn!(%error, "components that nothing refers to could not be removed");
        }
    }

    fn load(&self, bytes: &[u8]) -> Result<LoadedComponent, DeployError> {
        load(&self.sandbox, bytes)
    }

    fn replace(&self, entity_type: &EntityType, new: Option<Arc<DeployedType>>) {
        self.problems.write().unwrap_or_else(PoisonError::into_inner).remove(entity_type);
        let types = self.types();
        let others = types.iter().filter(|other| other.manifest.entity_type != *entity_type);
        self.publish(others.cloned().chain(new).collect());
    }

    fn publish(&self, mut types: Vec<Arc<DeployedType>>) {
        types.sort_by(|a, b| a.manifest.entity_type.cmp(&b.manifest.entity_type));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(types);
    }

    fn catalog(&self) -> MutexGuard<'_, CatalogStore> {
        // What it says changes only after the disk agreed, so a panic leaves it whole.
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn out_of_service(
    catalog: &CatalogStore,
    entity_type: &EntityType,
) -> Result<TypeFacts, DeployError> {
    let mut facts = catalog.facts(entity_type);
    match facts.current.take() {
        Some(_) => Ok(facts),
        None => Err(DeployError::UnknownType(entity_type.clone())),
    }
}

fn service(version: &VersionFacts, component: LoadedComponent) -> Service {
    let deployed = DeployedType {
        manifest: version.manifest.clone(),
        version: version.version,
        component: version.component,
        component_bytes: version.component_bytes,
        deployed_at: version.deployed_at,
        description: component.description().clone(),
    };
    Service { deployed: Arc::new(deployed), component }
}

fn load_stored(
    sandbox: &Sandbox,
    blobs: &Blobs,
    hash: ComponentHash,
) -> Result<LoadedComponent, DeployError> {
    let bytes = blobs.get(hash).map_err(storage)?.ok_or(DeployError::UnknownComponent(hash))?;
    load(sandbox, &bytes)
}

fn load(sandbox: &Sandbox, bytes: &[u8]) -> Result<LoadedComponent, DeployError> {
    sandbox.load(bytes).map_err(|error| match error.is_hosts() {
        true => DeployError::Storage(error.to_string()),
        false => DeployError::Component(error.to_string()),
    })
}

fn storage(error: impl std::fmt::Display) -> DeployError {
    DeployError::Storage(error.to_string())
}
