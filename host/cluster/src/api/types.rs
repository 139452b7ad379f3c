//! Deployed types, and their components.

use serde::{Deserialize, Serialize};
use stead_model::{ComponentHash, Description, EntityType, Manifest, TimestampMs, TypeVersion};

/// A type as it is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeployedType {
    /// How it is run, its name among it.
    pub manifest: Manifest,
    /// Which deployment of it this is.
    pub version: TypeVersion,
    /// The component.
    pub component: ComponentHash,
    /// Its size in bytes.
    pub component_bytes: u64,
    /// When it was deployed.
    pub deployed_at: TimestampMs,
    /// What the component says of itself.
    pub description: Description,
}

/// One earlier or present deployment of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionInfo {
    /// Which deployment.
    pub version: TypeVersion,
    /// The component.
    pub component: ComponentHash,
    /// When.
    pub deployed_at: TimestampMs,
    /// Whether it is the present one.
    pub current: bool,
}

/// A component that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ComponentInfo {
    /// Its name in the component store.
    pub component: ComponentHash,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it says of itself.
    pub description: Description,
}

/// Why a component was not taken in or a type not deployed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DeployError {
    /// The component is not one that can be run here.
    #[error("{0}")]
    Component(String),
    /// The manifest and the component don't fit together.
    #[error("the manifest does not fit the component: {0}")]
    Manifest(String),
    /// No component of this hash is here; upload it first.
    #[error("no component {0} is here; upload it first")]
    UnknownComponent(ComponentHash),
    /// No type of this name is deployed.
    #[error("no entity type {0} is deployed")]
    UnknownType(EntityType),
    /// The type never had this version.
    #[error("{0} has no version {1}")]
    UnknownVersion(EntityType, TypeVersion),
    /// A route is another type's already.
    #[error("route {path} is taken by {owner}")]
    RouteTaken {
        /// The route.
        path: String,
        /// Whose it is.
        owner: EntityType,
    },
    /// A limit of the node: so many types, so many bytes.
    #[error("{0}")]
    Limit(String),
    /// It could not be stored.
    #[error("could not be stored: {0}")]
    Storage(String),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}
