//! The smallest entity, tested as its author would.

use serde_json::json;
use stead_sdk::{
    prelude::*,
    test::{describe, given},
};

/// Counts up and down, and never below zero.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Counter {
    value: i64,
}

#[derive(Event)]
enum CounterEvent {
    /// The value went up.
    Incremented { by: i64 },
    /// It went back to zero.
    Reset,
}

#[derive(Rejection)]
enum CounterError {
    #[reject(status = 409, message = "{value} is too little to take {by} away.")]
    BelowZero { value: i64, by: i64 },
}

#[entity]
impl Counter {
    /// Adds to the value.
    #[command]
    fn increment(
        &self,
        ctx: &mut Context<Self>,
        #[serde(default = "one")] by: i64,
    ) -> Result<After<Self, i64>, CounterError> {
        if self.value.saturating_add(by) < 0 {
            return Err(CounterError::BelowZero { value: self.value, by: -by });
        }
        ctx.record(CounterEvent::Incremented { by });
        Ok(ctx.after(Self::value))
    }

    #[command]
    fn reset(&self, ctx: &mut Context<Self>) {
        ctx.record(CounterEvent::Reset);
    }

    #[command]
    fn remove(&self, ctx: &mut Context<Self>) -> After<Self, Self> {
        ctx.end(Ending::PurgeEvents);
        ctx.new_state()
    }

    /// The value as it is.
    #[query]
    fn value(&self) -> i64 {
        self.value
    }

    #[query]
    fn state(&self, ctx: &QueryContext) -> (&Self, String) {
        (self, ctx.id().into())
    }

    fn apply(&mut self, event: CounterEvent) {
        match event {
            CounterEvent::Incremented { by } => self.value = self.value.saturating_add(by),
            CounterEvent::Reset => self.value = 0,
        }
    }
}

stead_sdk::export!(Counter);

fn one() -> i64 {
    1
}

#[test]
fn it_counts() {
    given::<Counter>([])
        .when("increment", json!({ "by": 2 }))
        .then([CounterEvent::Incremented { by: 2 }])
        .replies(2)
        .when("increment", ())
        .replies(3)
        .when("increment", json!({ "by": -4 }))
        .rejects(409, "below-zero")
        .query("value", ())
        .replies(3)
        .when("reset", ())
        .then([CounterEvent::Reset])
        .replies(())
        .when("remove", ())
        .ends(Ending::PurgeEvents)
        .replies(json!({ "value": 0 }))
        .with_id("x")
        .query("state", ())
        .replies(json!([{ "value": 0 }, "x"]));
}

/// What `describe` says of the counter. A change of it is a change of what callers,
/// consoles and compatibility checks see.
#[test]
fn the_description_is_as_it_was() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/counter.json");
    let mut found = serde_json::to_value(describe::<Counter>()).expect("JSON");
    found["sdk"] = "rust stead-sdk/VERSION".into();
    let found = serde_json::to_string_pretty(&found).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &found).expect("the golden file is written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden file");
    assert!(
        found == golden,
        "describe has changed; if that is meant, run with UPDATE_GOLDEN=1. It is now\n{found}"
    );
}
