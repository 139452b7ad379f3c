//! `stead events --follow`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Duration,
};

use axum::body::Body;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::fake::{Fake, Prepared};

fn line(sequence: u64) -> String {
    let event = json!({"sequence": sequence, "name": "e", "at": 0, "version": 1, "body": sequence});
    format!("{event}\n")
}

/// A stream of these pieces, which stays open afterwards if it is told to.
fn stream(pieces: &[String], stays_open: bool) -> Prepared {
    let pieces: Vec<Result<String, std::io::Error>> = pieces.iter().cloned().map(Ok).collect();
    let begun = futures::stream::iter(pieces);
    let body = if stays_open {
        Body::from_stream(begun.chain(futures::stream::pending()))
    } else {
        Body::from_stream(begun)
    };
    Prepared::body(200, body).with("content-type", "application/x-ndjson")
}

#[test]
fn events_are_shown_as_they_come_and_the_thread_is_taken_up_where_it_broke() {
    let sixth = line(6);
    let (first, second) = sixth.split_at(9);
    let broken = stream(&[line(5), "\n".into(), first.to_owned(), second.to_owned()], false);
    let fake = Fake::new([broken, stream(&[line(7)], true)]);
    let mut command = fake.command(&["events", "cart/1", "--follow", "--from", "5", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let seen: Vec<u64> = lines
        .take(3)
        .map(|line| {
            let event: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            event["sequence"].as_u64().expect("a number")
        })
        .collect();
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert_eq!(seen, [5, 6, 7]);
    let path = "GET /entities/cart/1/events?follow=true&from=";
    assert_eq!(fake.lines(), [format!("{path}5"), format!("{path}7")]);
}

#[test]
fn a_problem_in_the_stream_ends_it() {
    let problem = json!({"problem": {"type": "urn:stead:problem:unknown-type", "status": 404, "detail": "Gone."}});
    let fake = Fake::new([stream(&[line(1), format!("{problem}\n")], true)]);
    let ran = fake.run(&["events", "cart/1", "--follow"]);
    assert_eq!(ran.exit, 5);
    assert!(ran.out.contains("  e  1"), "{}", ran.out);
    assert!(ran.error.contains("Gone."), "{}", ran.error);
}

#[test]
fn a_stream_that_never_began_is_not_looked_for_again() {
    let fake = Fake::new([Prepared::problem(503, "unavailable", &[])]);
    let ran = fake.run(&["events", "cart/1", "--follow"]);
    assert_eq!((ran.exit, fake.asked().len()), (6, 1));
}

#[test]
fn a_reader_that_leaves_ends_it_in_peace() {
    let many: Vec<String> = (1..5_000).map(line).collect();
    let fake = Fake::new([stream(&many, true)]);
    let mut command = fake.command(&["events", "cart/1", "--follow"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let mut waited = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        assert!(waited < Duration::from_secs(20), "it goes on for nobody");
        std::thread::sleep(Duration::from_millis(20));
        waited += Duration::from_millis(20);
    };
    assert!(status.success(), "{status}");
}
