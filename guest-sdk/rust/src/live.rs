//! An entity at work: the one path that commands, queries and replay take, in a
//! component as in native tests.

use crate::{Ending, Entity, Event, QueryContext, Rejection, context::Context, event::Recorded};

/// All that one command produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The events, in order.
    pub events: Vec<Recorded>,
    /// The answer to the caller.
    pub reply: Vec<u8>,
    /// Whether its life is over, and how.
    pub ending: Option<Ending>,
}

/// An entity and its id.
pub struct Live<E> {
    /// Lent to the context while a handler runs, so that none needs a copy.
    id: Option<QueryContext>,
    state: E,
}

impl<E: Entity> Live<E> {
    /// An entity without events.
    pub fn new(id: String) -> Self {
        Self { id: Some(QueryContext::new(id)), state: E::default() }
    }

    /// The entity as it was when the snapshot was taken.
    ///
    /// # Errors
    /// Why the snapshot can't be read.
    pub fn restore(id: String, snapshot: &[u8]) -> Result<Self, String> {
        Ok(Self { id: Some(QueryContext::new(id)), state: E::restore(snapshot)? })
    }

    /// Decides, records, folds, answers.
    ///
    /// # Errors
    /// The rejection; the state is as before.
    pub fn handle(&mut self, command: &str, body: &[u8]) -> Result<Outcome, Rejection> {
        let id = self.id.take().expect("the id comes back after each command");
        let mut context = Context::new(id);
        let decision = self.state.decide(&mut context, command, body);
        let (id, events, ending) = context.into_parts();
        self.id = Some(id);
        let answer = decision?;
        // All are written before the first is folded: one that can't be must
        // stop the command while nothing has happened.
        let written: Vec<_> = events.iter().map(Recorded::from_event).collect();
        let fold = |(recorded, event)| {
            self.state.fold(event);
            recorded
        };
        let events = written.into_iter().map(fold).collect();
        Ok(Outcome { events, reply: answer.into_reply(&self.state), ending })
    }

    /// Folds events that were recorded earlier.
    ///
    /// # Errors
    /// Which event can't be folded, and why.
    pub fn apply<'a>(
        &mut self,
        events: impl ExactSizeIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<(), String> {
        let count = events.len();
        for (position, (name, body)) in events.enumerate() {
            let event = E::Event::decode(name, body).map_err(|reason| {
                format!("event {name:?}, {} of {count} to apply: {reason}", position + 1)
            })?;
            self.state.fold(event);
        }
        Ok(())
    }

    /// The state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        self.state.snapshot()
    }

    /// Answers a query.
    ///
    /// # Errors
    /// The rejection.
    pub fn query(&self, query: &str, body: &[u8]) -> Result<Vec<u8>, Rejection> {
        let id = self.id.as_ref().expect("the id is here while no command runs");
        self.state.answer(id, query, body)
    }

    /// The state itself, for tests to look at.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn state(&self) -> &E {
        &self.state
    }
}
