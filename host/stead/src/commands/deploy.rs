//! `stead deploy`: deploys an entity type.

use std::path::{Path, PathBuf};

use stead_model::{EntityType, Manifest};

use crate::{
    client::Client,
    connection::{Connection, ConnectionFlags},
    failure::Failure,
    output::{bytes, tame},
    project::{
        Builder, Component, DEPLOY_TIMEOUT_MIN, Deployment, MANIFEST_FILE, Project, deploy,
        first_calls, read_component, read_manifest,
    },
};

/// Deploy an entity type.
///
/// PATH is a project, of which the newest component that was built for release
/// is taken, or a component file. Entities move to the new code between
/// commands. Deploying what is deployed already changes nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A project's directory or a component file
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// The type's name [default: the one in the manifest]
    #[arg(long = "type", value_name = "NAME")]
    entity_type: Option<EntityType>,
    /// The manifest [default: entity.toml beside the component or in the project, if it is there]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Build the project first
    #[arg(long)]
    build: bool,
    /// Build it first with this command
    #[arg(long, value_name = "COMMAND")]
    build_command: Option<String>,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Finds the component, uploads it and deploys it.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let (component, directory) = component(args, &connection).await?;
    let manifest = manifest(args, &directory)?;
    let timeout = connection.settings.timeout.max(DEPLOY_TIMEOUT_MIN);
    let admin = Client::new(connection.settings.admin.clone(), timeout, "--admin or STEAD_ADMIN");
    let deployment = deploy(&admin, &component, &manifest, &connection.screen).await?;
    if connection.screen.json {
        return connection.screen.json(&deployment.to_json()?);
    }
    tell(&deployment, &connection)
}

/// The component, and the directory where its manifest is looked for.
async fn component(args: &Args, connection: &Connection) -> Result<(Component, PathBuf), Failure> {
    let builds = args.build || args.build_command.is_some();
    if args.path.is_file() {
        if builds {
            return Err(Failure::usage(
                "a component file can't be built; name its project's directory",
            ));
        }
        let beside = args.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = beside.unwrap_or(Path::new(".")).to_owned();
        return Ok((read_component(&args.path)?, directory));
    }
    let project = Project::open(&args.path)?;
    let path = if builds {
        let builder = Builder::of(&project, args.build_command.as_deref()).await?;
        connection.screen.aside(builder.shown());
        builder.build(&project).await?
    } else {
        project.newest_component(None)?
    };
    connection.screen.aside(format_args!("taking {}", path.display()));
    Ok((read_component(&path)?, project.directory))
}

fn manifest(args: &Args, directory: &Path) -> Result<Manifest, Failure> {
    let name = args.entity_type.as_ref();
    if let Some(path) = &args.manifest {
        return read_manifest(path, name);
    }
    let path = directory.join(MANIFEST_FILE);
    match name {
        _ if path.is_file() => read_manifest(&path, name),
        Some(name) => Ok(Manifest::new(name.clone())),
        None => {
            Err(Failure::usage(format!("{} is not there, so the type has no name", path.display()))
                .hint("name it with --type, or a manifest with --manifest"))
        }
    }
}

/// Says what is deployed now, and what to try first.
fn tell(deployment: &Deployment, connection: &Connection) -> Result<(), Failure> {
    let screen = &connection.screen;
    let deployed = &deployment.deployed;
    let name = &deployed.manifest.entity_type;
    if deployment.unchanged {
        return screen.line(format_args!(
            "{name} is deployed just so already: version {}, component {}",
            deployed.version,
            deployed.component.short()
        ));
    }
    screen.line(format_args!(
        "deployed {name} version {}, component {} ({})",
        deployed.version,
        deployed.component.short(),
        bytes(deployed.component_bytes)
    ))?;
    let names = |operations: &[stead_model::Operation]| {
        operations.iter().map(|operation| tame(&operation.name)).collect::<Vec<_>>().join(", ")
    };
    let description = &deployed.description;
    for (kind, operations) in
        [("commands:", &description.commands), ("queries: ", &description.queries)]
    {
        if !operations.is_empty() {
            screen.line(format_args!("  {kind} {}", names(operations)))?;
        }
    }
    if let Some(first) = first_calls(deployed, &connection.settings.ingress).first() {
        screen.line(format_args!("try: {}", tame(first)))?;
    }
    Ok(())
}
