//! A counter of which a test makes as many versions as it wants: it overwrites
//! a mark in the component's bytes.
//!
//! - Snapshots begin with the version's name, and only snapshots of the same
//!   name can be restored.
//! - A version whose name begins with `strict` doesn't know the event `flagged`,
//!   and fails when it has to fold it.
//! - A version whose name begins with `double` counts every number twice, when
//!   it folds; it is what a change of rules looks like.
//!
//! It is written on the bare contract, without the SDK.

use std::cell::RefCell;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "stead:entity/entity-type",
});

use exports::stead::entity::guest::{Entity, Guest, GuestEntity};
use stead::entity::types::{
    Description, Event, EventKind, Lifecycle, Operation, Outcome, Rejection, Request,
};

/// A test finds this in the component's bytes and writes another name over the
/// part after the sign, filled up with dots.
static MARK: &[u8; 26] = b"turncoat-name:first.......";

struct Component;

export!(Component);

impl Guest for Component {
    type Entity = Counter;

    fn describe() -> Description {
        Description {
            summary: format!("A counter, version {}.", name()),
            sdk: "none".into(),
            commands: vec![operation("add"), operation("flag")],
            queries: vec![operation("total"), operation("code")],
            events: vec![event("added"), event("flagged")],
            effects: Vec::new(),
            state_schema: None,
        }
    }
}

struct Counter {
    total: RefCell<i64>,
}

impl GuestEntity for Counter {
    fn new(_id: String) -> Self {
        Self { total: RefCell::new(0) }
    }

    fn restore(_id: String, snapshot: Vec<u8>) -> Result<Entity, String> {
        let text = String::from_utf8_lossy(&snapshot);
        match text.split_once(':') {
            Some((made_by, total)) if made_by == name() => {
                Ok(Entity::new(Self { total: RefCell::new(number(total.as_bytes())?) }))
            }
            _ => Err(format!("{} can't read the snapshot {text:?}", name())),
        }
    }

    fn handle(&self, command: Request) -> Result<Outcome, Rejection> {
        let event = match command.name.as_str() {
            "add" => Event { name: "added".into(), body: command.body },
            _ => Event { name: "flagged".into(), body: Vec::new() },
        };
        self.fold(&event).map_err(|reason| Rejection {
            status: 400,
            code: "no".into(),
            message: reason,
            details: None,
        })?;
        let reply = self.total.borrow().to_string().into_bytes();
        Ok(Outcome {
            events: vec![event],
            reply,
            lifecycle: Lifecycle::Continues,
            effects: Vec::new(),
        })
    }

    fn apply(&self, events: Vec<Event>) -> Result<(), String> {
        events.iter().try_for_each(|event| self.fold(event))
    }

    fn snapshot(&self) -> Vec<u8> {
        format!("{}:{}", name(), self.total.borrow()).into_bytes()
    }

    fn query(&self, query: Request) -> Result<Vec<u8>, Rejection> {
        Ok(match query.name.as_str() {
            "total" => self.total.borrow().to_string().into_bytes(),
            _ => name().into_bytes(),
        })
    }
}

impl Counter {
    fn fold(&self, event: &Event) -> Result<(), String> {
        match event.name.as_str() {
            "added" => {
                let times = if name().starts_with("double") { 2 } else { 1 };
                *self.total.borrow_mut() += times * number(&event.body)?;
                Ok(())
            }
            "flagged" if !name().starts_with("strict") => Ok(()),
            other => Err(format!("{} doesn't know the event {other}", name())),
        }
    }
}

fn name() -> String {
    let read = |at: &u8| {
        // SAFETY: it is a reference. Read this way, the bytes are not built in.
        unsafe { std::ptr::read_volatile(at) }
    };
    let mark: Vec<u8> = MARK.iter().map(read).collect();
    let name = mark.iter().skip("turncoat-name:".len()).copied();
    name.take_while(|&byte| byte != b'.').map(char::from).collect()
}

fn operation(name: &str) -> Operation {
    Operation {
        name: name.into(),
        summary: String::new(),
        request_type: "text/plain".into(),
        request_schema: None,
        reply_type: "text/plain".into(),
        reply_schema: None,
    }
}

fn event(name: &str) -> EventKind {
    EventKind {
        name: name.into(),
        summary: String::new(),
        content_type: "text/plain".into(),
        schema: None,
    }
}

fn number(body: &[u8]) -> Result<i64, String> {
    std::str::from_utf8(body)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{:?} is no number", String::from_utf8_lossy(body)))
}
