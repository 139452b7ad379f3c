//! Runs seeds, and says what they came to.

#[cfg(not(tokio_unstable))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "this needs a seeded tokio:\n  RUSTFLAGS='--cfg tokio_unstable' \
         CARGO_TARGET_DIR=target/simulation cargo run --release -p stead-simulation -- --seeds 100"
    );
    std::process::ExitCode::from(2)
}

#[cfg(tokio_unstable)]
fn main() -> std::process::ExitCode {
    command::run()
}

#[cfg(tokio_unstable)]
mod command {
    use std::{process::ExitCode, time::Instant};

    use clap::Parser;
    use stead_simulation::{Plan, Planted, hunt, run as run_seed, soak};

    /// Simulates whole clusters from seeds.
    #[derive(Parser)]
    struct Arguments {
        /// How many seeds.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first of them.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// How many at once.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// One seed alone, with what happened.
        #[arg(long, env = "STEAD_SEED")]
        seed: Option<u64>,
        /// All that happened, not only the last of it.
        #[arg(long)]
        all: bool,
        /// With a bug put in, by its name; or `all`, one after the other.
        #[arg(long)]
        planted: Option<String>,
    }

    pub(crate) fn run() -> ExitCode {
        let arguments = Arguments::parse();
        if arguments.seed.is_some() {
            // `RUST_LOG=info` tells what the nodes say.
            let _ = tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .without_time()
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .try_init();
        }
        let bug = match arguments.planted.as_deref() {
            None | Some("all") => None,
            Some(name) => match Planted::named(name) {
                Some(bug) => Some(bug),
                None => {
                    let known: Vec<_> = Planted::ALL.iter().map(ToString::to_string).collect();
                    eprintln!("no bug is named {name}; there are {}, and all", known.join(", "));
                    return ExitCode::from(2);
                }
            },
        };
        match arguments.seed {
            Some(seed) => one(seed, bug, arguments.all),
            None if arguments.planted.is_some() => planted(bug, arguments.seeds),
            None => many(&arguments),
        }
    }

    fn one(seed: u64, planted: Option<Planted>, keep_trace: bool) -> ExitCode {
        let report = run_seed(Plan { seed, planted, keep_trace });
        report.log.iter().for_each(|line| println!("{line}"));
        println!(
            "seed {seed}: {} ms, {} operations, {} things noted, trace {:016x}",
            report.simulated_ms, report.operations, report.lines, report.trace
        );
        match report.violated {
            Some((property, how)) => {
                println!("violated: {property}: {how}");
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        }
    }

    fn many(arguments: &Arguments) -> ExitCode {
        let begun = Instant::now();
        let seeds = arguments.from..arguments.from.saturating_add(arguments.seeds);
        let totals = soak(seeds, arguments.jobs, None, |report, totals| {
            if let Some((property, how)) = &report.violated {
                println!("seed {}: {property}: {how}", report.seed);
            }
            if totals.runs % 50 == 49 {
                let hours = totals.simulated_ms as f64 / 3_600_000.0;
                println!(
                    "{} seeds, {hours:.2} simulated hours, {} operations, {} s",
                    totals.runs + 1,
                    totals.operations,
                    begun.elapsed().as_secs()
                );
            }
        });
        println!("{totals}");
        let wrongs = totals.wrongs();
        wrongs.iter().for_each(|wrong| println!("{wrong}"));
        if wrongs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn planted(bug: Option<Planted>, seeds_max: u64) -> ExitCode {
        let mut found_all = true;
        for bug in Planted::ALL.iter().copied().filter(|each| bug.is_none_or(|bug| bug == *each)) {
            match hunt(bug, seeds_max) {
                Some((seeds, property, _)) => {
                    println!("{bug:<28} found with {seeds:>4} seeds: {property}");
                }
                None => {
                    found_all = false;
                    println!("{bug:<28} NOT found with {seeds_max} seeds");
                }
            }
        }
        if found_all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
