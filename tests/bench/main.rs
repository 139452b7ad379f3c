//! The benchmarks of a whole node, each beside what it is measured against.
//!
//!     cargo run --release -p stead-tests --example bench -- [--quick] [NAME...]
//!
//! The machine may be shared, and its disk's sync may take anything between a
//! tenth of a millisecond and four. So whatever is compared is measured in
//! turns, in short slices of one run, and a ratio is the median of the slices'
//! ratios.

mod cluster;
mod figures;
mod load;
mod memory;
mod recovery;
mod replay;
mod throughput;

use std::{path::Path, process::ExitCode};

use figures::{Figure, print_table};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Slices of what is measured in turns.
    pub slices: usize,
    /// Seconds of a slice.
    pub slice_s: u64,
    /// Events or entities, where there are to be many.
    pub many: u64,
}

const FULL: Extent = Extent { slices: 9, slice_s: 3, many: 1_000_000 };
const QUICK: Extent = Extent { slices: 3, slice_s: 1, many: 50_000 };

const NAMES: [&str; 7] =
    ["one-client", "many-clients", "hot-entity", "replay", "memory", "recovery", "cluster"];

#[tokio::main]
async fn main() -> ExitCode {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let quick = wanted.iter().any(|argument| argument == "--quick");
    wanted.retain(|argument| argument != "--quick");
    if let Some(unknown) = wanted.iter().find(|name| !NAMES.contains(&name.as_str())) {
        eprintln!("there is no benchmark {unknown}; there are: {}", NAMES.join(", "));
        return ExitCode::from(2);
    }
    let extent = if quick { QUICK } else { FULL };
    let mut figures = Vec::new();
    for name in NAMES {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        eprintln!("measuring {name}");
        let directory = tempfile::tempdir().expect("a directory");
        figures.extend(measure(name, directory.path(), extent).await);
    }
    print_table(&figures);
    ExitCode::SUCCESS
}

async fn measure(name: &str, directory: &Path, extent: Extent) -> Vec<Figure> {
    match name {
        "one-client" => throughput::one_client(directory, extent).await,
        "many-clients" => throughput::many_clients(directory, extent).await,
        "hot-entity" => throughput::hot_entity(directory, extent).await,
        "replay" => replay::measure(directory, extent).await,
        "memory" => memory::measure(directory, extent).await,
        "recovery" => recovery::measure(directory, extent).await,
        _ => cluster::measure(directory, extent).await,
    }
}
