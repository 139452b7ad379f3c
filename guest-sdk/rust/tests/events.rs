//! Events in the journal: what they are called, what their bodies are, and how
//! later versions read what earlier ones wrote.

use std::collections::BTreeMap;

use stead_sdk::{Bytes, Event};

#[derive(Debug, PartialEq, Event)]
#[serde(rename_all_fields = "camelCase")]
#[allow(dead_code, reason = "some are only there to be read")]
enum Order {
    /// A unit has no body.
    Opened,
    /// An empty body is an empty object.
    Touched {},
    LineAdded {
        unit_price: u64,
        #[serde(default)]
        note: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
    },
    /// Before the raw one, so that places in the enum shift.
    #[event(content_type = "image/png")]
    PictureAttached(Bytes),
    #[event(name = "shipped-out", alias = "sent", alias = "posted")]
    Shipped {
        to: String,
    },
    /// One value is the whole body.
    Rated(BTreeMap<String, u8>),
    Measured {
        value: f64,
    },
}

#[track_caller]
fn check(event: Order, name: &str, body: &str) {
    assert_eq!(event.name(), name);
    let written = event.encode().expect("a body");
    assert_eq!(String::from_utf8_lossy(&written), body);
    assert_eq!(Order::decode(name, &written), Ok(event));
}

#[test]
fn an_event_is_its_name_and_its_fields() {
    check(Order::Opened, "opened", "");
    check(Order::Touched {}, "touched", "{}");
    check(
        Order::LineAdded { unit_price: 350, note: None, tags: vec![] },
        "line-added",
        r#"{"unitPrice":350,"note":null}"#,
    );
    check(Order::Shipped { to: "Ghent".into() }, "shipped-out", r#"{"to":"Ghent"}"#);
    check(Order::Rated([("taste".into(), 5)].into()), "rated", r#"{"taste":5}"#);
}

#[test]
fn raw_bytes_are_kept_as_they_are() {
    let event = Order::PictureAttached(Bytes::from([0, 159, 146, 150]));
    assert_eq!(event.name(), "picture-attached");
    let written = event.encode().expect("a body");
    assert_eq!(written, [0, 159, 146, 150]);
    assert_eq!(Order::decode("picture-attached", &written), Ok(event));
}

#[test]
fn numbers_come_back_bit_for_bit() {
    // Each of these was one bit off with a parser that rounds twice.
    for value in [0.1 + 0.2, 1e23, 31.245270191439438, 5e-324, -0.0, f64::MAX] {
        let body = Order::Measured { value }.encode().expect("a body");
        let Ok(Order::Measured { value: read }) = Order::decode("measured", &body) else {
            panic!("not read back: {}", String::from_utf8_lossy(&body));
        };
        assert_eq!(read.to_bits(), value.to_bits());
    }
}

#[track_caller]
fn reads(name: &str, body: &str, event: Order) {
    assert_eq!(Order::decode(name, body.as_bytes()), Ok(event));
}

#[test]
fn what_earlier_versions_wrote_is_read() {
    // A kind that was renamed, twice.
    reads("sent", r#"{"to":"Ghent"}"#, Order::Shipped { to: "Ghent".into() });
    reads("posted", r#"{"to":"Ghent"}"#, Order::Shipped { to: "Ghent".into() });
    // A kind that has lost its fields.
    reads("opened", r#"{"by":"me"}"#, Order::Opened);
    // A field that was added, and one that was taken away.
    let line = Order::LineAdded { unit_price: 1, note: None, tags: vec![] };
    reads("line-added", r#"{"unitPrice":1,"colour":"red"}"#, line);
    // A kind that had no fields and so no body.
    reads("touched", "", Order::Touched {});
}

#[test]
fn what_can_not_be_read_says_why() {
    let fails = |name: &str, body: &str| Order::decode(name, body.as_bytes()).unwrap_err();
    assert_eq!(fails("lost", ""), "this version of the component knows no such event");
    assert_eq!(fails("Opened", ""), "this version of the component knows no such event");
    assert_eq!(fails("line-added", ""), "missing field `unitPrice` at line 1 column 2");
    assert!(fails("line-added", r#"{"unitPrice":1} {}"#).starts_with("trailing characters"));
    assert!(fails("rated", "[]").starts_with("invalid type: sequence"));
}

#[test]
fn older_names_are_described_too() {
    let kinds = Order::kinds();
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    let expected = [
        "opened",
        "touched",
        "line-added",
        "picture-attached",
        "shipped-out",
        "sent",
        "posted",
        "rated",
        "measured",
    ];
    assert_eq!(names, expected);
    let kind = |name: &str| kinds.iter().find(|kind| kind.name == name).expect("a kind");
    assert_eq!(kind("posted").schema, kind("shipped-out").schema);
    assert_eq!(kind("posted").summary, "An older name of shipped-out.");
    assert_eq!(kind("picture-attached").content_type, "image/png");
    assert_eq!(kind("picture-attached").schema, None);
    assert_eq!(kind("opened").summary, "A unit has no body.");
    let schema = kind("line-added").schema.clone().expect("a schema");
    assert!(schema.contains("unitPrice"), "{schema}");
}

/// An entity that may never record anything is odd, but no reason to fail.
#[derive(Event)]
enum Never {}

#[test]
fn there_may_be_no_events() {
    assert!(Never::kinds().is_empty());
    assert!(Never::decode("x", b"").is_err());
}
