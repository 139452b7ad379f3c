//! `stead call` and `stead query`.

use std::{io::Write as _, process::Stdio};

use serde_json::json;

use crate::fake::{Fake, Prepared, Ran};

fn reply() -> Prepared {
    Prepared::json(200, &json!({"total": 3}))
        .with("stead-sequence", "7")
        .with("stead-request-id", "k1")
        .with("stead-replayed", "true")
}

#[test]
fn a_command_is_sent_with_its_key_its_deadline_and_its_argument() {
    let fake = Fake::new([reply()]);
    let ran = fake.run(&[
        "call",
        "cart/a b/é",
        "add-item",
        "{\"sku\": \"tea\"}",
        "--key",
        "k1",
        "--deadline-ms",
        "500",
        "--json",
    ]);
    let expected =
        json!({"reply": {"total": 3}, "sequence": 7, "request-id": "k1", "replayed": true});
    assert_eq!(ran.json(), expected);
    let asked = &fake.asked()[0];
    assert_eq!(asked.line, "POST /entities/cart/a%20b%2F%C3%A9/add-item");
    assert_eq!(asked.header("idempotency-key"), Some("k1"));
    assert_eq!(asked.header("stead-deadline-ms"), Some("500"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.json(), json!({"sku": "tea"}));
}

#[test]
fn without_a_key_none_is_sent_and_without_an_argument_no_body() {
    let fake = Fake::new([Prepared::body(204, "".into())]);
    let ran = fake.run(&["call", "cart/1", "check-out"]);
    assert_eq!((ran.exit, ran.out.as_str()), (0, ""), "{}", ran.error);
    let asked = &fake.asked()[0];
    assert_eq!((asked.header("idempotency-key"), asked.header("content-type")), (None, None));
    assert!(asked.body.is_empty());
}

#[test]
fn people_see_the_reply_alone_on_standard_output() {
    let fake = Fake::new([reply()]);
    let ran = fake.run(&["call", "cart/1", "add-item", "{}"]);
    assert_eq!(ran.out, "{\n  \"total\": 3\n}\n");
}

#[test]
fn a_rejection_is_exit_3_and_shows_what_the_entity_said() {
    let answer = || {
        Prepared::problem(
            409,
            "rejected",
            &[("code", json!("out-of-stock")), ("detail", json!("None is left."))],
        )
    };
    let fake = Fake::new([answer(), answer()]);
    let ran = fake.run(&["call", "cart/1", "add-item", "{}", "--retry", "5"]);
    assert_eq!(ran.exit, 3);
    assert_eq!(ran.error, "error: cart/1 add-item: rejected (out-of-stock): None is left.\n");
    assert_eq!(fake.asked().len(), 1, "a rejection is no reason to try again");
    let ran = fake.run(&["call", "cart/1", "add-item", "{}", "--json"]);
    assert_eq!(ran.exit, 3);
    let error = &ran.error_json()["error"];
    assert_eq!((&error["kind"], &error["exit"]), (&json!("rejected"), &json!(3)));
    assert_eq!(error["problem"]["code"], json!("out-of-stock"));
}

#[test]
fn retries_carry_one_key_made_before_the_first() {
    let busy = || Prepared::problem(503, "unavailable", &[]);
    let unknown = Prepared::problem(504, "outcome-unknown", &[("request-id", json!("x"))]);
    let fake = Fake::new([busy(), unknown, busy(), reply()]);
    let ran = fake.run(&["call", "cart/1", "add-item", "{}", "--retry", "3"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    let keys: Vec<_> = fake
        .asked()
        .iter()
        .map(|asked| asked.header("idempotency-key").map(str::to_owned))
        .collect();
    assert_eq!(keys.len(), 4);
    let key = keys[0].clone().expect("a key");
    assert!(key.starts_with("stead-") && key.len() == 38, "{key}");
    assert!(keys.iter().all(|other| other.as_ref() == Some(&key)), "{keys:?}");
}

#[test]
fn retries_come_to_an_end() {
    let busy = || Prepared::problem(429, "mailbox-full", &[]);
    let fake = Fake::new([busy(), busy(), busy()]);
    let ran = fake.run(&["call", "cart/1", "add-item", "--retry", "1"]);
    assert_eq!((ran.exit, fake.asked().len()), (6, 2), "{}", ran.error);
}

#[test]
fn an_unknown_outcome_is_exit_7_and_says_how_to_learn_it() {
    let fake = Fake::new([Prepared::problem(
        504,
        "outcome-unknown",
        &[("request-id", json!("stead-12"))],
    )]);
    let ran = fake.run(&["call", "cart/1", "add-item"]);
    assert_eq!(ran.exit, 7);
    assert!(ran.error.contains("--key stead-12"), "{}", ran.error);
}

#[test]
fn failing_code_is_exit_8_and_names_the_incident() {
    let fake = Fake::new([Prepared::problem(500, "entity-failed", &[("incident", json!("i-9"))])]);
    let ran = fake.run(&["call", "cart/1", "add-item"]);
    assert_eq!(ran.exit, 8);
    assert!(ran.error.contains("incident i-9"), "{}", ran.error);
}

#[test]
fn arguments_come_from_standard_input_too() {
    let fake = Fake::new([reply()]);
    let mut command = fake.command(&["call", "cart/1", "add-item", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(b"[1, 2]").expect("written");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(fake.asked()[0].json(), json!([1, 2]));
}

#[test]
fn what_is_no_json_is_not_sent() {
    let fake = Fake::new([]);
    let ran = fake.run(&["call", "cart/1", "add-item", "{sku: 1}"]);
    assert_eq!((ran.exit, fake.asked().len()), (2, 0), "{}", ran.error);
}

#[test]
fn a_query_is_a_get_with_its_argument() {
    let fake = Fake::new([Prepared::json(200, &json!([1]))]);
    let ran = fake.run(&["query", "cart/1", "contents", "{\"page\": 2}", "--json"]);
    assert_eq!(ran.json(), json!({"reply": [1]}));
    let asked = &fake.asked()[0];
    assert_eq!(asked.line, "GET /entities/cart/1/contents");
    assert_eq!(asked.json(), json!({"page": 2}));
}

#[test]
fn bytes_that_are_no_json_come_as_they_are_or_in_base64() {
    let answer = || Prepared::body(200, vec![0_u8, 255].into()).with("content-type", "image/x");
    let fake = Fake::new([answer(), answer()]);
    let output = fake.command(&["query", "cart/1", "picture"]).output().expect("it runs");
    assert_eq!(output.stdout, [0, 255]);
    assert_eq!(
        fake.run(&["query", "cart/1", "picture", "--json"]).json(),
        json!({"reply-base64": "AP8="})
    );
}

#[test]
fn nobody_there_is_exit_4() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let output = crate::fake::stead(&["call", "cart/1", "add-item", "--ingress", &url]).output();
    let ran = Ran::of(output.expect("it runs"));
    assert_eq!(ran.exit, 4);
    assert!(ran.error.contains(&url) && ran.error.contains("stead node"), "{}", ran.error);
}

#[test]
fn an_answer_that_does_not_come_is_waited_for_no_longer_than_asked() {
    let never = axum::body::Body::from_stream(futures_pending());
    let fake = Fake::new([Prepared::body(200, never)]);
    let ran = fake.run(&["call", "cart/1", "add-item", "--timeout", "200ms"]);
    assert_eq!(ran.exit, 7, "a command may have been recorded");
    assert!(ran.error.contains("within 200ms"), "{}", ran.error);
}

/// A stream that never gives anything.
fn futures_pending() -> impl futures::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures::stream::pending()
}
