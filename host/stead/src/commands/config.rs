//! `stead config`: what holds, and where it came from.

use serde_json::{Value, json};

use crate::{
    commands::node::NodeFlags,
    config::{self, Setting, Settings},
    connection::configuration_failure,
    failure::Failure,
    output::{Screen, Table},
};

/// Print every setting with its value and where it came from.
///
/// Takes the same flags as `stead node`, so that it shows what a node started
/// with them would run by.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeFlags,
    /// Print a commented stead.toml with every setting instead
    #[arg(long, conflicts_with = "json")]
    example: bool,
    /// Only settings that are not at their default
    #[arg(long)]
    changed: bool,
    /// Print the result as JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Prints the configuration.
pub fn run(args: &Args) -> Result<(), Failure> {
    let screen = Screen::of_process(args.json);
    if args.example {
        return screen.raw(config::example().as_bytes());
    }
    let loaded =
        config::load(&args.node.inputs()).map_err(|wrong| configuration_failure(&wrong))?;
    for warning in &loaded.warnings {
        screen.warning(warning);
    }
    let wanted = |setting: &&Setting| !args.changed || setting.source != config::Source::Default;
    if args.json {
        let settings: Vec<Value> = loaded.settings.iter().filter(wanted).map(as_json).collect();
        let file = loaded.file.map(|path| path.display().to_string());
        return screen.json(&json!({"file": file, "settings": settings}));
    }
    screen.table(&as_table(&loaded.settings, wanted))
}

fn as_table(settings: &Settings, wanted: impl Fn(&&Setting) -> bool) -> Table {
    let mut table = Table::new(["setting", "value", "from", "what it is"]);
    for setting in settings.iter().filter(wanted) {
        table.row([
            setting.entry.name(),
            setting.value.text.clone(),
            setting.source.to_string(),
            setting.entry.doc_line(),
        ]);
    }
    table
}

/// One setting for programs. `value` is a number of `unit` where there is one.
fn as_json(setting: &Setting) -> Value {
    json!({
        "name": setting.entry.name(),
        "value": setting.value.json,
        "unit": setting.entry.unit,
        "text": setting.value.text,
        "default": setting.entry.default,
        "environment": setting.entry.environment(),
        "source": setting.source.to_json(),
        "doc": setting.entry.doc_line(),
    })
}
