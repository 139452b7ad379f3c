//! `stead dev`: a throwaway node that builds, deploys and redeploys a project.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    client::{Client, NodeUrl},
    config::{self, ByteSize, Inputs, Kind as _, LogFilter, NodeConfig, Override},
    connection::configuration_failure,
    failure::{Exit, Failure},
    node::{self, Ready, Stop},
    output::{Screen, tame},
    project::{
        Builder, DEPLOY_TIMEOUT_MIN, MANIFEST_FILE, Project, Sources, deploy, first_calls,
        read_component, read_manifest,
    },
};

/// Build, deploy and redeploy a project on a throwaway node.
///
/// The node listens where `stead node` does, or on free ports if those are
/// taken, and its data is gone when it ends. Sources are watched: a change is
/// built and deployed, and a build that fails leaves the version before it in
/// place.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's directory
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How it is built [default: cargo component build or cargo build]
    #[arg(long, value_name = "COMMAND")]
    build: Option<String>,
    /// Watch this directory too; may be given many times
    #[arg(long, value_name = "DIR")]
    watch: Vec<PathBuf>,
    /// Keep the node's data in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where callers reach entities [default: 127.0.0.1:8080, or a free port]
    #[arg(long, value_name = "ADDRESS")]
    ingress_listen: Option<String>,
    /// Where the node is looked at and changed [default: 127.0.0.1:8081, or a free port]
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// Any setting of the node, as section.key=value; may be given many times
    #[arg(long, value_name = "SETTING")]
    set: Vec<String>,
}

/// Which log lines are shown: what entities say, and what is wrong.
const LOG_FILTER: &str = "warn,stead::guest=trace";

/// Runs the node and the loop around it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let screen = Screen::of_process(false);
    let project = Project::open(&args.path)?;
    let throwaway = match args.keep {
        Some(_) => None,
        None => Some(throwaway_directory()?),
    };
    let config = node_config(args, throwaway.as_ref().map(tempfile::TempDir::path))?;
    node::logging::start(&config.log);
    let result = node::runtime()?.block_on(develop(args, &project, config, &screen));
    // The node has closed its stores by now; what is left may go.
    if let Some(directory) = throwaway
        && let Err(error) = directory.close()
    {
        screen.warning(format_args!("the throwaway data could not be removed: {error}"));
    }
    result
}

fn throwaway_directory() -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new().prefix("stead-dev-").tempdir().map_err(|error| {
        Failure::failed(format!("no directory could be made for throwaway data: {error}"))
            .hint("TMPDIR says where temporary files go; --keep DIR keeps the data there")
    })
}

/// What the node runs by: `stead.toml` and the environment say nothing of where
/// its data is and, unless they differ from the defaults, where it listens.
fn node_config(args: &Args, throwaway: Option<&std::path::Path>) -> Result<NodeConfig, Failure> {
    let data = throwaway.map(std::path::Path::to_owned).or_else(|| args.keep.clone());
    let data = data.unwrap_or_default().display().to_string();
    let mut overrides = vec![given("node.data", &data, "--keep")];
    for setting in &args.set {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        overrides.push(given(name.trim(), value.trim(), &format!("--set {setting}")));
    }
    for (name, flag, value) in [
        ("ingress.listen", "--ingress-listen", &args.ingress_listen),
        ("admin.listen", "--admin-listen", &args.admin_listen),
    ] {
        if let Some(value) = value {
            overrides.push(given(name, value, flag));
        }
    }
    let loaded = config::load(&Inputs::of_process(None, overrides))
        .map_err(|wrong| configuration_failure(&wrong))?;
    let mut config = NodeConfig::from_settings(&loaded.settings);
    if loaded.settings.is_default("log", "filter") {
        config.log.filter = LogFilter(LOG_FILTER.into());
    }
    if args.ingress_listen.is_none() {
        config.ingress.listen = free_if_taken(config.ingress.listen);
    }
    if args.admin_listen.is_none() {
        config.admin.listen = free_if_taken(config.admin.listen);
    }
    Ok(config)
}

fn given(name: &str, value: &str, flag: &str) -> Override {
    Override { name: name.into(), value: value.into(), flag: flag.into() }
}

/// The address, or a free port beside it if something listens there already.
fn free_if_taken(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

/// A node that is up.
struct Running {
    node: JoinHandle<Result<(), Failure>>,
    ready: Ready,
}

async fn develop(
    args: &Args,
    project: &Project,
    config: NodeConfig,
    screen: &Screen,
) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let component_size_max = config.admin.component_size_max;
    let mut running = start(config, stop.clone()).await?;
    screen.good(format_args!(
        "a throwaway node: entities at http://{}, admin at http://{}",
        running.ready.ingress, running.ready.admin
    ));
    if let Some(directory) = &args.keep {
        screen.aside(format_args!("its data stays in {}", directory.display()));
    }
    let result = tokio::select! {
        result = build_and_watch(args, project, running.ready, component_size_max, screen) => result,
        () = stop.asked() => Ok(()),
        ended = &mut running.node => return node_result(ended),
    };
    stop.ask();
    let ended = running.node.await;
    result.and(node_result(ended))
}

/// Starts the node; returns when it is ready.
async fn start(config: NodeConfig, stop: Stop) -> Result<Running, Failure> {
    let (sender, receiver) = oneshot::channel();
    let node = tokio::spawn(node::run_node(config, stop, move |ready| {
        let _ = sender.send(ready);
    }));
    match receiver.await {
        Ok(ready) => Ok(Running { node, ready }),
        Err(_) => match node_result(node.await) {
            Ok(()) => Err(Failure::failed("the node ended before it was ready")),
            Err(failure) => Err(failure),
        },
    }
}

fn node_result(ended: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    match ended {
        Ok(result) => result,
        Err(error) => Err(Failure::failed(format!("the node broke down: {error}"))),
    }
}

async fn build_and_watch(
    args: &Args,
    project: &Project,
    ready: Ready,
    component_size_max: ByteSize,
    screen: &Screen,
) -> Result<(), Failure> {
    let builder = Builder::of(project, args.build.as_deref()).await?;
    let url = |address: SocketAddr| NodeUrl::parse(&address.to_string()).map_err(Failure::failed);
    let admin = Client::new(url(ready.admin)?, DEPLOY_TIMEOUT_MIN, "--admin-listen");
    let ingress = url(ready.ingress)?;
    let mut roots = vec![project.directory.clone()];
    roots.extend(args.watch.iter().cloned());
    let mut shown: Option<Vec<String>> = None;
    loop {
        // Looked at before the build, so that a change during it counts.
        let mut sources = Sources::new(roots.clone());
        screen.aside(builder.shown());
        match build_and_deploy(&builder, project, &admin, component_size_max, screen).await {
            Ok(deployment) => {
                let deployed = &deployment.deployed;
                let state = if deployment.unchanged { "unchanged" } else { "deployed" };
                screen.good(format_args!(
                    "{} version {} {state}",
                    deployed.manifest.entity_type, deployed.version
                ));
                let calls = first_calls(deployed, &ingress);
                if shown.as_ref() != Some(&calls) {
                    for call in &calls {
                        screen.line(format_args!("  {}", tame(call)))?;
                    }
                    shown = Some(calls);
                }
            }
            // The node is here: what can't be reached then is gone.
            Err(failure) if failure.exit == Exit::Unreachable => return Err(failure),
            Err(failure) => {
                screen.failure(&failure);
                if shown.is_some() {
                    screen.aside("the version before goes on");
                }
            }
        }
        screen.aside("watching for changes; Ctrl-C ends");
        sources.changed().await;
    }
}

async fn build_and_deploy(
    builder: &Builder,
    project: &Project,
    admin: &Client,
    component_size_max: ByteSize,
    screen: &Screen,
) -> Result<crate::project::Deployment, Failure> {
    let path = builder.build(project).await?;
    let component = read_component(&path)?;
    let size = u64::try_from(component.bytes.len()).unwrap_or(u64::MAX);
    if size > component_size_max.0 {
        return Err(Failure::failed(format!(
            "{} has {size} bytes; the node takes {component_size_max}",
            path.display()
        ))
        .hint("--set admin.component-size-max=… changes it"));
    }
    let manifest = read_manifest(&project.directory.join(MANIFEST_FILE), None)?;
    deploy(admin, &component, &manifest, screen).await
}
