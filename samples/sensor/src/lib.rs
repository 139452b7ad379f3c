//! A device that reports many readings.
//!
//! It shows how an entity takes high rates: readings come in batches, a batch is
//! one command and one event, and the state stays as small as on the first day
//! because it keeps aggregates, an hour of minutes in a ring, instead of readings.
//! When the value passes a bound, the same command records that too: one command
//! may record several events, and they count as one.
//!
//! ```text
//! curl --json '{"alarm_above": 80}' localhost:8080/entities/sensor/7/configure
//! curl --json '{"readings": [{"at_ms": 1760000000000, "value": 71.5},
//!                        {"at_ms": 1760000001000, "value": 81.25}]}' \
//!      localhost:8080/sensors/7/readings
//! curl localhost:8080/sensors/7
//! ```

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use stead_sdk::prelude::*;

/// The most readings in one batch.
pub const BATCH_MAX: usize = 1_000;
/// How many minutes are kept.
pub const MINUTES_MAX: usize = 60;
/// The greatest value either way. Sums of such values never become infinite, and
/// JSON has no infinity: a state that has one can't be restored.
pub const VALUE_MAX: f64 = 1e15;
/// How far ahead of the node's clock a device's may be, in milliseconds.
pub const AHEAD_MS_MAX: u64 = 5 * MINUTE_MS;

const MINUTE_MS: u64 = 60_000;

/// A device that reports readings, and the last hour of them by the minute.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Sensor {
    /// All readings there have ever been.
    ever: Aggregate,
    /// The newest reading by the device's clock.
    latest: Option<Reading>,
    /// The newest minutes that had readings, in order. A ring: when a minute comes
    /// in at the end, the oldest leaves.
    minutes: VecDeque<Minute>,
    /// Above this value there is an alarm.
    alarm_above: Option<f64>,
    /// Whether there is one.
    alarmed: bool,
}

/// One reading.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// When, by the device's clock, in milliseconds since 1970.
    at_ms: u64,
    /// What it measured.
    value: f64,
}

/// Readings together.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct Aggregate {
    /// How many there were.
    count: u64,
    /// Their sum.
    sum: f64,
    /// The least; 0 if there were none.
    min: f64,
    /// The greatest; 0 if there were none.
    max: f64,
}

/// The readings of one minute.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct Minute {
    /// Minutes since 1970.
    minute: u64,
    /// Its readings.
    #[serde(flatten)]
    readings: Aggregate,
}

/// What callers see of a device.
#[derive(Serialize, JsonSchema)]
pub struct Summary {
    /// The newest reading.
    latest: Option<Reading>,
    /// All readings there have ever been.
    ever: Aggregate,
    /// The mean of the minutes that are kept.
    mean: Option<f64>,
    /// Whether the newest reading was above the bound.
    alarmed: bool,
}

/// The answer to a batch.
#[derive(Serialize, JsonSchema)]
pub struct Reported {
    /// How many readings there have ever been.
    count: u64,
    /// Whether the newest is above the bound.
    alarmed: bool,
}

/// What happens to a device.
#[derive(Event)]
pub enum SensorEvent {
    /// Readings came in.
    ReadingsReported {
        /// In the order of the device's clock.
        readings: Vec<Reading>,
    },
    /// The value went over the bound.
    AlarmRaised {
        /// The reading that did.
        reading: Reading,
    },
    /// The value went back under the bound.
    AlarmCleared {
        /// The reading that did.
        reading: Reading,
    },
    /// The bound was set, or taken away.
    Configured {
        /// Above this value there is an alarm.
        alarm_above: Option<f64>,
    },
}

/// Why a device says no.
#[derive(Rejection)]
pub enum SensorError {
    /// The batch has no readings, or too many.
    #[reject(message = "A batch has 1 to {BATCH_MAX} readings, not {count}.")]
    BatchOutOfRange {
        /// How many it has.
        count: usize,
    },
    /// The value can't be right.
    #[reject(message = "A value is {VALUE_MAX} at most either way, not {value}.")]
    ImplausibleValue {
        /// What was measured.
        value: f64,
    },
    /// The device's clock can't be right.
    #[reject(message = "The reading at {at_ms} is too far ahead of {now_ms}.")]
    FromTheFuture {
        /// The reading's time.
        at_ms: u64,
        /// The node's.
        now_ms: u64,
    },
}

#[stead_sdk::entity]
impl Sensor {
    /// Takes a batch of readings, in any order.
    #[command]
    fn report(
        &self,
        ctx: &mut Context<Self>,
        mut readings: Vec<Reading>,
    ) -> Result<After<Self, Reported>, SensorError> {
        if readings.is_empty() || readings.len() > BATCH_MAX {
            return Err(SensorError::BatchOutOfRange { count: readings.len() });
        }
        let implausible = readings.iter().find(|reading| reading.value.abs() > VALUE_MAX);
        if let Some(&Reading { value, .. }) = implausible {
            return Err(SensorError::ImplausibleValue { value });
        }
        readings.sort_by_key(|reading| reading.at_ms);
        let now_ms = ctx.now_ms();
        let newest = readings.last().copied();
        let ahead = newest.filter(|reading| reading.at_ms > now_ms.saturating_add(AHEAD_MS_MAX));
        if let Some(Reading { at_ms, .. }) = ahead {
            return Err(SensorError::FromTheFuture { at_ms, now_ms });
        }
        ctx.record(SensorEvent::ReadingsReported { readings });
        if let Some(reading) = newest.filter(|reading| self.is_newest(reading)) {
            self.record_alarm(ctx, reading);
        }
        Ok(ctx.after(|sensor| Reported { count: sensor.ever.count, alarmed: sensor.alarmed }))
    }

    /// Sets the bound above which there is an alarm, or takes it away.
    #[command]
    fn configure(&self, ctx: &mut Context<Self>, alarm_above: Option<f64>) {
        if alarm_above != self.alarm_above {
            ctx.record(SensorEvent::Configured { alarm_above });
        }
    }

    /// The newest reading, and all of them together.
    #[query]
    fn summary(&self) -> Summary {
        let kept = self.minutes.iter().fold(Aggregate::default(), |sum, minute| Aggregate {
            count: sum.count + minute.readings.count,
            sum: sum.sum + minute.readings.sum,
            ..sum
        });
        Summary {
            latest: self.latest,
            ever: self.ever,
            mean: (kept.count > 0).then(|| kept.sum / kept.count as f64),
            alarmed: self.alarmed,
        }
    }

    /// The newest minutes, the oldest of them first; all that are kept, or the
    /// `last` so many.
    #[query]
    fn minutes(&self, last: Option<usize>) -> Vec<Minute> {
        let skipped = self.minutes.len().saturating_sub(last.unwrap_or(MINUTES_MAX));
        self.minutes.iter().skip(skipped).copied().collect()
    }

    fn apply(&mut self, event: SensorEvent) {
        match event {
            SensorEvent::ReadingsReported { readings } => {
                readings.into_iter().for_each(|reading| self.fold_reading(reading));
            }
            SensorEvent::AlarmRaised { .. } => self.alarmed = true,
            SensorEvent::AlarmCleared { .. } => self.alarmed = false,
            SensorEvent::Configured { alarm_above } => self.alarm_above = alarm_above,
        }
    }

    fn record_alarm(&self, ctx: &mut Context<Self>, reading: Reading) {
        let alarmed = self.alarm_above.is_some_and(|bound| reading.value > bound);
        match (self.alarmed, alarmed) {
            (false, true) => ctx.record(SensorEvent::AlarmRaised { reading }),
            (true, false) => ctx.record(SensorEvent::AlarmCleared { reading }),
            (true, true) | (false, false) => {}
        }
    }

    fn is_newest(&self, reading: &Reading) -> bool {
        self.latest.is_none_or(|latest| latest.at_ms <= reading.at_ms)
    }

    fn fold_reading(&mut self, reading: Reading) {
        self.ever.add(reading.value);
        if self.is_newest(&reading) {
            self.latest = Some(reading);
        }
        let minute = reading.at_ms / MINUTE_MS;
        // The minute is most often the last: the search is from there.
        let behind = self.minutes.iter().rev().take_while(|other| other.minute > minute).count();
        let place = self.minutes.len() - behind;
        let is_full = self.minutes.len() >= MINUTES_MAX;
        let found = place.checked_sub(1).and_then(|before| self.minutes.get_mut(before));
        match found.filter(|found| found.minute == minute) {
            Some(found) => found.readings.add(reading.value),
            // Older than all that are kept, and there is no room: only the sum of
            // all readings knows it.
            None if place == 0 && is_full => {}
            None => {
                let mut readings = Aggregate::default();
                readings.add(reading.value);
                self.minutes.insert(place, Minute { minute, readings });
                if self.minutes.len() > MINUTES_MAX {
                    self.minutes.pop_front();
                }
            }
        }
    }
}

impl Aggregate {
    fn add(&mut self, value: f64) {
        let first = self.count == 0;
        self.count += 1;
        self.sum += value;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
    }
}

stead_sdk::export!(Sensor);
