//! The same seed gives the same run, to the last message. `STEAD_SEEDS` says how many
//! seeds are tried.
#![cfg(tokio_unstable)]

use stead_simulation::{Plan, run};

#[test]
fn the_same_seed_gives_the_same_run() {
    let seeds = std::env::var("STEAD_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 1..=seeds.unwrap_or(12) {
        let plan = Plan { seed, planted: None, keep_trace: true };
        // On threads of their own: what a thread remembers must not matter.
        let [one, other] =
            [(); 2].map(|()| std::thread::spawn(move || run(plan)).join().expect("it runs"));
        let differs = one.log.iter().zip(&other.log).position(|(one, other)| one != other);
        if let Some(at) = differs {
            panic!(
                "seed {seed}: line {at} is\n  {:?}\nand then\n  {:?}",
                one.log.get(at.saturating_sub(3)..=at),
                other.log.get(at)
            );
        }
        assert_eq!(one.log.len(), other.log.len(), "seed {seed}");
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.faults, other.faults, "seed {seed}");
        println!("seed {seed}: {} lines alike, trace {:016x}", one.lines, one.trace);
    }
}

#[test]
fn another_seed_gives_another_run() {
    let [one, other] = [1, 2].map(|seed| run(Plan { seed, planted: None, keep_trace: false }));
    assert_ne!(one.trace, other.trace);
}
