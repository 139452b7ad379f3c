//! Many seeds, and what they came to together.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Fault, Plan, Planted, Report, run};

/// With so many seeds, each kind of fault must have been done.
const ALL_KINDS_FROM: u64 = 40;

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// How long they lasted, in milliseconds of their own time.
    pub simulated_ms: u64,
    /// Operations that were answered and checked.
    pub operations: u64,
    /// Tries that came to nothing.
    pub retries: u64,
    /// Log entries that were looked at.
    pub entries: u64,
    /// Stores that were compared.
    pub stores: u64,
    /// Things that were judged.
    pub judged: u64,
    /// How often each fault was done.
    pub faults: BTreeMap<Fault, u64>,
    /// The runs in which a property did not hold.
    pub violations: Vec<Report>,
}

impl Totals {
    fn add(&mut self, report: Report) {
        self.runs += 1;
        self.simulated_ms += report.simulated_ms;
        self.operations += report.operations;
        self.retries += report.retries;
        self.entries += report.entries;
        self.stores += report.stores;
        self.judged += report.judged;
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        if report.violated.is_some() {
            self.violations.push(report);
        }
    }

    /// What is wrong with all of it, in sentences; empty if nothing is.
    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        let violations = self.violations.iter().map(|report| {
            let (property, how) = report.violated.clone().unwrap_or_default();
            let seed = report.seed;
            format!("seed {seed}: {property}: {how}\n  STEAD_SEED={seed} runs it again")
        });
        let missing = Fault::ALL.iter().filter(|fault| {
            self.runs >= ALL_KINDS_FROM && self.faults.get(fault).is_none_or(|count| *count == 0)
        });
        violations.chain(missing.map(|fault| format!("there were no {fault}"))).collect()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.simulated_ms as f64 / 3_600_000.0;
        writeln!(f, "{:<36} {:>12}", "seeds", self.runs)?;
        writeln!(f, "{:<36} {:>12}", "seeds with a violation", self.violations.len())?;
        writeln!(f, "{:<36} {hours:>12.1}", "simulated hours")?;
        writeln!(f, "{:<36} {:>12}", "operations answered and checked", self.operations)?;
        writeln!(f, "{:<36} {:>12}", "tries that came to nothing", self.retries)?;
        writeln!(f, "{:<36} {:>12}", "log entries looked at", self.entries)?;
        writeln!(f, "{:<36} {:>12}", "stores compared", self.stores)?;
        writeln!(f, "{:<36} {:>12}", "judgements of properties", self.judged)?;
        for fault in Fault::ALL {
            let count = self.faults.get(fault).copied().unwrap_or(0);
            writeln!(f, "{fault:<36} {count:>12}")?;
        }
        Ok(())
    }
}

/// Runs seeds, several at once. `each` hears of each run when it is over.
pub fn soak(
    seeds: std::ops::Range<u64>,
    jobs: usize,
    planted: Option<Planted>,
    each: impl Fn(&Report, &Totals) + Sync,
) -> Totals {
    let next = AtomicU64::new(seeds.start);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = run(Plan { seed, planted, keep_trace: false });
                    let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                    each(&report, &totals);
                    totals.add(report);
                }
            });
        }
    });
    totals.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How many seeds it takes to find a bug that is put in, and what finds it; `None`
/// if so many don't.
pub fn hunt(bug: Planted, seeds_max: u64) -> Option<(u64, &'static str, String)> {
    (1..=seeds_max).find_map(|seed| {
        let report = run(Plan { seed, planted: Some(bug), keep_trace: false });
        report.violated.map(|(property, how)| (seed, property, how))
    })
}
