//! What callers saw.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use http::StatusCode;
use stead_tests::{
    client::Answer,
    history::{History, Known},
    timeline::{Operation, Timeline},
};

/// How many surprises are told one by one.
const SURPRISES_MAX: usize = 50;

/// What all callers saw; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<All>>);

/// What there is to see.
#[derive(Debug, Default)]
pub struct All {
    pub history: History,
    pub timeline: Timeline,
    /// Answers that nobody should get.
    pub surprises: Vec<String>,
    /// How many answers of each status each node gave; 0 for none.
    pub answers: BTreeMap<(usize, u16), u64>,
}

impl Seen {
    pub fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().expect("unpoisoned")
    }

    /// Notes what an answer says of its node; the answer, if it is one of the
    /// entity. What faults excuse is "not now", with a time to come again, and "not
    /// known".
    pub fn judge(&self, node: usize, what: &str, answer: Result<Answer, String>) -> Option<Answer> {
        let mut all = self.all();
        let Ok(answer) = answer else {
            *all.answers.entry((node, 0)).or_default() += 1;
            return None;
        };
        *all.answers.entry((node, answer.status.as_u16())).or_default() += 1;
        let said =
            |why: &str| format!("node {node}, {what}: {why}: {} {}", answer.status, answer.text());
        match answer.status {
            StatusCode::OK => return Some(answer),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                if !answer.header("retry-after").parse().is_ok_and(|seconds: u64| seconds >= 1) {
                    all.surprise(said("no Retry-After"));
                }
            }
            StatusCode::GATEWAY_TIMEOUT => {}
            _ => all.surprise(said("no fault excuses this")),
        }
        None
    }

    /// Notes what became of a command.
    pub fn command(
        &self,
        entity: &str,
        serial: &str,
        answer: &Answer,
        called: Instant,
        node: usize,
    ) {
        let answered = Some(Instant::now());
        let mut all = self.all();
        let Ok(sequence) = answer.header("stead-sequence").parse() else {
            return all.surprise(format!("node {node}, {entity} {serial}: no Stead-Sequence"));
        };
        let known = Known::Acknowledged { sequence, reply: answer.body.to_vec() };
        all.history.note(entity, serial, known);
        let (count, last) = totals(answer);
        let recorded = Operation::Recorded { serial: serial.to_owned(), sequence, count, last };
        all.timeline.note(entity, recorded, called, answered, node);
    }

    /// Notes what a query was answered.
    pub fn query(&self, entity: &str, answer: &Answer, called: Instant, node: usize) {
        let answered = Some(Instant::now());
        let (count, last) = totals(answer);
        self.all().timeline.note(entity, Operation::Read { count, last }, called, answered, node);
    }

    /// Notes what the admin API told of an entity.
    pub fn status(&self, entity: &str, answer: &Answer, called: Instant, node: usize) {
        let answered = Some(Instant::now());
        let count = answer.json()["last-sequence"].as_u64().unwrap_or(u64::MAX);
        self.all().timeline.note(entity, Operation::Counted { count }, called, answered, node);
    }
}

impl All {
    pub fn surprise(&mut self, what: String) {
        if self.surprises.len() < SURPRISES_MAX {
            println!("VIOLATION {what}");
            self.surprises.push(what);
        }
    }
}

fn totals(answer: &Answer) -> (u64, String) {
    let said = answer.json();
    let last = said["last"].as_str().unwrap_or("(none)").to_owned();
    (said["count"].as_u64().unwrap_or(u64::MAX), last)
}
