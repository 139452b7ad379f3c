//! How a type is to be run: what is deployed beside its component.

use serde::{Deserialize, Serialize};

use crate::{Description, EntityType};

/// The most routes that one type may have.
pub const ROUTES_MAX: usize = 128;

/// How a type is to be run; the file `entity.toml` of its project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The name of the type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Whether its entities share instances.
    #[serde(default)]
    pub isolation: Isolation,
    /// When snapshots are taken.
    #[serde(default)]
    pub snapshot: SnapshotPolicy,
    /// Which events are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Own routes, beside `/entities/…`.
    #[serde(default, rename = "route", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// How far entities of a type are kept from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Many entities in one instance. They share a memory.
    #[default]
    Shared,
    /// An instance, and so a memory, for each entity.
    Entity,
}

/// When an entity's state is stored, so that replay starts there. Whichever
/// comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SnapshotPolicy {
    /// After this many events since the last; 0 for never.
    pub every_events: u64,
    /// After this many bytes of events since the last; 0 for never.
    pub every_bytes: u64,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { every_events: 1_000, every_bytes: 1 << 20 }
    }
}

/// Which events are kept behind a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retention {
    /// When a snapshot is stored, the events that it covers are dropped but for
    /// this many before it. `None`, the default, keeps all. Whoever drops
    /// events can't go back to a version of the code that doesn't understand
    /// the snapshot.
    pub events_behind_snapshot: Option<u64>,
}

/// The method of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "they are HTTP's own")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// A route of the type's own: `POST /carts/{id}/items` is `add-item`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Route {
    /// The method. `GET` routes lead to queries, all others to commands.
    pub method: Method,
    /// The path, with `{id}` for the entity's id. Other parameters, `{sku}`
    /// say, become fields of the JSON argument.
    pub path: String,
    /// The command that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The query that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It has over [`ROUTES_MAX`] routes.
    #[error("it has {0} routes; at most {ROUTES_MAX} are served")]
    TooManyRoutes(usize),
    /// A route's path lacks its id, or is not a path.
    #[error("route {path}: {reason}")]
    Route {
        /// The route's path.
        path: String,
        /// What is wrong with it, in a sentence.
        reason: String,
    },
}

impl Manifest {
    /// A manifest with nothing but defaults.
    #[must_use]
    pub fn new(entity_type: EntityType) -> Self {
        Self {
            entity_type,
            isolation: Isolation::default(),
            snapshot: SnapshotPolicy::default(),
            retention: Retention::default(),
            routes: Vec::new(),
        }
    }

    /// Checks the manifest against what the component describes.
    ///
    /// # Errors
    /// The first route that leads nowhere or can't be served.
    pub fn check(&self, description: &Description) -> Result<(), ManifestError> {
        if self.routes.len() > ROUTES_MAX {
            return Err(ManifestError::TooManyRoutes(self.routes.len()));
        }
        for route in &self.routes {
            check_route(route, description)
                .map_err(|reason| ManifestError::Route { path: route.path.clone(), reason })?;
        }
        Ok(())
    }
}

fn check_route(route: &Route, description: &Description) -> Result<(), String> {
    if !route.path.starts_with('/') || route.path.len() > 256 {
        return Err("a path begins with a slash and has at most 256 bytes".into());
    }
    if route.path.starts_with("/entities/") || route.path == "/entities" {
        return Err("/entities is taken by Stead's own routes".into());
    }
    if route.path.split('/').filter(|segment| *segment == "{id}").count() != 1 {
        return Err("a path has {id} once, as a segment of its own".into());
    }
    match (route.method, &route.command, &route.query) {
        (Method::Get, None, Some(query)) => match description.query(query) {
            Some(_) => Ok(()),
            None => Err(format!("the component has no query {query:?}")),
        },
        (Method::Get, _, _) => Err("a GET route leads to one query".into()),
        (_, Some(command), None) => match description.command(command) {
            Some(_) => Ok(()),
            None => Err(format!("the component has no command {command:?}")),
        },
        (_, _, _) => Err("a route of this method leads to one command".into()),
    }
}
