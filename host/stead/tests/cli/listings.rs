//! `stead ls`, `entities`, `events`, `snapshot`, `inspect`, `status`,
//! `rollback` and `undeploy`.

use serde_json::{Value, json};

use crate::fake::{Fake, Prepared};

/// A type as the admin API shows it.
pub fn deployed(component: &str) -> Value {
    json!({
        "manifest": {"type": "cart", "isolation": "shared",
            "snapshot": {"every-events": 1000, "every-bytes": 1_048_576},
            "retention": {"events-behind-snapshot": null}},
        "version": 3,
        "component": component,
        "component-bytes": 52_000,
        "deployed-at": 1_772_323_200_000_u64,
        "description": {
            "summary": "A cart.", "sdk": "rust stead-sdk/0.1.0",
            "commands": [{"name": "add-item", "summary": "Adds.", "request-type": "application/json",
                "request-schema": {"type": "object", "properties": {"sku": {"type": "string"}}},
                "reply-type": "application/json", "reply-schema": null}],
            "queries": [], "events": [], "effects": [], "state-schema": null,
        },
    })
}

#[test]
fn types_are_listed_for_people_and_as_they_come_for_programs() {
    let body = json!({"types": [deployed(&"ab".repeat(32))]});
    let fake = Fake::new([Prepared::json(200, &body), Prepared::json(200, &body)]);
    let ran = fake.run(&["ls"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("TYPE"), "{}", ran.out);
    for part in ["cart", " 3 ", "abababababab", "50.8 KiB", "2026-03-01T00:00:00.000Z", "A cart."] {
        assert!(lines[1].contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains('\x1b'), "no colour where no person looks");
    assert_eq!(fake.run(&["ls", "--json"]).json(), body);
    assert_eq!(fake.lines(), ["GET /types", "GET /types"]);
}

#[test]
fn no_types_is_a_word_on_the_side() {
    let fake = Fake::new([Prepared::json(200, &json!({"types": []}))]);
    let ran = fake.run(&["ls"]);
    assert_eq!((ran.exit, ran.out.as_str()), (0, ""));
    assert!(ran.error.contains("stead deploy"), "{}", ran.error);
}

#[test]
fn an_unknown_type_is_exit_5_and_the_known_are_named() {
    let fake = Fake::new([Prepared::problem(
        404,
        "unknown-type",
        &[("known", json!(["cart", "account"]))],
    )]);
    let ran = fake.run(&["ls", "basket"]);
    assert_eq!(ran.exit, 5);
    assert!(ran.error.contains("known: cart, account"), "{}", ran.error);
}

#[test]
fn entities_are_listed_page_by_page() {
    let pages = || {
        [
            Prepared::json(200, &json!({"entities": ["a", "b/c"], "next": "b/c"})),
            Prepared::json(200, &json!({"entities": ["d\u{1b}"], "next": null})),
        ]
    };
    let fake = Fake::new(pages().into_iter().chain(pages()));
    let ran = fake.run(&["entities", "cart", "--all"]);
    assert_eq!(ran.out, "a\nb/c\nd\\u{1b}\n", "{}", ran.error);
    let expected = json!({"entities": ["a", "b/c", "d\u{1b}"], "next": null});
    assert_eq!(fake.run(&["entities", "cart", "--all", "--json"]).json(), expected);
    let pages =
        ["GET /types/cart/entities?limit=1000", "GET /types/cart/entities?limit=1000&after=b%2Fc"];
    assert_eq!(fake.lines(), [pages, pages].concat());
}

#[test]
fn a_listing_says_that_there_is_more() {
    let fake = Fake::new([Prepared::json(200, &json!({"entities": ["a"], "next": "a"}))]);
    let ran = fake.run(&["entities", "cart", "--limit", "1"]);
    assert_eq!(ran.out, "a\n");
    assert!(ran.error.contains("--after"), "{}", ran.error);
    assert_eq!(fake.lines(), ["GET /types/cart/entities?limit=1"]);
}

fn event(sequence: u64) -> Value {
    json!({"sequence": sequence, "name": "item-added", "at": 0, "version": 1, "body": {"n": sequence}})
}

fn page(sequences: &[u64], last: u64) -> Value {
    let events: Vec<Value> = sequences.iter().map(|sequence| event(*sequence)).collect();
    json!({"address": "cart/1", "last-sequence": last, "first-stored": 1, "life-begins-after": 0, "events": events})
}

#[test]
fn events_of_many_pages_are_one_document() {
    let fake =
        Fake::new([Prepared::json(200, &page(&[2, 3], 4)), Prepared::json(200, &page(&[4], 4))]);
    let ran = fake.run(&["events", "cart/1", "--from", "2", "--json"]);
    assert_eq!(ran.json(), page(&[2, 3, 4], 4));
    assert_eq!(
        fake.lines(),
        [
            "GET /entities/cart/1/events?limit=1000&from=2",
            "GET /entities/cart/1/events?limit=998&from=4"
        ]
    );
}

#[test]
fn events_are_a_table_for_people() {
    let fake = Fake::new([Prepared::json(200, &page(&[1, 2], 2))]);
    let ran = fake.run(&["events", "cart/1", "--to", "2", "--limit", "10"]);
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
    assert!(ran.out.contains("item-added") && ran.out.contains("{\"n\":2}"), "{}", ran.out);
    assert_eq!(fake.lines(), ["GET /entities/cart/1/events?limit=10&to=2"]);
}

#[test]
fn a_snapshot_is_shown_or_taken() {
    let body = json!({"sequence": 5, "version": 1, "at": 0, "state": {"a": 1}});
    let fake = Fake::new([
        Prepared::json(200, &body),
        Prepared::json(200, &body),
        Prepared::problem(404, "no-snapshot", &[]),
    ]);
    let ran = fake.run(&["snapshot", "cart/1"]);
    assert_eq!(ran.out, "{\n  \"a\": 1\n}\n");
    assert_eq!(fake.run(&["snapshot", "cart/1", "--take", "--json"]).json(), body);
    let none = fake.run(&["snapshot", "cart/2"]);
    assert_eq!(none.exit, 5);
    assert!(none.error.contains("stead snapshot cart/2 --take"), "{}", none.error);
    let lines = [
        "GET /entities/cart/1/snapshot",
        "POST /entities/cart/1/snapshot",
        "GET /entities/cart/2/snapshot",
    ];
    assert_eq!(fake.lines(), lines);
}

#[test]
fn an_entity_is_inspected() {
    let body = json!({"address": "cart/1", "partition": 9, "live": true, "last-sequence": 12_345,
        "snapshot-sequence": null, "waiting": 0, "last-replay-events": 3, "quarantined": true,
        "unreadable": "event 3 is unknown"});
    let fake = Fake::new([Prepared::json(200, &body)]);
    let ran = fake.run(&["inspect", "cart/1"]);
    for part in ["cart/1", "12,345", "after a fault", "event 3 is unknown"] {
        assert!(ran.out.contains(part), "{part}: {}{}", ran.out, ran.error);
    }
}

#[test]
fn the_node_s_problems_are_warned_of() {
    let mut body = json!({"node": "ab", "version": "0.1.0", "ready": false, "problems": ["the disk is full"],
        "started-at": 0});
    for count in [
        "recovery-ms",
        "recovery-entries",
        "partitions",
        "types",
        "live-entities",
        "waiting",
        "guest-memory-bytes",
        "journal-bytes",
        "commands",
        "queries",
        "events",
        "rejections",
        "faults",
        "activations",
        "replayed-events",
        "snapshots",
        "log-commits",
    ] {
        body[count] = json!(1);
    }
    let fake = Fake::new([Prepared::json(200, &body)]);
    let ran = fake.run(&["status"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    assert!(ran.error.contains("warning: the disk is full"), "{}", ran.error);
    assert!(ran.out.contains("log commits"), "{}", ran.out);
}

#[test]
fn a_rollback_goes_to_the_version_before() {
    let version = |number: u32, current: bool| json!({"version": number, "component": "00".repeat(32), "deployed-at": 0, "current": current});
    let fake = Fake::new([
        Prepared::json(
            200,
            &json!({"versions": [version(1, false), version(2, false), version(3, true)]}),
        ),
        Prepared::json(200, &deployed(&"00".repeat(32))),
    ]);
    let ran = fake.run(&["rollback", "cart"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    assert_eq!(fake.lines(), ["GET /types/cart/versions", "POST /types/cart/rollback"]);
    assert_eq!(fake.asked()[1].json(), json!({"version": 2}));
}

#[test]
fn a_type_is_undeployed() {
    let fake = Fake::new([Prepared::body(204, "".into())]);
    assert_eq!(fake.run(&["undeploy", "cart", "--json"]).json(), json!({"undeployed": "cart"}));
    assert_eq!(fake.lines(), ["DELETE /types/cart"]);
}
