//! Runs seeds, and says what they came to.

#[cfg(not(tokio_unstable))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "This needs a seeded tokio:\n  RUSTFLAGS='--cfg tokio_unstable' \
         CARGO_TARGET_DIR=target/simulation cargo run --release -p stead-simulation -- --seeds 100"
    );
    std::process::ExitCode::from(2)
}

#[cfg(tokio_unstable)]
fn main() {
    let seed: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .without_time()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
    let begun = std::time::Instant::now();
    let report = stead_simulation::run(stead_simulation::Plan {
        seed,
        planted: None,
        keep_trace: std::env::args().nth(2).is_some(),
    });
    for line in &report.log {
        println!("{line}");
    }
    println!(
        "{:?} {} ops, {} retries, {} ms in {:?}, trace {:x}, {:?}",
        report.violated,
        report.operations,
        report.retries,
        report.simulated_ms,
        begun.elapsed(),
        report.trace,
        report.faults
    );
}
