//! Tests of entities, native and fast: given these events, when this command,
//! then these events and this reply.
//!
//! ```
//! use stead_sdk::{prelude::*, test::given};
//! # /// A cart.
//! # #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! # struct Cart { items: std::collections::BTreeMap<String, u32> }
//! # #[derive(Event)]
//! # enum CartEvent { ItemAdded { sku: String, quantity: u32 } }
//! # #[derive(Rejection)]
//! # enum CartError { #[reject(message = "At least one of {sku}.")] QuantityOutOfRange { sku: String } }
//! # #[entity]
//! # impl Cart {
//! #     #[command]
//! #     fn add_item(&self, ctx: &mut Context<Self>, sku: String, quantity: u32) -> Result<After<Self, u32>, CartError> {
//! #         if quantity == 0 { return Err(CartError::QuantityOutOfRange { sku }); }
//! #         ctx.record(CartEvent::ItemAdded { sku, quantity });
//! #         Ok(ctx.after(Self::total))
//! #     }
//! #     #[query]
//! #     fn total(&self) -> u32 { self.items.values().sum() }
//! #     fn apply(&mut self, event: CartEvent) {
//! #         match event { CartEvent::ItemAdded { sku, quantity } => *self.items.entry(sku).or_default() += quantity }
//! #     }
//! # }
//! use serde_json::json;
//!
//! let added = |sku: &str, quantity| CartEvent::ItemAdded { sku: sku.into(), quantity };
//! given::<Cart>([added("tea", 1)])
//!     .when("add-item", json!({ "sku": "tea", "quantity": 2 }))
//!     .then([added("tea", 2)])
//!     .replies(3)
//!     .when("add-item", json!({ "sku": "tea", "quantity": 0 }))
//!     .rejects(422, "quantity-out-of-range")
//!     .query("total", ())
//!     .replies(3);
//! ```
//!
//! Requests go the way that they go in a component: by name, with JSON bodies.
//! After each of them it is checked, without being asked for, that
//!
//! - the events, replayed from the first, lead to the same snapshot byte for
//!   byte;
//! - an entity restored from that snapshot gives the same snapshot again, and one
//!   restored from the snapshot before it goes on to the same state;
//! - a query and a rejected command left the state as it was.
//!
//! An entity that fails one of these would get no snapshots from the host, or
//! lose its state on the way to another node.

mod check;

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Description, Ending, Entity, Recorded, Rejection,
    host::Environment,
    live::{Live, Outcome},
};

/// What `describe` will say of an entity type.
#[must_use]
pub fn describe<E: Entity>() -> Description {
    E::describe()
}

/// An entity that has recorded these events; `[]` for a new one.
///
/// # Panics
/// If an event can't be written and read back, or breaks what [the module](self)
/// checks.
#[track_caller]
pub fn given<E: Entity>(events: impl IntoIterator<Item = E::Event>) -> Scenario<E> {
    let journal: Vec<_> = events.into_iter().map(|event| Recorded::from_event(&event).0).collect();
    let mut scenario = Scenario {
        id: "1".into(),
        environment: Environment::default(),
        live: Live::new("1".into()),
        journal: Vec::new(),
        answer: None,
    };
    let folded = check::folding(&mut scenario.environment, || {
        scenario.live.apply(check::as_stored(&journal))
    });
    if let Err(reason) = folded {
        panic!("the given events can't be folded: {reason}");
    }
    scenario.journal = journal;
    scenario.check_replay();
    scenario
}

/// An entity in a test, and its answer to the latest request.
pub struct Scenario<E: Entity> {
    id: String,
    environment: Environment,
    live: Live<E>,
    journal: Vec<Recorded>,
    answer: Option<Answer>,
}

/// The answer to a request.
struct Answer {
    /// For messages: `command "add-item"`.
    request: String,
    result: Result<Outcome, Rejection>,
}

impl<E: Entity> Scenario<E> {
    /// With this id instead of `1`.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        let snapshot = self.live.snapshot();
        self.id = id.into();
        self.live = check::restored(&self.id, &snapshot);
        self
    }

    /// From now on it is this time, in milliseconds since 1970. Time stands
    /// still unless it is set; it begins in November 2023.
    #[must_use]
    pub fn at_ms(mut self, now_ms: u64) -> Self {
        self.environment.now_ms = now_ms;
        self
    }

    /// From now on so many milliseconds later.
    #[must_use]
    pub fn after_ms(mut self, elapsed_ms: u64) -> Self {
        self.environment.now_ms += elapsed_ms;
        self
    }

    /// With randomness from this seed; the same seed gives the same bytes.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.environment.random_state = seed;
        self
    }

    /// Sends a command with an argument as JSON; `()` sends no body.
    #[track_caller]
    #[must_use]
    pub fn when(self, command: &str, argument: impl Serialize) -> Self {
        let body = body_of(&argument);
        self.when_bytes(command, &body)
    }

    /// Sends a command with a body as it is.
    #[track_caller]
    #[must_use]
    pub fn when_bytes(mut self, command: &str, body: &[u8]) -> Self {
        let before = self.live.snapshot();
        let live = &mut self.live;
        let result = check::inside(&mut self.environment, || live.handle(command, body));
        match &result {
            Ok(outcome) => {
                self.journal.extend(outcome.events.iter().cloned());
                self.check_replay();
                let (id, live) = (&self.id, &self.live);
                check::goes_on(id, &mut self.environment, &before, &outcome.events, live);
            }
            Err(rejection) => check::unchanged(
                &before,
                &self.live.snapshot(),
                &format!("the command {command:?}, which was rejected ({rejection:?}),"),
            ),
        }
        if matches!(&result, Ok(Outcome { ending: Some(_), .. })) {
            self.live = Live::new(self.id.clone());
            self.journal.clear();
        }
        self.answer = Some(Answer { request: format!("the command {command:?}"), result });
        self
    }

    /// Sends a query with an argument as JSON; `()` sends no body.
    #[track_caller]
    #[must_use]
    pub fn query(self, query: &str, argument: impl Serialize) -> Self {
        let body = body_of(&argument);
        self.query_bytes(query, &body)
    }

    /// Sends a query with a body as it is.
    #[track_caller]
    #[must_use]
    pub fn query_bytes(mut self, query: &str, body: &[u8]) -> Self {
        let before = self.live.snapshot();
        let live = &self.live;
        let result = check::inside(&mut self.environment, || live.query(query, body));
        check::unchanged(&before, &self.live.snapshot(), &format!("the query {query:?}"));
        let result = result.map(|reply| Outcome { events: Vec::new(), reply, ending: None });
        self.answer = Some(Answer { request: format!("the query {query:?}"), result });
        self
    }

    /// Expects the latest command to have recorded just these events.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = E::Event>) -> Self {
        let expected: Vec<_> =
            events.into_iter().map(|event| Recorded::from_event(&event).0).collect();
        let (request, outcome) = self.outcome();
        assert!(
            outcome.events == expected,
            "{request} recorded\n{}instead of\n{}",
            check::list(&outcome.events),
            check::list(&expected)
        );
        self
    }

    /// Expects the latest command to have recorded nothing, and yet not to have
    /// been rejected.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// Expects the latest reply to be this, as JSON; `()` for no body.
    #[track_caller]
    pub fn replies(self, reply: impl Serialize) -> Self {
        let (request, outcome) = self.outcome();
        let expected = json_of(&body_of(&reply));
        let found = json_of(&outcome.reply);
        assert!(found == expected, "{request} was answered {found} instead of {expected}");
        self
    }

    /// Expects the latest reply to be these bytes.
    #[track_caller]
    pub fn replies_bytes(self, reply: &[u8]) -> Self {
        let (request, outcome) = self.outcome();
        let (found, expected) = (outcome.reply.escape_ascii(), reply.escape_ascii());
        assert!(outcome.reply == reply, "{request} was answered {found} instead of {expected}");
        self
    }

    /// Expects the latest request to have been rejected with this status and code.
    #[track_caller]
    pub fn rejects(self, status: u16, code: &str) -> Self {
        let rejection = self.rejection();
        assert!(
            (rejection.status(), rejection.code()) == (status, code),
            "it was rejected with {rejection:?} instead of {status} {code}"
        );
        self
    }

    /// Expects the latest command to have ended the entity's life so. What comes
    /// next meets a new life.
    #[track_caller]
    pub fn ends(self, ending: Ending) -> Self {
        let (request, outcome) = self.outcome();
        let found = outcome.ending;
        assert!(found == Some(ending), "after {request} the ending was {found:?}");
        self
    }

    /// Lets the test look at the state.
    pub fn state(self, look: impl FnOnce(&E)) -> Self {
        look(self.live.state());
        self
    }

    /// The state as the host would store it.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.live.snapshot()
    }

    /// All events of this life as the journal would have them.
    #[must_use]
    pub fn journal(&self) -> &[Recorded] {
        &self.journal
    }

    /// The latest reply.
    ///
    /// # Panics
    /// If there was none, or it is not of this type.
    #[track_caller]
    #[must_use]
    pub fn reply<T: DeserializeOwned + Debug>(&self) -> T {
        let (request, outcome) = self.outcome();
        match serde_json::from_slice(&outcome.reply) {
            Ok(reply) => reply,
            Err(error) => {
                panic!("{request} was answered {}: {error}", outcome.reply.escape_ascii())
            }
        }
    }

    /// The latest rejection.
    ///
    /// # Panics
    /// If the latest request was not rejected.
    #[track_caller]
    #[must_use]
    pub fn rejection(&self) -> &Rejection {
        let Answer { request, result } = self.latest();
        match result {
            Err(rejection) => rejection,
            Ok(outcome) => panic!(
                "{request} was not rejected: it recorded\n{}and answered {}",
                check::list(&outcome.events),
                outcome.reply.escape_ascii()
            ),
        }
    }

    #[track_caller]
    fn latest(&self) -> &Answer {
        match &self.answer {
            Some(answer) => answer,
            None => panic!("nothing has been asked yet: a `when` or a `query` comes first"),
        }
    }

    #[track_caller]
    fn outcome(&self) -> (&str, &Outcome) {
        let Answer { request, result } = self.latest();
        match result {
            Ok(outcome) => (request, outcome),
            Err(rejection) => panic!("{request} was rejected: {rejection:?}"),
        }
    }

    /// Replays and restores, and compares.
    #[track_caller]
    fn check_replay(&mut self) {
        check::replay(&self.id, &mut self.environment, &self.live, &self.journal);
    }
}

/// A value as a body: JSON, or nothing for `()`.
#[track_caller]
fn body_of(value: &impl Serialize) -> Vec<u8> {
    match serde_json::to_vec(value) {
        Ok(body) if body == b"null" => Vec::new(),
        Ok(body) => body,
        Err(error) => panic!("as JSON: {error}"),
    }
}

/// A body as a value; what isn't JSON is shown as text.
fn json_of(body: &[u8]) -> Value {
    match body {
        [] | b"null" => Value::Null,
        body => serde_json::from_slice(body)
            .unwrap_or_else(|_| format!("not JSON: {}", body.escape_ascii()).into()),
    }
}
