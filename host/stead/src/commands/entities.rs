//! `stead entities`: which entities of a type the journal knows.

use serde_json::json;
use stead_model::EntityType;

use crate::{
    client::{self, Request},
    connection::ConnectionFlags,
    failure::Failure,
    output::tame,
};

/// How many are asked for at once.
const PAGE_MAX: u64 = 1_000;

/// List the entities of a type.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The type
    #[arg(value_name = "TYPE")]
    entity_type: EntityType,
    /// Only ids after this one
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, conflicts_with = "all")]
    limit: u64,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub connection: ConnectionFlags,
}

#[derive(serde::Deserialize)]
struct Page {
    entities: Vec<String>,
    next: Option<String>,
}

/// Lists entities, page by page.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = args.connection.open()?;
    let screen = &connection.screen;
    let what = format!("listing the entities of {}", args.entity_type);
    let mut wanted = if args.all { u64::MAX } else { args.limit };
    let mut after = args.after.clone();
    let mut listed = Vec::new();
    while wanted > 0 {
        let mut path = format!(
            "{}/entities?limit={}",
            client::entity_type(&args.entity_type),
            wanted.min(PAGE_MAX)
        );
        if let Some(after) = &after {
            path.push_str("&after=");
            path.push_str(&client::segment(after));
        }
        let page: Page = connection.admin.send(&what, Request::get(path)).await?.json(&what)?;
        wanted = wanted.saturating_sub(u64::try_from(page.entities.len()).unwrap_or(u64::MAX));
        if screen.json {
            listed.extend(page.entities);
        } else {
            for id in &page.entities {
                screen.line(tame(id))?;
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if screen.json {
        return screen.json(&json!({"entities": listed, "next": after}));
    }
    if let Some(next) = after {
        screen.aside(format_args!("there are more: --after {next:?} goes on, --all lists all"));
    }
    Ok(())
}
