//! An entity that does whatever harm it is told to, wherever it is told to.
//!
//! It is a counter: `add` takes a number, records `added`, and replies with the
//! total, so that a test can see that its answers are right. Besides:
//!
//! - the command `act` does the act named in its body (`acts.rs`) and replies
//!   with what came of it;
//! - an entity whose id is `PLACE!ACT` does the act in that place: `construct`,
//!   `restore`, `apply`, `snapshot`, `handle`, `query` or `release`;
//! - an entity whose id is `liar` gives a snapshot of another total than it has;
//! - what `describe` says is chosen by a mark in the component's bytes, which a
//!   test may overwrite (`describe.rs`).
//!
//! It is written on the bare contract, without the SDK.

mod acts;
mod describe;

use std::cell::RefCell;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "stead:entity/entity-type",
});

use exports::stead::entity::guest::{Entity, Guest, GuestEntity};
use stead::entity::types::{Description, Effect, Event, Lifecycle, Outcome, Rejection, Request};

struct Component;

export!(Component);

impl Guest for Component {
    type Entity = Counter;

    fn describe() -> Description {
        describe::describe()
    }
}

struct Counter {
    id: String,
    total: RefCell<i64>,
}

impl Counter {
    fn new(id: String, total: i64) -> Self {
        Self { id, total: RefCell::new(total) }
    }

    /// Does the act that the id wants done in this place.
    fn act_in(&self, place: &str) {
        act_for(&self.id, place);
    }

    fn fold(&self, event: &Event) -> Result<(), String> {
        match event.name.as_str() {
            "added" => {
                *self.total.borrow_mut() += number(&event.body)?;
                Ok(())
            }
            "noted" => Ok(()),
            other => Err(format!("there is no event {other}")),
        }
    }

    /// Records events, folds them, and answers.
    fn record(&self, events: Vec<Event>, reply: Vec<u8>) -> Outcome {
        for event in &events {
            self.fold(event).expect("it knows its own events");
        }
        Outcome { events, reply, lifecycle: Lifecycle::Continues, effects: Vec::new() }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.act_in("release");
    }
}

impl GuestEntity for Counter {
    fn new(id: String) -> Self {
        act_for(&id, "construct");
        Counter::new(id, 0)
    }

    fn restore(id: String, snapshot: Vec<u8>) -> Result<Entity, String> {
        act_for(&id, "restore");
        let total = number(&snapshot)?;
        Ok(Entity::new(Counter::new(id, total)))
    }

    fn handle(&self, command: Request) -> Result<Outcome, Rejection> {
        self.act_in("handle");
        let events = |count: usize, name: &str, body: &[u8]| {
            vec![Event { name: name.into(), body: body.to_vec() }; count]
        };
        match command.name.as_str() {
            "add" => {
                number(&command.body).map_err(|reason| reject(400, &reason))?;
                let outcome = self.record(events(1, "added", &command.body), Vec::new());
                let reply = self.total.borrow().to_string().into_bytes();
                Ok(Outcome { reply, ..outcome })
            }
            "act" => {
                let act = String::from_utf8_lossy(&command.body);
                match act.split_once('=') {
                    Some(("events", count)) => {
                        let count = count.parse().expect("a count");
                        Ok(self.record(events(count, "noted", b"x"), Vec::new()))
                    }
                    Some(("event-bytes", size)) => {
                        let body = vec![b'x'; size.parse().expect("a size")];
                        Ok(self.record(events(1, "noted", &body), Vec::new()))
                    }
                    Some(("event-named", name)) => Ok(Outcome {
                        events: events(1, name, b""),
                        reply: Vec::new(),
                        lifecycle: Lifecycle::Continues,
                        effects: Vec::new(),
                    }),
                    Some(("effect", kind)) => Ok(Outcome {
                        effects: vec![Effect { kind: kind.into(), body: Vec::new() }],
                        ..self.record(Vec::new(), Vec::new())
                    }),
                    Some(("reject", status)) => {
                        Err(reject(status.parse().expect("a status"), "as you wish"))
                    }
                    Some(("end", how)) => Ok(Outcome {
                        lifecycle: match how {
                            "purge" => Lifecycle::EndsPurgingEvents,
                            _ => Lifecycle::EndsKeepingEvents,
                        },
                        ..self.record(Vec::new(), Vec::new())
                    }),
                    _ => Ok(self.record(Vec::new(), acts::act(&act))),
                }
            }
            other => Err(reject(404, other)),
        }
    }

    fn apply(&self, events: Vec<Event>) -> Result<(), String> {
        self.act_in("apply");
        events.iter().try_for_each(|event| self.fold(event))
    }

    fn snapshot(&self) -> Vec<u8> {
        self.act_in("snapshot");
        let lie = i64::from(self.id == "liar");
        (*self.total.borrow() + lie).to_string().into_bytes()
    }

    fn query(&self, query: Request) -> Result<Vec<u8>, Rejection> {
        self.act_in("query");
        match query.name.as_str() {
            "total" => Ok(self.total.borrow().to_string().into_bytes()),
            "ask" => Ok(acts::act(&String::from_utf8_lossy(&query.body))),
            other => Err(reject(404, other)),
        }
    }
}

fn act_for(id: &str, place: &str) {
    if let Some((wanted, act)) = id.split_once('!')
        && wanted == place
    {
        acts::act(act);
    }
}

fn number(body: &[u8]) -> Result<i64, String> {
    std::str::from_utf8(body)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{:?} is no number", String::from_utf8_lossy(body)))
}

fn reject(status: u16, message: &str) -> Rejection {
    Rejection { status, code: "no".into(), message: message.into(), details: None }
}
