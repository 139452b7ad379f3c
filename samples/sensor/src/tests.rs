//! Given these events, when this command, then these events and this reply.

use serde_json::{Value, json};
use stead_sdk::test::given;

use crate::{
    AHEAD_MS_MAX, BATCH_MAX, MINUTE_MS, MINUTES_MAX, Reading, Sensor,
    SensorEvent::{self, AlarmCleared, AlarmRaised, Configured, ReadingsReported},
};

const NOW_MS: u64 = 1_700_000_000_000;

fn at(at_ms: u64, value: f64) -> Reading {
    Reading { at_ms, value }
}

fn reported(readings: impl IntoIterator<Item = Reading>) -> SensorEvent {
    ReadingsReported { readings: readings.into_iter().collect() }
}

fn batch(readings: &[Reading]) -> Value {
    json!({ "readings": readings })
}

#[test]
fn a_batch_is_one_event_in_order() {
    given::<Sensor>([])
        .when("report", batch(&[at(2_000, 2.5), at(1_000, 1.0)]))
        .then([reported([at(1_000, 1.0), at(2_000, 2.5)])])
        .replies(json!({ "count": 2, "alarmed": false }))
        .query("summary", ())
        .replies(json!({
            "latest": { "at_ms": 2_000, "value": 2.5 },
            "ever": { "count": 2, "sum": 3.5, "min": 1.0, "max": 2.5 },
            "mean": 1.75,
            "alarmed": false,
        }));
}

#[test]
fn an_alarm_is_raised_once_and_cleared_once() {
    given::<Sensor>([Configured { alarm_above: Some(80.0) }])
        .when("report", batch(&[at(1, 79.0), at(2, 81.0)]))
        .then([reported([at(1, 79.0), at(2, 81.0)]), AlarmRaised { reading: at(2, 81.0) }])
        .replies(json!({ "count": 2, "alarmed": true }))
        .when("report", batch(&[at(3, 82.0)]))
        .then([reported([at(3, 82.0)])])
        .when("report", batch(&[at(4, 80.0)]))
        .then([reported([at(4, 80.0)]), AlarmCleared { reading: at(4, 80.0) }])
        .replies(json!({ "count": 4, "alarmed": false }));
}

#[test]
fn late_readings_count_but_alarm_nobody() {
    given::<Sensor>([Configured { alarm_above: Some(80.0) }, reported([at(MINUTE_MS * 5, 1.0)])])
        .when("report", batch(&[at(MINUTE_MS * 3, 99.0)]))
        .then([reported([at(MINUTE_MS * 3, 99.0)])])
        .query("minutes", ())
        .replies(json!([
            { "minute": 3, "count": 1, "sum": 99.0, "min": 99.0, "max": 99.0 },
            { "minute": 5, "count": 1, "sum": 1.0, "min": 1.0, "max": 1.0 },
        ]))
        .query("minutes", json!({ "last": 1 }))
        .replies(json!([{ "minute": 5, "count": 1, "sum": 1.0, "min": 1.0, "max": 1.0 }]));
}

#[test]
fn the_state_stays_small_whatever_comes() {
    let minutes = (0..10_000).map(|minute| at(minute * MINUTE_MS, -1.5));
    let before = given::<Sensor>([reported(minutes.clone().take(1_000))]);
    let after = given::<Sensor>([reported(minutes)]);
    let kept = after.snapshot().len();
    assert!(kept < before.snapshot().len() + 200, "{kept} bytes");
    after
        .state(|sensor| assert_eq!(sensor.minutes.len(), MINUTES_MAX))
        .when("report", batch(&[at(0, 7.0)]))
        .state(|sensor| assert_eq!(sensor.minutes.front().map(|minute| minute.minute), Some(9_940)))
        .replies(json!({ "count": 10_001, "alarmed": false }));
}

#[test]
fn batches_have_bounds() {
    let many = vec![at(1, 1.0); BATCH_MAX + 1];
    given::<Sensor>([])
        .when("report", batch(&[]))
        .rejects(422, "batch-out-of-range")
        .when("report", batch(&many))
        .rejects(422, "batch-out-of-range")
        .when("report", batch(&[at(1, 0.0), at(2, -1e300)]))
        .rejects(422, "implausible-value");
}

#[test]
fn a_clock_that_is_ahead_is_refused() {
    given::<Sensor>([])
        .at_ms(NOW_MS)
        .when("report", batch(&[at(NOW_MS + AHEAD_MS_MAX + 1, 1.0)]))
        .rejects(422, "from-the-future")
        .when("report", batch(&[at(NOW_MS + AHEAD_MS_MAX, 1.0)]))
        .replies(json!({ "count": 1, "alarmed": false }));
}

#[test]
fn setting_what_is_set_records_nothing() {
    given::<Sensor>([Configured { alarm_above: Some(1.0) }])
        .when("configure", json!({ "alarm_above": 1.0 }))
        .then_nothing()
        .when("configure", json!({}))
        .then([Configured { alarm_above: None }]);
}

#[test]
fn a_reading_without_a_number_is_told_where() {
    let sensor = given::<Sensor>([])
        .when_bytes("report", br#"{"readings":[{"at_ms":1,"value":1},{"at_ms":2,"value":null}]}"#);
    let message = sensor.rejects(400, "malformed-body").rejection().message().to_owned();
    assert!(message.starts_with("the body's field readings[1].value: invalid type"), "{message}");
}
