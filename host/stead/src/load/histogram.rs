//! Latencies, and what is told of them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart: a minute, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// Latencies, in microseconds, to three digits.
#[derive(Debug, Clone)]
pub struct Recorder(Histogram<u64>);

impl Recorder {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are sound"))
    }

    /// Records one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US).max(1));
    }

    /// Takes in what another recorded.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all recorders have the same bounds");
    }

    /// What is told of them.
    pub fn latencies(&self) -> Latencies {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Latencies {
            mean_us: self.0.mean(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0.max(),
        }
    }
}

/// Percentiles, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Latencies {
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: u64,
    /// 90 % took no longer.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    #[serde(rename = "p99.9-us")]
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}
