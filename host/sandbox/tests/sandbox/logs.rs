//! What guests say goes to the node's log, line by line, with type and id.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::house::{House, event, evil, limits};
use stead_model::GuestLimits;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines that guests say while this runs, as JSON.
fn said(act: impl FnOnce()) -> Vec<String> {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(kept.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, act);
    let bytes = kept.0.lock().expect("nobody panicked").clone();
    String::from_utf8(bytes)
        .expect("a text")
        .lines()
        .filter(|line| line.contains("\"target\":\"stead::guest\""))
        .map(str::to_owned)
        .collect()
}

fn count(lines: &[String], words: &str) -> usize {
    lines.iter().filter(|line| line.contains(words)).count()
}

#[test]
fn lines_carry_type_id_and_stream() {
    let mut house = House::usual("talker");
    let lines = said(|| {
        house.reply("print=2");
        house.reply("log=1");
    });
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert_eq!(count(&lines, "\"entity_type\":\"evil\",\"id\":\"talker\""), 5);
    assert_eq!(count(&lines, "\"stream\":\"stdout\""), 2);
    assert_eq!(count(&lines, "\"stream\":\"stderr\""), 2);
    assert_eq!(count(&lines, "\"stream\":\"log\""), 1);
    assert_eq!(count(&lines, "complaint 1"), 1);
}

#[test]
fn floods_are_counted_and_dropped() {
    let component = evil(GuestLimits { call_ms_max: 10_000, ..limits() });
    for act in ["log=100000", "print=10000"] {
        let mut house = House::of(&component, "flood");
        let lines = said(|| {
            house.reply(act);
        });
        assert_eq!(lines.len(), 101, "{act}");
        assert_eq!(count(&lines, "said more in one call than is logged"), 1);
        // The next call has its own share.
        assert_eq!(said(|| drop(house.reply("log=1"))).len(), 1);
    }
}

#[test]
fn long_lines_are_cut() {
    let mut house = House::usual("a");
    let lines = said(|| drop(house.reply("log-line=100000")));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 9 << 10);
    assert!(lines[0].contains("yyy…"));
}

#[test]
fn control_characters_do_not_reach_the_log() {
    let mut house = House::usual("a");
    let lines = said(|| drop(house.reply("print-forged")));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(r"first\\u{1b}[31m red"), "{}", lines[0]);
}

#[test]
fn folding_says_nothing_twice() {
    let lines = said(|| {
        let mut house = House::usual("apply!log=3");
        let events = [event("added", "1")];
        house.instance.apply(&house.entity, &house.id, &events).expect("no fault").expect("it can");
        let mut house = House::usual("apply!print=3");
        house.instance.apply(&house.entity, &house.id, &events).expect("no fault").expect("it can");
    });
    assert_eq!(lines, Vec::<String>::new());
}
