//! What it says of itself: the truth, unless a test overwrote the mark.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::stead::entity::types::{Description, EventKind, Operation};

/// A test finds this in the component's bytes and writes another mode over the
/// part after the sign, filled up with dots.
static MARK: &[u8; 24] = b"evil-mode:good..........";

pub fn describe() -> Description {
    match mode().as_str() {
        "good" => good(),
        "changes" => changes(),
        "bad-name" => with_command("Not A Name", "adds"),
        "twice" => with_command("add", "adds again"),
        "both" => Description { queries: vec![operation("add", "asks")], ..good() },
        "long" => with_command("long", &"long ".repeat(100_000)),
        "many" => Description { commands: many(), ..good() },
        "huge" => with_command("huge", &"x".repeat(20 << 20)),
        "effect" => Description { effects: vec!["message".into()], ..good() },
        act => {
            crate::acts::act(act);
            good()
        }
    }
}

fn mode() -> String {
    let read = |at: &u8| {
        // SAFETY: it is a reference. Read this way, the bytes are not built in.
        unsafe { std::ptr::read_volatile(at) }
    };
    let mark: Vec<u8> = MARK.iter().map(read).collect();
    let mode = mark.iter().skip("evil-mode:".len()).copied();
    mode.take_while(|&byte| byte != b'.').map(char::from).collect()
}

fn good() -> Description {
    Description {
        summary: "A counter that can be told to do harm.".into(),
        sdk: "none".into(),
        commands: vec![operation("add", "Adds a number."), operation("act", "Does the named act.")],
        queries: vec![
            operation("total", "The total."),
            operation("ask", "Does the named act as a query."),
        ],
        events: vec![event("added"), event("noted")],
        effects: Vec::new(),
        state_schema: None,
    }
}

fn changes() -> Description {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    Description { summary: format!("call {calls}"), ..good() }
}

fn with_command(name: &str, summary: &str) -> Description {
    let mut description = good();
    description.commands.push(operation(name, summary));
    description
}

fn many() -> Vec<Operation> {
    (0..5_000).map(|number| operation(&format!("c{number}"), "one of many")).collect()
}

fn operation(name: &str, summary: &str) -> Operation {
    Operation {
        name: name.into(),
        summary: summary.into(),
        request_type: "text/plain".into(),
        request_schema: None,
        reply_type: "text/plain".into(),
        reply_schema: None,
    }
}

fn event(name: &str) -> EventKind {
    EventKind {
        name: name.into(),
        summary: "It happened.".into(),
        content_type: "text/plain".into(),
        schema: None,
    }
}
