//! `stead ls`: the deployed entity types.

use stead_cluster::api::{DeployedType, VersionInfo};
use stead_model::{EntityType, Operation};

use crate::{
    client::{self, Request},
    connection::{Connection, ConnectionFlags},
    failure::Failure,
    output::{Table, bytes, timestamp},
};

/// List the deployed entity types, or show one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show this type alone, with its commands, queries and events
    #[arg(value_name = "TYPE")]
    entity_type: Option<EntityType>,
    /// List all versions that the type had
    #[arg(long, requires = "entity_type")]
    versions: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

#[derive(serde::Deserialize)]
struct Types {
    types: Vec<DeployedType>,
}

#[derive(serde::Deserialize)]
struct Versions {
    versions: Vec<VersionInfo>,
}

/// Lists types, shows one, or lists the versions of one.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    match &args.entity_type {
        None => list(&connection).await,
        Some(name) if args.versions => versions(&connection, name).await,
        Some(name) => show(&connection, name).await,
    }
}

async fn list(connection: &Connection) -> Result<(), Failure> {
    let screen = &connection.screen;
    let what = "listing the types";
    let answer = connection.admin.send(what, Request::get("/types")).await?;
    if screen.json {
        return screen.document(&answer.body);
    }
    let Types { types } = answer.json(what)?;
    if types.is_empty() {
        screen.note("no entity type is deployed; `stead deploy` deploys one");
        return Ok(());
    }
    let mut table = Table::new(["type", "version", "component", "size", "deployed", "what it is"])
        .right(1)
        .right(3);
    for deployed in &types {
        table.row([
            deployed.manifest.entity_type.to_string(),
            deployed.version.to_string(),
            deployed.component.short(),
            bytes(deployed.component_bytes),
            timestamp(deployed.deployed_at),
            deployed.description.summary.clone(),
        ]);
    }
    screen.table(&table)
}

async fn versions(connection: &Connection, name: &EntityType) -> Result<(), Failure> {
    let screen = &connection.screen;
    let what = format!("listing the versions of {name}");
    let path = format!("{}/versions", client::entity_type(name));
    let answer = connection.admin.send(&what, Request::get(path)).await?;
    if screen.json {
        return screen.document(&answer.body);
    }
    let Versions { versions } = answer.json(&what)?;
    let mut table = Table::new(["version", "component", "deployed", ""]).right(0);
    for version in &versions {
        table.row([
            version.version.to_string(),
            version.component.short(),
            timestamp(version.deployed_at),
            if version.current { "current".into() } else { String::new() },
        ]);
    }
    screen.table(&table)
}

async fn show(connection: &Connection, name: &EntityType) -> Result<(), Failure> {
    let screen = &connection.screen;
    let what = format!("showing {name}");
    let answer = connection.admin.send(&what, Request::get(client::entity_type(name))).await?;
    if screen.json {
        return screen.document(&answer.body);
    }
    let deployed: DeployedType = answer.json(&what)?;
    let description = &deployed.description;
    let mut facts = Table::facts();
    facts.row(["type".into(), name.to_string()]);
    facts.row(["what it is".into(), description.summary.clone()]);
    facts.row(["version".into(), deployed.version.to_string()]);
    facts.row(["component".into(), deployed.component.to_string()]);
    facts.row(["size".into(), bytes(deployed.component_bytes)]);
    facts.row(["built with".into(), description.sdk.clone()]);
    facts.row(["deployed".into(), timestamp(deployed.deployed_at)]);
    screen.table(&facts)?;
    let mut table = Table::new(["kind", "name", "what it does"]);
    let operations = |kind: &'static str, operations: &[Operation]| {
        operations
            .iter()
            .map(|operation| [kind.to_owned(), operation.name.clone(), operation.summary.clone()])
            .collect::<Vec<_>>()
    };
    for row in operations("command", &description.commands)
        .into_iter()
        .chain(operations("query", &description.queries))
    {
        table.row(row);
    }
    for event in &description.events {
        table.row(["event".into(), event.name.clone(), event.summary.clone()]);
    }
    for route in &deployed.manifest.routes {
        let target = route.command.as_ref().or(route.query.as_ref()).cloned().unwrap_or_default();
        table.row(["route".into(), format!("{} {}", method(route.method), route.path), target]);
    }
    screen.line("")?;
    screen.table(&table)
}

fn method(method: stead_model::Method) -> &'static str {
    match method {
        stead_model::Method::Get => "GET",
        stead_model::Method::Post => "POST",
        stead_model::Method::Put => "PUT",
        stead_model::Method::Patch => "PATCH",
        stead_model::Method::Delete => "DELETE",
    }
}
