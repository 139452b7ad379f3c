//! What the methods of an entity may take and give, through the same path that a
//! component takes.

use serde_json::json;
use stead_sdk::{
    prelude::*,
    test::{describe, given},
};

/// Takes and gives everything.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Sink {
    taken: Vec<String>,
    picture: Vec<u8>,
    seen_at_ms: u64,
    chance: u64,
}

#[derive(Event)]
enum SinkEvent {
    Taken {
        what: String,
    },
    Seen {
        at_ms: u64,
        chance: u64,
    },
    #[event(content_type = "image/png")]
    Painted(Bytes),
}

#[derive(Rejection)]
enum SinkError {
    /// It is full.
    Full,
    #[reject(status = 404, code = "nothing-here", message = "{0} and {1:?} are not here.")]
    Missing(u32, String),
    #[reject(message = "Only {max} fit, {{really}}.", no_details)]
    TooBig { max: u32, r#type: &'static str },
    #[reject(message = "{count} of {type}.")]
    Counted { count: u32, r#type: &'static str },
}

#[derive(Deserialize, JsonSchema)]
struct Parcel {
    what: String,
    #[serde(default)]
    times: u32,
}

/// An alias hides that it is a `Result`; that must not matter.
type Answer<T> = Result<T, SinkError>;

#[entity]
impl Sink {
    /// Takes a thing,
    /// whatever it is.
    ///
    /// This is not part of the summary.
    #[command]
    fn take(&self, ctx: &mut Context<Self>, what: String, #[serde(default)] times: u8) -> usize {
        (0..=times).for_each(|_| ctx.record(SinkEvent::Taken { what: what.clone() }));
        self.taken.len()
    }

    #[command(name = "take-parcel")]
    fn take_whole(&self, ctx: &mut Context<Self>, #[body] parcel: Parcel) -> After<Self, Self> {
        (0..=parcel.times).for_each(|_| ctx.record(SinkEvent::Taken { what: parcel.what.clone() }));
        ctx.new_state()
    }

    #[command]
    fn paint(
        &self,
        ctx: &mut Context<Self>,
        #[body(content_type = "image/png")] picture: Bytes,
    ) -> Answer<()> {
        if picture.len() > 4 {
            return Err(SinkError::TooBig { max: 4, r#type: "image" });
        }
        ctx.record(SinkEvent::Painted(picture));
        Ok(())
    }

    #[command]
    fn look(&self, ctx: &mut Context<Self>) -> Answer<After<Self, u64>> {
        ctx.record(SinkEvent::Seen { at_ms: ctx.now_ms(), chance: ctx.random_u64() });
        assert_eq!(ctx.recorded().len(), 1);
        Ok(ctx.after(|sink| sink.seen_at_ms))
    }

    /// Records, and then thinks better of it.
    #[command]
    fn regret(&self, ctx: &mut Context<Self>, why: u8) -> Answer<()> {
        ctx.record(SinkEvent::Taken { what: "nothing".into() });
        ctx.end(Ending::PurgeEvents);
        match why {
            0 => Err(SinkError::Full),
            1 => Err(SinkError::Missing(1, "two".into())),
            _ => Err(SinkError::Counted { count: 3, r#type: "kind" }),
        }
    }

    #[command]
    fn by_hand(&self, _ctx: &mut Context<Self>) -> Result<u8, Rejection> {
        Err(Rejection::new("by-hand", "No.").with_status(418))
    }

    #[query]
    fn taken(&self) -> &[String] {
        &self.taken
    }

    #[query(reply_type = "image/png")]
    fn picture(&self) -> Bytes {
        Bytes::from(self.picture.clone())
    }

    #[query]
    fn nth(&self, ctx: &QueryContext, index: usize) -> Answer<String> {
        let missing = || SinkError::Missing(index as u32, ctx.id().into());
        self.taken.get(index).cloned().ok_or_else(missing)
    }

    fn apply(&mut self, event: SinkEvent) {
        match event {
            SinkEvent::Taken { what } => self.taken.push(what),
            SinkEvent::Seen { at_ms, chance } => {
                (self.seen_at_ms, self.chance) = (at_ms, chance);
            }
            SinkEvent::Painted(picture) => self.picture = picture.0,
        }
    }
}

fn taken(what: &str) -> SinkEvent {
    SinkEvent::Taken { what: what.into() }
}

#[test]
fn parameters_are_fields() {
    given::<Sink>([taken("a")])
        .when("take", json!({ "what": "b", "times": 1 }))
        .then([taken("b"), taken("b")])
        .replies(1)
        .when("take", json!({ "what": "c", "time": 1 }))
        .rejects(400, "malformed-body")
        .when("take", json!({ "times": 1 }))
        .rejects(400, "malformed-body")
        .when("take", json!(["c", 1]))
        .rejects(400, "malformed-body")
        .query("taken", ())
        .replies(json!(["a", "b", "b"]))
        .query("nth", json!({ "index": 2 }))
        .replies("b");
}

#[test]
fn a_body_may_be_one_value_or_bytes() {
    given::<Sink>([])
        .when("take-parcel", json!({ "what": "b" }))
        .replies(json!({ "taken": ["b"], "picture": [], "seen_at_ms": 0, "chance": 0 }))
        .when("paint", ())
        .then([SinkEvent::Painted(Bytes::default())])
        .when_bytes("paint", &[0, 255, 1])
        .then([SinkEvent::Painted(Bytes::from([0, 255, 1]))])
        .replies_bytes(b"")
        .query("picture", ())
        .replies_bytes(&[0, 255, 1]);
}

#[test]
fn time_and_chance_get_into_events() {
    let look = |seed| given::<Sink>([]).at_ms(7).with_seed(seed).when("look", ());
    look(1).replies(7).after_ms(2).when("look", ()).replies(9);
    assert_eq!(look(1).journal(), look(1).journal());
    assert_ne!(look(1).journal(), look(2).journal());
}

#[test]
fn a_rejection_takes_everything_back() {
    let sink = given::<Sink>([taken("a")])
        .when("regret", json!({ "why": 0 }))
        .rejects(422, "full")
        .query("taken", ())
        .replies(["a"]);
    let sink = sink.when("regret", json!({ "why": 1 })).rejects(404, "nothing-here");
    assert_eq!(sink.rejection().message(), "1 and \"two\" are not here.");
    assert_eq!(sink.rejection().details(), Some(&b"[1,\"two\"]"[..]));
    let sink = sink.when("regret", json!({ "why": 2 })).rejects(422, "counted");
    assert_eq!(sink.rejection().message(), "3 of kind.");
    assert_eq!(sink.rejection().details(), Some(&br#"{"count":3,"type":"kind"}"#[..]));
    let sink = sink.when_bytes("paint", b"12345").rejects(422, "too-big");
    assert_eq!(sink.rejection().message(), "Only 4 fit, {really}.");
    assert_eq!(sink.rejection().details(), None);
    let sink = sink.when("regret", json!({ "why": 0 }));
    assert_eq!(sink.rejection().message(), "It is full.");
    sink.when("by-hand", ()).rejects(418, "by-hand");
}

#[test]
fn a_query_may_say_no_and_know_who_it_is() {
    given::<Sink>([])
        .with_id("me")
        .query("nth", json!({ "index": 4 }))
        .rejects(404, "nothing-here");
}

#[test]
fn names_that_are_not_there_are_told() {
    given::<Sink>([])
        .when("taken", ())
        .rejects(404, "unknown-command")
        .query("take", ())
        .rejects(404, "unknown-query");
}

#[test]
fn a_description_says_what_each_takes_and_gives() {
    let description = describe::<Sink>();
    let commands: Vec<_> = description
        .commands
        .iter()
        .chain(&description.queries)
        .map(|o| (o.name, o.request_type, o.reply_type, o.reply_schema.is_some()))
        .collect();
    let json = "application/json";
    let expected = [
        ("take", json, json, true),
        ("take-parcel", json, json, true),
        ("paint", "image/png", "", false),
        ("look", "", json, true),
        ("regret", json, "", false),
        ("by-hand", "", json, true),
        ("taken", "", json, true),
        ("picture", "", "image/png", false),
        ("nth", json, json, true),
    ];
    assert_eq!(commands, expected);
    assert_eq!(description.summary, "Takes and gives everything.");
    assert_eq!(description.commands[0].summary, "Takes a thing, whatever it is.");
}
