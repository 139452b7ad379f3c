//! `stead rollback`: puts an earlier version of a type back.

use http::Method;
use serde_json::json;
use stead_cluster::api::{DeployedType, VersionInfo};
use stead_model::{EntityType, TypeVersion};

use crate::{
    client::{self, Request},
    connection::{Connection, ConnectionFlags},
    failure::{Exit, Failure},
};

/// Put an earlier version of an entity type back.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The type
    #[arg(value_name = "TYPE")]
    entity_type: EntityType,
    /// The version [default: the one before the present one]
    #[arg(long = "to", value_name = "VERSION")]
    version: Option<u32>,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

#[derive(serde::Deserialize)]
struct Versions {
    versions: Vec<VersionInfo>,
}

/// Puts the version back.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let version = match args.version {
        Some(version) => TypeVersion(version),
        None => previous(&connection, &args.entity_type).await?,
    };
    let what = format!("putting version {version} of {} back", args.entity_type);
    let path = format!("{}/rollback", client::entity_type(&args.entity_type));
    let request = Request::new(Method::POST, path).json(&json!({"version": version}));
    let answer = connection.admin.send(&what, request).await?;
    if connection.screen.json {
        return connection.screen.document(&answer.body);
    }
    let deployed: DeployedType = answer.json(&what)?;
    connection.screen.line(format_args!(
        "{} runs version {} again, component {}",
        args.entity_type,
        deployed.version,
        deployed.component.short()
    ))
}

async fn previous(connection: &Connection, name: &EntityType) -> Result<TypeVersion, Failure> {
    let what = format!("listing the versions of {name}");
    let path = format!("{}/versions", client::entity_type(name));
    let Versions { versions } =
        connection.admin.send(&what, Request::get(path)).await?.json(&what)?;
    before_current(&versions).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("{name} has no version before its present one"))
            .hint(format!("`stead ls {name} --versions` lists those that it has"))
    })
}

/// The newest version below the present one.
fn before_current(versions: &[VersionInfo]) -> Option<TypeVersion> {
    let current = versions.iter().find(|version| version.current)?.version;
    versions.iter().map(|version| version.version).filter(|version| *version < current).max()
}

#[cfg(test)]
mod tests {
    use stead_model::{ComponentHash, TimestampMs};

    use super::*;

    #[test]
    fn the_version_before_the_present_one_is_put_back() {
        let version = |number, current| VersionInfo {
            version: TypeVersion(number),
            component: ComponentHash([0; 32]),
            deployed_at: TimestampMs(0),
            current,
        };
        let versions = [version(3, false), version(1, false), version(2, true)];
        assert_eq!(before_current(&versions), Some(TypeVersion(1)));
        assert_eq!(before_current(&[version(1, true), version(2, false)]), None);
        assert_eq!(before_current(&[]), None);
    }
}
