//! A bounded number of seeds, for every change. `STEAD_SIMULATION_SEEDS` runs more,
//! `STEAD_SEED` one alone.
#![cfg(tokio_unstable)]

use stead_simulation::soak;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn seeds_run_clean() {
    let seeds = match number("STEAD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("STEAD_SIMULATION_SEEDS").unwrap_or(40),
    };
    let totals = soak(seeds, 2, None, |_, _| ());
    println!("{totals}");
    for report in &totals.violations {
        report.log.iter().for_each(|line| println!("{line}"));
    }
    let wrongs = totals.wrongs();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}
