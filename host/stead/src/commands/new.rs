//! `stead new`: a new entity project.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    failure::Failure,
    output::Screen,
    project::{Names, unpack},
};

/// Make a new entity project.
///
/// It is a Rust crate that builds, with a small entity, its tests, its manifest,
/// and the SDK's sources beside it. Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's name, and the entity type's: shopping-cart
    name: String,
    /// Where to make it [default: a directory of the project's name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Print the result as JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Makes the project.
pub fn run(args: &Args) -> Result<(), Failure> {
    let screen = Screen::of_process(args.json);
    let names = Names::new(&args.name).map_err(Failure::usage)?;
    let directory = args.path.clone().unwrap_or_else(|| PathBuf::from(names.name.as_str()));
    let unpacked = unpack(&names, &directory)?;
    if screen.json {
        return screen.json(&json!({
            "name": names.name,
            "path": directory.display().to_string(),
            "files": unpacked.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        }));
    }
    let place = directory.display();
    for file in &unpacked.files {
        screen.line(format_args!("  {place}/{}", file.display()))?;
    }
    screen.line(format_args!("  {place}/vendor/stead-sdk ({} files)", unpacked.sdk_files))?;
    screen.line(format_args!(
        "\nThe project {} is in {place}. Next:\n\n  cd {place}\n  cargo test\n  stead dev\n\n\
         `stead dev` builds it, runs it on a throwaway node and does so again on every change.\n\
         On a node of your own (`stead node`): cargo component build --release && stead deploy",
        names.name
    ))
}
