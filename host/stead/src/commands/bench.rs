//! `stead bench`: what an entity type gives, beside what the machine gives.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};
use stead_model::EntityType;

use crate::{
    client::{NodeUrl, segment},
    config::span,
    connection::{Connection, ConnectionFlags},
    failure::{Exit, Failure},
    load::{
        self, EchoServer, Figures, FsyncFigures, Latencies, Operation, Plan, Target, Template,
        measure_fsync,
    },
    output::{Screen, Table, grouped, spinner},
};

/// Measure an entity type, and what the machine gives without Stead.
///
/// Clients in closed loops send a command (or a query) to entities chosen at
/// random and wait for each answer. The baselines run in the same command, so
/// that the ratios are of one machine at one time.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The type [default: none, only baselines]
    #[arg(value_name = "TYPE", required_unless_present_any = ["baseline_axum", "baseline_fsync", "serve_echo"])]
    entity_type: Option<EntityType>,
    /// The command that is sent
    #[arg(long, value_name = "NAME", conflicts_with = "query")]
    command: Option<String>,
    /// The query that is sent instead
    #[arg(long, value_name = "NAME")]
    query: Option<String>,
    /// The argument; {{number}}, {{random}} and {{entity}} in it are filled in
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    /// A command that every entity gets once before, as NAME or NAME=JSON
    #[arg(long, value_name = "NAME=JSON")]
    prepare: Option<String>,
    /// Clients at once, each with a connection
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    clients: u32,
    /// Entities that are asked
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    entities: u64,
    /// Ask one entity only
    #[arg(long, conflicts_with = "entities")]
    hot: bool,
    /// What entities' ids begin with
    #[arg(long, value_name = "TEXT", default_value = "bench-")]
    id_prefix: String,
    /// How long is measured
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span::parse)]
    duration: Duration,
    /// How long requests are sent before that
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = span::parse)]
    warmup: Duration,
    /// Threads of the load generator
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Also measure a bare axum server that echoes the body, in a process of its own
    #[arg(long)]
    baseline_axum: bool,
    /// Also measure what one fdatasync takes in this directory
    #[arg(long, value_name = "DIR")]
    baseline_fsync: Option<PathBuf>,
    /// Be the echo server: what --baseline-axum starts
    #[arg(long, hide = true)]
    serve_echo: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

/// Runs what was asked for, one after the other.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.serve_echo {
        return load::serve_echo();
    }
    crate::node::raise_open_files();
    let connection = args.connection.open()?;
    let screen = &connection.screen;
    let fsync = match &args.baseline_fsync {
        Some(directory) => Some(fsync(args, directory, screen)?),
        None => None,
    };
    let axum = if args.baseline_axum { Some(axum(args, screen)?) } else { None };
    let entities = match &args.entity_type {
        Some(name) => Some(entities(args, name, &connection)?),
        None => None,
    };
    let results = Results { entities, axum, fsync };
    if screen.json { screen.json(&results.to_json(args)) } else { results.tell(args, screen) }
}

struct Results {
    entities: Option<Figures>,
    axum: Option<Figures>,
    fsync: Option<FsyncFigures>,
}

fn fsync(args: &Args, directory: &Path, screen: &Screen) -> Result<FsyncFigures, Failure> {
    let _spinner = spinner(screen, "measuring fdatasync");
    measure_fsync(directory, args.duration)
        .map_err(|error| Failure::file("measured in", directory, &error))
}

fn axum(args: &Args, screen: &Screen) -> Result<Figures, Failure> {
    let server = EchoServer::start_process().map_err(|error| {
        Failure::failed(format!("the echo server could not be started: {error}"))
    })?;
    let operation = Operation {
        path: ("/echo/".into(), String::new()),
        method: "POST",
        body: Some(Template::new(args.body.as_deref().unwrap_or("{}"))),
        content_type: "application/json".into(),
    };
    let address = server.address();
    let target = Target { address, authority: address.to_string() };
    measure(plan(args, target, operation), "a bare axum echo", screen)
}

fn entities(args: &Args, name: &EntityType, connection: &Connection) -> Result<Figures, Failure> {
    let url = &connection.settings.ingress;
    let target = Target { address: resolve(url)?, authority: url.authority().to_owned() };
    if let Some(prepare) = &args.prepare {
        prepare_entities(args, name, prepare, &target, connection)?;
    }
    let (method, operation) = match (&args.command, &args.query) {
        (Some(command), _) => ("POST", command),
        (None, Some(query)) => ("GET", query),
        (None, None) => {
            return Err(Failure::usage("what is sent is said with --command or --query"));
        }
    };
    let operation = operation_on(args, url, name, method, operation, args.body.as_deref());
    let figures = measure(plan(args, target, operation), &format!("{name}"), &connection.screen)?;
    if figures.succeeded == 0 {
        return Err(nothing_succeeded(&figures));
    }
    Ok(figures)
}

/// The command that prepares entities is sent to each, in order.
fn prepare_entities(
    args: &Args,
    name: &EntityType,
    prepare: &str,
    target: &Target,
    connection: &Connection,
) -> Result<(), Failure> {
    let (command, body) = match prepare.split_once('=') {
        Some((command, body)) => (command, Some(body)),
        None => (prepare, None),
    };
    let url = &connection.settings.ingress;
    let operation = operation_on(args, url, name, "POST", command, body);
    let _spinner = spinner(&connection.screen, &format!("sending {command} to every entity"));
    let figures = load::once_each(plan(args, target.clone(), operation))
        .map_err(|error| not_reached(target, &error))?;
    if figures.failed() > 0 || figures.succeeded == 0 {
        return Err(nothing_succeeded(&figures).hint(format!(
            "--prepare sent {command} to each entity; {} succeeded",
            figures.succeeded
        )));
    }
    Ok(())
}

fn operation_on(
    args: &Args,
    url: &NodeUrl,
    name: &EntityType,
    method: &'static str,
    operation: &str,
    body: Option<&str>,
) -> Operation {
    let before = format!("{}/entities/{name}/{}", url.prefix(), segment(&args.id_prefix));
    Operation {
        path: (before, format!("/{}", segment(operation))),
        method,
        body: body.map(Template::new),
        content_type: "application/json".into(),
    }
}

fn plan(args: &Args, target: Target, operation: Operation) -> Plan {
    Plan {
        target,
        operation,
        clients: usize::try_from(args.clients).unwrap_or(usize::MAX),
        threads: usize::from(args.threads),
        entities: if args.hot { 1 } else { args.entities },
        duration: args.duration,
        warmup: args.warmup,
    }
}

fn measure(plan: Plan, what: &str, screen: &Screen) -> Result<Figures, Failure> {
    let total = plan.warmup + plan.duration;
    let spinner = spinner(screen, &format!("measuring {what}"));
    let target = plan.target.clone();
    let figures = load::run(plan, |passed| {
        spinner.say(format!("measuring {what}, {} of {} s", passed.as_secs(), total.as_secs()));
    });
    figures.map_err(|error| not_reached(&target, &error))
}

fn not_reached(target: &Target, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unreachable, format!("{} could not be measured: {error}", target.authority))
        .hint("is the node running? --ingress or STEAD_INGRESS says where it is")
}

fn nothing_succeeded(figures: &Figures) -> Failure {
    Failure::failed(format!("requests failed: {}", failures(figures)))
        .hint("`stead call` and `stead query` show such an answer in full")
}

fn resolve(url: &NodeUrl) -> Result<SocketAddr, Failure> {
    let authority = url.authority();
    let with_port = match authority.parse::<http::uri::Authority>() {
        Ok(parsed) if parsed.port().is_none() => format!("{authority}:80"),
        _ => authority.to_owned(),
    };
    let mut addresses = with_port.to_socket_addrs().map_err(|error| {
        Failure::new(Exit::Unreachable, format!("{authority} could not be looked up: {error}"))
    })?;
    addresses
        .next()
        .ok_or_else(|| Failure::new(Exit::Unreachable, format!("{authority} has no address")))
}

/// What failed, in words.
fn failures(figures: &Figures) -> String {
    let statuses =
        figures.by_status.iter().map(|(status, count)| format!("{} × {status}", grouped(*count)));
    let broken =
        figures.broken.iter().map(|(reason, count)| format!("{} × {reason}", grouped(*count)));
    let all: Vec<String> = statuses.chain(broken).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

impl Results {
    /// Throughput against the echo's, if both were measured.
    fn of_axum(&self) -> Option<f64> {
        Some(self.entities.as_ref()?.per_second() / self.axum.as_ref()?.per_second())
    }

    /// The median latency against that of one fdatasync, if both were measured.
    fn of_fsync(&self) -> Option<f64> {
        let median = self.entities.as_ref()?.latencies.p50_us;
        Some(as_f64(median) / as_f64(self.fsync.as_ref()?.overwrite.p50_us.max(1)))
    }

    fn tell(&self, args: &Args, screen: &Screen) -> Result<(), Failure> {
        let mut table =
            Table::new(["", "per second", "p50", "p90", "p99", "p99.9", "max", "failed"]);
        for column in 1..=6 {
            table = table.right(column);
        }
        let mut row = |name: String, per_second: f64, latencies: &Latencies, failed: String| {
            table.row([
                name,
                grouped(rounded(per_second)),
                micros(latencies.p50_us),
                micros(latencies.p90_us),
                micros(latencies.p99_us),
                micros(latencies.p999_us),
                micros(latencies.max_us),
                failed,
            ]);
        };
        if let (Some(name), Some(figures)) = (&args.entity_type, &self.entities) {
            let operation =
                args.command.as_ref().or(args.query.as_ref()).map_or("", String::as_str);
            row(
                format!("{name} {operation}"),
                figures.per_second(),
                &figures.latencies,
                failures(figures),
            );
        }
        if let Some(figures) = &self.axum {
            row("axum echo".into(), figures.per_second(), &figures.latencies, failures(figures));
        }
        if let Some(fsync) = &self.fsync {
            for (name, latencies) in [("overwrite", &fsync.overwrite), ("append", &fsync.append)] {
                let per_second = 1e6 / latencies.mean_us.max(1.0);
                row(format!("fdatasync after {name}"), per_second, latencies, String::new());
            }
        }
        screen.table(&table)?;
        if let Some(ratio) = self.of_axum() {
            screen.line(format_args!("throughput: {:.1} % of the axum echo", ratio * 100.0))?;
        }
        if let Some(ratio) = self.of_fsync() {
            screen.line(format_args!("median latency: {ratio:.2} × the median fdatasync"))?;
        }
        Ok(())
    }

    fn to_json(&self, args: &Args) -> Value {
        let mut whole = Map::new();
        if let (Some(name), Some(figures)) = (&args.entity_type, &self.entities) {
            let mut entities = figures_json(figures);
            if let Some(object) = entities.as_object_mut() {
                object.insert("type".into(), json!(name));
                object.insert("command".into(), json!(args.command));
                object.insert("query".into(), json!(args.query));
                object.insert("clients".into(), json!(args.clients));
                object.insert("entities".into(), json!(if args.hot { 1 } else { args.entities }));
            }
            whole.insert("bench".into(), entities);
        }
        if let Some(figures) = &self.axum {
            whole.insert("baseline-axum".into(), figures_json(figures));
        }
        if let Some(fsync) = &self.fsync {
            let figures = json!({
                "overwrite": {"count": fsync.overwrites, "latency": fsync.overwrite},
                "append": {"count": fsync.appends, "latency": fsync.append},
            });
            whole.insert("baseline-fsync".into(), figures);
        }
        let ratios =
            json!({"throughput-of-axum": self.of_axum(), "p50-of-fdatasync": self.of_fsync()});
        whole.insert("ratios".into(), ratios);
        Value::Object(whole)
    }
}

fn figures_json(figures: &Figures) -> Value {
    json!({
        "elapsed-ms": span::as_ms(figures.elapsed),
        "succeeded": figures.succeeded,
        "per-second": figures.per_second(),
        "latency": figures.latencies,
        "by-status": figures.by_status,
        "broken": figures.broken,
    })
}

fn micros(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} µs"),
        1_000..100_000 => format!("{:.2} ms", as_f64(count) / 1e3),
        _ => format!("{:.0} ms", as_f64(count) / 1e3),
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds up to a minute are exact")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is small and positive"
)]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}
