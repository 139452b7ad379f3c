//! The sandbox: from a component's bytes to something that can be instantiated.

use std::{fmt, io::Read, path::Path, sync::Arc};

use sha2::{Digest, Sha256};
use stead_model::{ComponentHash, Description, EntityType, GuestLimits};
use wasmtime::component::{Component, HasSelf, Linker};

use crate::{
    artifact::OwnCode,
    bindings::{EntityType as World, EntityTypePre},
    cache::Cache,
    cell::Cell,
    compile::Compilers,
    component::{Code, LoadedComponent, Places, Runtime},
    convert,
    deadlines::Ticker,
    engine::Tuning,
    inspect::inspect,
    load_error::LoadError,
    options::SandboxOptions,
    phase::Phase,
    state::{GuestState, Shared},
    wasi,
};

/// Loads components. One per node; instances of what it loaded may outlive it.
pub struct Sandbox {
    runtime: Arc<Runtime>,
    linker: Linker<GuestState>,
    compilers: Compilers,
    cache: Option<Cache>,
    options: SandboxOptions,
}

/// A sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox can't be set up: {0}")]
pub struct SandboxError(String);

impl Sandbox {
    /// Sets up an engine, its deadlines and its cache.
    ///
    /// # Errors
    /// If the limits can't be kept on this machine, or the cache's directory or
    /// key can't be had.
    pub fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        let tuning = Tuning::of(&options.limits);
        let failed = |error: wasmtime::Error| SandboxError(format!("{error:#}"));
        let engine = tuning.engine().map_err(failed)?;
        let ticker = Ticker::start(engine.weak())
            .map_err(|error| SandboxError(format!("no thread for deadlines: {error}")))?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker).map_err(failed)?;
        World::add_to_linker::<_, HasSelf<GuestState>>(&mut linker, |state| state)
            .map_err(failed)?;
        let cache = match &options.cache_dir {
            Some(dir) => {
                let cache = Cache::open(dir, options.cache_bytes_max, &engine)
                    .map_err(|error| SandboxError(error.to_string()))?;
                Some(cache)
            }
            None => None,
        };
        let shared = Arc::new(Shared {
            limits: options.limits.clone(),
            clock: Arc::clone(&options.clock),
            randomness: Arc::clone(&options.randomness),
        });
        Ok(Self {
            compilers: Compilers::new(options.compiler.clone(), tuning, options.load.clone()),
            runtime: Arc::new(Runtime {
                engine,
                shared,
                ticker,
                places: Places::new(options.instances_max),
            }),
            linker,
            cache,
            options,
        })
    }

    /// The limits that guests run under.
    #[must_use]
    pub fn limits(&self) -> &GuestLimits {
        &self.options.limits
    }

    /// Loads the component in a file, of which no more is read than may be loaded.
    ///
    /// # Errors
    /// As [`Self::load`], and if the file can't be read.
    pub fn load_file(&self, path: &Path) -> Result<LoadedComponent, LoadError> {
        let max = self.options.load.component_bytes_max;
        let unreadable =
            |error: std::io::Error| LoadError::Host(format!("{}: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        if bytes > max as u64 {
            return Err(LoadError::TooLarge { bytes, max });
        }
        let mut component = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut component).map_err(unreadable)?;
        self.load(&component)
    }

    /// Checks a component, compiles it or finds its compilation, and asks it
    /// what it offers. Takes as long as compiling takes, so it is called from
    /// where that holds up nobody.
    ///
    /// # Errors
    /// What is wrong with the component, or with this host; see [`LoadError`].
    pub fn load(&self, component: &[u8]) -> Result<LoadedComponent, LoadError> {
        let max = self.options.load.component_bytes_max;
        if component.len() > max {
            return Err(LoadError::TooLarge { bytes: component.len() as u64, max });
        }
        let inspection = inspect(component, &self.options.load)?;
        let hash = ComponentHash(Sha256::digest(component).into());
        let compiled = self.compiled(hash, component)?;
        let machine_code_bytes = {
            let range = compiled.image_range();
            range.end as usize - range.start as usize
        };
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch(format!("{error:#}"));
        let pre = self.linker.instantiate_pre(&compiled).map_err(mismatch)?;
        let code = Code {
            runtime: Arc::clone(&self.runtime),
            pre: EntityTypePre::new(pre).map_err(mismatch)?,
            component_bytes: component.len(),
            machine_code_bytes,
            may_seed_while_folding: !inspection.imports_insecure_seed,
        };
        let description = describe(&code)?;
        self.check_effects(&description)?;
        Ok(LoadedComponent::new(hash, description, code))
    }

    /// The component's code, from the cache or from the compiler.
    fn compiled(&self, hash: ComponentHash, component: &[u8]) -> Result<Component, LoadError> {
        let engine = &self.runtime.engine;
        if let Some(code) = self.cache.as_ref().and_then(|cache| cache.get(hash)) {
            match code.component(engine) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(%hash, error = %format!("{error:#}"), "a cached compilation is of no use; compiling anew");
                }
            }
        }
        let code = OwnCode::compiled(self.compilers.compile(component)?);
        let compiled = code.component(engine).map_err(|error| {
            LoadError::Host(format!("the compilation can't be used: {error:#}"))
        })?;
        if let Some(cache) = &self.cache {
            cache.put(hash, &code);
        }
        Ok(compiled)
    }

    fn check_effects(&self, description: &Description) -> Result<(), LoadError> {
        let served = &self.options.effects;
        let wanted: Vec<&str> = description
            .effects
            .iter()
            .filter(|kind| !served.contains(kind))
            .map(String::as_str)
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let served = if served.is_empty() { "none".to_owned() } else { served.join(", ") };
        Err(LoadError::UnservedEffects { wanted: wanted.join(", "), served })
    }
}

/// Asks a component what it offers: twice in one instance, and again in a fresh
/// one. What differs then would differ between nodes and after restarts.
fn describe(code: &Code) -> Result<Description, LoadError> {
    let nobody = EntityType::new("undeployed").expect("it is a name");
    let start = || Cell::new(code, &nobody).map_err(LoadError::DescribeFault);
    let ask = |cell: &mut Cell| {
        cell.call(Phase::Describe, None, |guest, store| guest.call_describe(store))
            .map(convert::description)
            .map_err(LoadError::DescribeFault)
    };
    let mut first = start()?;
    let said = ask(&mut first)?;
    if said != ask(&mut first)? || said != ask(&mut start()?)? {
        return Err(LoadError::DescribeChanges);
    }
    said.check().map_err(LoadError::DescriptionInvalid)?;
    Ok(said)
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("limits", &self.options.limits).finish_non_exhaustive()
    }
}
