//! `stead events`: an entity's history, and what is added to it.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use stead_model::{Address, TimestampMs};

use crate::{
    arguments,
    client::{self, Problem, Request},
    connection::{Connection, ConnectionFlags},
    failure::{Exit, Failure},
    output::{Table, tame, timestamp},
};

/// How many are asked for at once.
const PAGE_MAX: u64 = 1_000;
/// How long a follower looks for a node that has gone.
const RECONNECT_MAX: Duration = Duration::from_secs(60);

/// Show an entity's events.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The entity, as in cart/42
    #[arg(value_name = "TYPE/ID", value_parser = arguments::address)]
    address: Address,
    /// From this sequence number [default: the first that is stored]
    #[arg(long, value_name = "SEQUENCE")]
    from: Option<u64>,
    /// Up to this sequence number
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "follow")]
    to: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, conflicts_with = "follow")]
    limit: u64,
    /// Go on showing events as they are recorded; with --json, one object a line
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EventView {
    sequence: u64,
    name: String,
    at: TimestampMs,
    version: u32,
    body: Option<Value>,
    body_base64: Option<String>,
}

/// A line of a stream of events. The last may say why there are no more.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Problem { problem: serde_json::Map<String, Value> },
    Event(EventView),
}

/// Shows the events.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    if args.follow { follow(args, &connection).await } else { list(args, &connection).await }
}

async fn list(args: &Args, connection: &Connection) -> Result<(), Failure> {
    let screen = &connection.screen;
    let what = format!("reading the events of {}", args.address);
    let mut wanted = args.limit;
    let mut from = args.from;
    let mut whole: Option<Value> = None;
    let mut shown = 0_u64;
    while wanted > 0 {
        let mut path =
            format!("{}/events?limit={}", client::entity(&args.address), wanted.min(PAGE_MAX));
        for (name, value) in [("from", from), ("to", args.to)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={value}"));
            }
        }
        let mut page: Value =
            connection.admin.send(&what, Request::get(path)).await?.json(&what)?;
        let events = take_events(&mut page, &what)?;
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let last = events.last().and_then(|event| event.get("sequence")?.as_u64());
        let end = page.get("last-sequence").and_then(Value::as_u64).unwrap_or(0);
        if screen.json {
            append_events(&mut whole, page, events);
        } else {
            screen.table(&table(events, shown == 0, &what)?)?;
        }
        shown += count;
        wanted = wanted.saturating_sub(count);
        let Some(last) = last else { break };
        if last >= end || args.to.is_some_and(|to| last >= to) {
            break;
        }
        from = Some(last.saturating_add(1));
    }
    match whole {
        Some(whole) => screen.json(&whole),
        None if screen.json => screen.line("{\"events\":[]}"),
        None => Ok(()),
    }
}

fn take_events(page: &mut Value, what: &str) -> Result<Vec<Value>, Failure> {
    match page.get_mut("events").map(Value::take) {
        Some(Value::Array(events)) => Ok(events),
        _ => Err(Failure::failed(format!("{what}: the node's answer has no events"))),
    }
}

/// One document for programs, however many pages it took.
fn append_events(whole: &mut Option<Value>, mut page: Value, mut events: Vec<Value>) {
    if let Some(earlier) = whole.take()
        && let Some(Value::Array(mut earlier)) = earlier.get("events").cloned()
    {
        earlier.append(&mut events);
        events = earlier;
    }
    if let Some(page) = page.as_object_mut() {
        page.insert("events".into(), Value::Array(events));
    }
    *whole = Some(page);
}

fn table(events: Vec<Value>, with_head: bool, what: &str) -> Result<Table, Failure> {
    let mut table = if with_head {
        Table::new(["sequence", "recorded", "event", "version", "data"])
    } else {
        Table::facts()
    }
    .right(0)
    .right(3);
    for event in events {
        let event: EventView = serde_json::from_value(event).map_err(|error| {
            Failure::failed(format!("{what}: an event could not be understood: {error}"))
        })?;
        table.row([
            event.sequence.to_string(),
            timestamp(event.at),
            event.name.clone(),
            event.version.to_string(),
            data(&event),
        ]);
    }
    Ok(table)
}

fn data(event: &EventView) -> String {
    match (&event.body, &event.body_base64) {
        (Some(body), _) => body.to_string(),
        (None, Some(base64)) => format!("(base64) {base64}"),
        (None, None) => String::new(),
    }
}

/// Shows events as they are recorded, until interrupted. A connection that
/// breaks off, as when the node is started anew, is made again.
async fn follow(args: &Args, connection: &Connection) -> Result<(), Failure> {
    let mut from = args.from.unwrap_or(1);
    let mut gone_since: Option<Instant> = None;
    let mut connected = false;
    loop {
        let before = from;
        let failure = match follow_once(args, connection, &mut from, &mut connected).await {
            Ok(()) => Failure::new(Exit::Unreachable, "the node ended the stream"),
            Err(failure) => failure,
        };
        if failure.reader_gone || !connected {
            return Err(failure);
        }
        if from > before {
            gone_since = None;
        }
        let since = *gone_since.get_or_insert_with(Instant::now);
        if !matches!(failure.exit, Exit::Unreachable | Exit::NotNow)
            || since.elapsed() > RECONNECT_MAX
        {
            return Err(failure);
        }
        connection.screen.aside(format_args!("{}; looking again", failure.message));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn follow_once(
    args: &Args,
    connection: &Connection,
    from: &mut u64,
    connected: &mut bool,
) -> Result<(), Failure> {
    let screen = &connection.screen;
    let what = format!("following the events of {}", args.address);
    let path = format!("{}/events?follow=true&from={from}", client::entity(&args.address));
    let mut lines = connection.admin.lines(&what, Request::get(path)).await?;
    *connected = true;
    while let Some(line) = lines.next().await? {
        // An empty line says that the node is still there.
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let event = match serde_json::from_slice(&line) {
            Ok(Line::Event(event)) => event,
            Ok(Line::Problem { problem }) => {
                return Err(Problem::from_members(problem).into_failure(&what));
            }
            Err(error) => {
                return Err(Failure::failed(format!(
                    "{what}: a line could not be understood: {error}"
                )));
            }
        };
        if screen.json {
            screen.document(&line)?;
        } else {
            let data = tame(&data(&event));
            let at = timestamp(event.at);
            screen.line(format_args!(
                "{:>8}  {at}  {}  {data}",
                event.sequence,
                tame(&event.name)
            ))?;
        }
        *from = event.sequence.saturating_add(1);
    }
    Ok(())
}
